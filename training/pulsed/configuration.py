"""The options that training by pulses has on any data, and on images."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, Literal

from hfsim.errors import InputError
from training.job import Configuration

HIDDEN = {"mnist": (256, 128), "fashion-mnist": (256, 128), "digits": (100,)}
"""Hidden layers for a data set."""
FILL = {"mnist": (0.15, 0.07, 0.035), "fashion-mnist": (0.15, 0.07, 0.035), "digits": (0.15, 0.15)}
"""What the largest initial weight of each layer becomes in the window. Chosen on the validation part: late layers grow
more, and a window that is too narrow holds them back."""


@dataclasses.dataclass(frozen=True)
class PulsedConfiguration(Configuration):
    """How every rule is run; the jobs add what they train on."""

    decay: float = 1.0
    """Factor on the learning rate after each epoch."""
    pulses: float = 5.0
    """Mean number of pulses that a device of the fast array gets between two reads."""
    transfer_every: int = 1
    """Samples from one read of a row of the fast array to the next."""
    reads_per_period: int = 10
    """Reads of a row between two turns of AGAD's chopper."""
    chopper: float = 0.1
    """Probability that c-TTv2's chopper turns after a read."""
    ceiling: float = 0.05
    """How far the slow array may walk at random, in weight for each step of noise of the fast one, however large the
    learning rate."""

    def __post_init__(self):
        super().__post_init__()
        self._require_positive("transfer_every", "reads_per_period")
        self._require_range("decay", 1e-6, 1)
        self._require_range("pulses", 1e-3, 1e6)
        self._require_range("chopper", 0, 1)
        self._require_range("ceiling", 0, 1e9)

    def transfer(self) -> dict[str, Any]:
        """Of `TransferSettings`."""
        names = ("pulses", "transfer_every", "reads_per_period", "chopper", "ceiling")
        return {name: getattr(self, name) for name in names}


@dataclasses.dataclass(frozen=True)
class ImagesConfiguration(PulsedConfiguration):
    """How a perceptron is trained on images."""

    length: ClassVar[str] = "epochs"

    epochs: int = 10
    """Passes over the training images, of every network."""
    decay: float = 0.85
    """Factor on the learning rate and the ceiling after each epoch."""
    dataset: Literal["mnist", "fashion-mnist", "digits"] = "mnist"
    """Images; the digits are bundled, and take a 64-100-10 network."""
    data: Path | None = None
    """Directory of the data sets, in place of $HFSIM_DATA or ~/.cache/hfsim."""
    batch: int = 64
    """Images of one gradient step."""
    fill: tuple[float, ...] = ()
    """Weight that the largest initial weight of a layer becomes in the devices' window: one number for all layers, or
    one for each. Default 0.15 0.07 0.035, and 0.15 for the digits."""
    products: Literal["analog", "exact"] = "analog"
    """Whether products pass converters of 7 and 9 bits and read noise, there and back."""
    images: int = 0
    """Images of an epoch, in place of all."""

    def __post_init__(self):
        super().__post_init__()
        self._require_positive("epochs", "batch")
        self._require_range("images", 0, 1e9)
        if not all(1e-3 <= fill <= 1 for fill in self.fill):  # NaN is refused too
            raise InputError("--fill", "be numbers in [0.001, 1]", " ".join(map(str, self.fill)))
        layers = len(self.hidden) + 1
        if len(self.fill) not in (0, 1, layers):
            raise InputError("--fill", f"be one number, or one for each of {layers} layers", len(self.fill))
        if 0 < self.images < self.batch:
            raise InputError("--images", f"be 0 or at least the batch of {self.batch}", self.images)

    @property
    def hidden(self) -> tuple[int, ...]:
        """Sizes of the hidden layers."""
        return HIDDEN[self.dataset]

    @property
    def windows(self) -> tuple[float, ...]:
        """`fill` of each layer."""
        given = self.fill or FILL[self.dataset]
        return given * (len(self.hidden) + 1) if len(given) == 1 else given

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "fill": list(self.windows)}
