"""The options of the comparison of learning rates."""

import dataclasses
from typing import ClassVar, Literal

from hfsim.errors import InputError
from training.pulsed.configuration import ImagesConfiguration


@dataclasses.dataclass(frozen=True)
class LearningRates(ImagesConfiguration):
    """Train the network of mnist-mlp by one rule at many learning rates.

    Once with the rule's ceiling, which comes of the granularity of the devices and the size of the gradients, and once
    without. Digital biases have a learning rate of their own, the same for all.
    """

    name: ClassVar[str] = "learning-rates"

    rule: Literal["agad", "cttv2", "ttv2"] = "agad"
    """Which rule."""
    rates: tuple[float, ...] = (0.15, 0.5, 1.5, 5.0, 50.0)
    """Learning rates, of the mean loss of a batch, in units of the float matrix."""
    digital_rate: float = 0.5
    """Learning rate of the biases."""
    products: Literal["analog", "exact"] = "exact"
    """Whether products pass converters of 7 and 9 bits and read noise, there and back."""

    def __post_init__(self):
        super().__post_init__()
        self._require_range("digital_rate", 0, 1e6)
        if not self.rates or len(set(self.rates)) < len(self.rates) or not all(0 < r <= 1e6 for r in self.rates):
            must = "be at least one number above 0 and up to 1e6, none twice"
            raise InputError("--rates", must, " ".join(map(str, self.rates)))

    def job(self):
        from training.learning_rates.job import LearningRatesJob

        return LearningRatesJob(self)
