"""The options that training by pulses has on any data."""

import dataclasses
from typing import Any, Literal

from training.job import Configuration


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
    ceiling: float = 0.01
    """Most pulses of the slow array for each step that is read of the fast one: however large the learning rate."""
    products: Literal["analog", "exact"] = "analog"
    """Whether products pass converters of 7 and 9 bits and read noise, there and back."""

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
