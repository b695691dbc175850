"""The options of training by pulses on images."""

import dataclasses
from pathlib import Path
from typing import ClassVar, Literal

from hfsim.errors import InputError
from training.pulsed.configuration import PulsedConfiguration
from training.pulsed.names import RULES


@dataclasses.dataclass(frozen=True)
class MnistMLP(PulsedConfiguration):
    """Train a 784-256-128-10 network of sigmoids on arrays of CMO/HfOx devices, then leave it alone for ten years.

    Every rule starts from the same weights and sees the same images in the same order: floating point, AGAD, c-TTv2,
    TTv2, mixed precision, pulsed SGD. Weights live in simulated devices of 22 states (card cmo-hfox-2025-pulsed),
    biases are digital. The networks are tested when trained and after 1 s to 10 years (card cmo-hfox-2025).
    """

    name: ClassVar[str] = "mnist-mlp"
    length: ClassVar[str] = "epochs"

    epochs: int = 10
    """Passes over the training images, of every rule."""
    rules: tuple[str, ...] = RULES
    """Which rules: float, agad, cttv2, ttv2, mixed, sgd."""
    dataset: Literal["mnist", "fashion-mnist", "digits"] = "mnist"
    """Images; the digits are bundled, and take a 64-100-10 network."""
    data: Path | None = None
    """Directory of the data sets, in place of $HFSIM_DATA or ~/.cache/hfsim."""
    batch: int = 64
    """Images of one gradient step."""
    learning_rate: float = 0.5
    """Of the mean loss of a batch, in units of the float matrix, for every rule and its digital biases."""
    decay: float = 0.8
    """Factor on the learning rate after each epoch."""
    float_learning_rate: float = 2.0
    """The same of floating point, which would be short-changed by the devices' rate. Chosen on the validation part."""
    fill: tuple[float, ...] = ()
    """Weight that the largest initial weight of a layer becomes in the devices' window, of the layers from the first
    on; the last number is that of all further layers. Default 0.15 0.07 0.02, and 0.15 for the digits. Chosen on the
    validation part: late layers grow more, and a window that is too narrow holds them back."""
    images: int = 0
    """Images of an epoch, in place of all."""

    def __post_init__(self):
        super().__post_init__()
        self._require_positive("epochs", "batch")
        for name, low, high in (
            ("learning_rate", 0, 1e6),
            ("float_learning_rate", 0, 1e6),
            ("images", 0, 1e9),
        ):
            self._require_range(name, low, high)
        if not all(1e-3 <= fill <= 1 for fill in self.fill):  # NaN is refused too
            raise InputError("--fill", "be numbers in [0.001, 1]", " ".join(map(str, self.fill)))
        if 0 < self.images < self.batch:
            raise InputError("--images", f"be 0 or at least the batch of {self.batch}", self.images)
        self._require_some("rules", RULES)

    def job(self):
        from training.mnist_mlp.job import MnistMLPJob

        return MnistMLPJob(self)
