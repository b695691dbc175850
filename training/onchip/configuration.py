"""The options of the main job: what can be chosen, what each choice means, and what is refused."""

import dataclasses
from typing import Any, ClassVar, Literal

from training.job import Configuration

CARD = "cea-leti-2025-hybrid"


@dataclasses.dataclass(frozen=True)
class OnChip(Configuration):
    """Train a 64-200-100-10 network on the simulated FeCAP/memristor chip with scikit-learn's digits.

    Forward and backward read the memristors; each sample's masked SGD step goes into the 10-bit FeCAP words;
    every PERIOD samples sign and three MSBs are transferred to the memristors. The trained chip is then tested
    after 1 s to 10 years at rest. Writes metrics.json, report.html, figures and a checkpoint into the run's
    directory.
    """

    name: ClassVar[str] = "onchip"
    length: ClassVar[str] = "epochs"

    epochs: int = 20
    """Passes over the training images."""
    period: int = 20
    """k: samples from one transfer to the next."""
    probability: float = 0.2
    """p: probability that a weight is updated at a sample."""
    learning_rate: float = 0.1
    """Learning rate of plain SGD, on the chip and in floating point."""
    chips: int = 1
    """Independent copies of the whole system, each with its own draws and devices, in one compiled program."""
    transfer: Literal["linear", "measured", "circuit"] = "measured"
    """How words become conductances: even levels without spread; the published table and spread; the physics of
    capacitor, line, transistor and filament."""
    mechanism: Literal["saturation", "starvation"] = "saturation"
    """Which fit of the circuit: its transistor leaves saturation (default: its line voltage is close to linear,
    as published), or the FeCAPs' field starves."""
    memory: Literal["hybrid", "float"] = "hybrid"
    """Train on the chip (with the floating-point network beside it), or the floating-point network alone."""
    rounding: Literal["nearest", "stochastic", "truncate"] = "nearest"
    """How a step becomes an integer."""
    step_scale: float = 512.0
    """Hidden steps per unit of learning rate times gradient; 512 are a weight of 1."""
    initial_spread: float = 100.0
    """Standard deviation of the initial hidden words."""
    twin_noise: bool = False
    """Draw noise on the idle memristor of each pair too."""
    clip: bool = False
    """Cut drawn conductances at 0."""

    def __post_init__(self):
        super().__post_init__()
        self._require_positive("epochs", "period", "chips")
        self._require_range("initial_spread", 0, 1e6)
        self._require_range("probability", 0, 1)
        self._require_range("learning_rate", 0, 1e6)
        self._require_range("step_scale", 1, 1e6)

    def settings(self) -> dict[str, Any]:
        return {"job": self.name, "data": "digits", "card": CARD, **super().settings()}

    def job(self):
        from training.onchip.job import OnChipJob

        return OnChipJob(self)
