"""The options of the ablation."""

import dataclasses
from typing import ClassVar

from hfsim.errors import InputError
from training.pulsed.configuration import PulsedConfiguration
from training.pulsed.names import FLOAT, RULES

BY_PULSES = tuple(name for name in RULES if name != FLOAT)
SWEEPS = ("asymmetry", "states", "noise", "reference")


@dataclasses.dataclass(frozen=True)
class Ablation(PulsedConfiguration):
    """Train a 64-100-10 network of sigmoids on the digits, on devices that differ from CMO/HfOx in one property.

    Asymmetry of the steps, states, noise of a step, error of the reference: one at a time, under AGAD, c-TTv2, TTv2,
    mixed precision and pulsed SGD. All devices and seeds of a rule are trained at once, as one compiled program.
    """

    name: ClassVar[str] = "ablation"
    length: ClassVar[str] = "epochs"

    epochs: int = 20
    """Passes over the training images."""
    seeds: int = 3
    """Networks of each device, each with its own weights, order of images and draws; seeds SEED, SEED + 1, ...."""
    rules: tuple[str, ...] = BY_PULSES
    """Which rules: agad, cttv2, ttv2, mixed, sgd."""
    sweeps: tuple[str, ...] = SWEEPS
    """Which properties: asymmetry, states, noise, reference."""
    batch: int = 10
    """Images of one gradient step."""
    learning_rate: float = 0.5
    """Of the mean loss of a batch, in units of the float matrix."""
    decay: float = 0.9
    """Factor on the learning rate after each epoch."""
    fill: float = 0.15
    """Weight that the largest initial weight of a layer becomes in the devices' window."""
    images: int = 0
    """Images of an epoch, in place of all."""

    def __post_init__(self):
        super().__post_init__()
        self._require_positive("epochs", "seeds", "batch")
        for name, low, high in (("learning_rate", 0, 1e6), ("fill", 1e-3, 1), ("images", 0, 1e9)):
            self._require_range(name, low, high)
        if 0 < self.images < self.batch:
            raise InputError("--images", f"be 0 or at least the batch of {self.batch}", self.images)
        self._require_some("rules", BY_PULSES)
        self._require_some("sweeps", SWEEPS)

    def job(self):
        from training.ablation.job import AblationJob

        return AblationJob(self)
