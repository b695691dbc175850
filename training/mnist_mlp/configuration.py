"""The options of training by pulses on images."""

import dataclasses
from typing import ClassVar

from training.pulsed.configuration import ImagesConfiguration
from training.pulsed.names import FLOAT, RULES, TRANSFERS


@dataclasses.dataclass(frozen=True)
class MnistMLP(ImagesConfiguration):
    """Train a 784-256-128-10 network of sigmoids on arrays of CMO/HfOx devices, then leave it alone for ten years.

    Every rule starts from the same weights and sees the same images in the same order: floating point, AGAD, c-TTv2,
    TTv2, mixed precision, pulsed SGD. Weights live in simulated devices of 22 states (card cmo-hfox-2025-pulsed),
    biases are digital. The networks are tested when trained and after 1 s to 10 years (card cmo-hfox-2025).
    """

    name: ClassVar[str] = "mnist-mlp"

    rules: tuple[str, ...] = RULES
    """Which rules: float, agad, cttv2, ttv2, mixed, sgd."""
    learning_rate: float = 0.5
    """Of the mean loss of a batch, in units of the float matrix: of pulsed SGD, mixed precision and digital biases.
    Chosen on the validation part."""
    transfer_learning_rate: float = 5.0
    """The same of AGAD, c-TTv2 and TTv2, which learn at their ceiling where it is lower: see learning-rates."""
    float_learning_rate: float = 2.0
    """The same of floating point, which would be short-changed by the devices' rate. Chosen on the validation part."""

    def __post_init__(self):
        super().__post_init__()
        for name in ("learning_rate", "transfer_learning_rate", "float_learning_rate"):
            self._require_range(name, 0, 1e6)
        self._require_some("rules", RULES)

    def rate(self, name: str) -> float:
        """The learning rate of the matrices under rule `name`."""
        rates = {FLOAT: self.float_learning_rate, **dict.fromkeys(TRANSFERS, self.transfer_learning_rate)}
        return rates.get(name, self.learning_rate)

    def job(self):
        from training.mnist_mlp.job import MnistMLPJob

        return MnistMLPJob(self)
