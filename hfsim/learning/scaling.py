"""How strongly factors drive an array: pulses per unit of x delta.

    FixedScale    s = lr_A/dw_min: a learning rate for the array
    AutoScale     s = n/(T <|x|> <|delta|>): every device gets n pulses on average from one read of its row to the next

T is the number of samples between two reads of a row, <> the mean over lines and over the last `memory` samples, taken
sample by sample, so that the split of a batch does not matter; a sample that is not finite is left out. With
`AutoScale` neither the size of the gradients nor the granularity of the devices needs to be known beforehand. A device
of few states forgets after as many pulses: n near its states per window makes its memory as long as the wait for a
read; more would be forgotten before it is read.

What noise of the reads makes of a slow array's weights is lr/s a read, for each step of noise: the sum of 1/s^2 over
the reads of a row is the variance of that walk, at lr = 1.
"""

import abc
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.learning.factors import Factors
from hfsim.parameters import PhysicalModel, parameter

_TINY = 1e-20  # of 1/s, and of a learning rate


class Strengths(NamedTuple):
    """Of each sample's trains: 1/s, and the sum of 1/s^2 over the reads of a row so far; a sample is 1/T of a read."""

    inverse: Float[Array, " samples"]
    walk: Float[Array, " samples"]

    @property
    def now(self) -> Float[Array, " samples"]:
        """s, large but finite without a gradient."""
        return 1 / jnp.maximum(self.inverse, _TINY)


def _walked(memory: Float[Array, "2"], inverse: Float[Array, ""], interval: int) -> Float[Array, "2"]:
    """The walk and what it lacks by rounding, after one more sample: a compensated sum, in which none is too small."""
    share = inverse**2 / interval - memory[1]
    walk = memory[0] + share
    return jnp.stack([walk, (walk - memory[0]) - share])


class AbstractScale(PhysicalModel):
    """The strength of each sample's trains."""

    @abc.abstractmethod
    def start(self) -> Float[Array, " n"]:
        """What is remembered, before the first sample."""

    @abc.abstractmethod
    def strengths(
        self, memory: Float[Array, " n"], factors: Factors, granularity, interval: int
    ) -> tuple[Float[Array, " n"], Strengths]:
        """What is remembered after a batch, and the strengths of its samples.

        Args:
            memory: what is remembered.
            factors: of the batch.
            granularity: of the array's devices.
            interval: samples from one read of a row to the next.
        """


class FixedScale(AbstractScale):
    """A learning rate of the array's own."""

    rate: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 1e6), doc="learning rate of the array")

    def start(self):
        return jnp.zeros((2,))  # the walk

    def strengths(self, memory, factors, granularity, interval):
        inverse = granularity / jnp.maximum(self.rate, _TINY)

        def sample(memory, _):
            memory = _walked(memory, inverse, interval).astype(memory.dtype)
            return memory, Strengths(inverse, memory[0])

        return jax.lax.scan(sample, memory, length=factors.x.shape[0])


class AutoScale(AbstractScale):
    """A number of pulses between two reads of a device."""

    pulses: Float[Array, ""] = parameter(
        unit="1", bounds=(1e-3, 1e6), doc="mean number of pulses from one read of a device to the next", default=5.0
    )
    memory: Float[Array, ""] = parameter(
        unit="1", bounds=(1.0, 1e9), doc="samples over which the factors are averaged", default=1000.0
    )

    def start(self):
        return jnp.zeros((5,))  # sums of weights, of mean |x| and of mean |delta|; the walk

    def strengths(self, memory, factors, granularity, interval):
        size = (jnp.mean(jnp.abs(side), axis=-1) for side in factors)
        seen = jnp.stack([jnp.ones(factors.x.shape[:1]), *size], axis=-1).astype(memory.dtype)

        def sample(memory, new):
            total = memory[:3] * (1 - 1 / self.memory) + jnp.where(jnp.all(jnp.isfinite(new)), new, 0.0)
            count = jnp.maximum(total[0], _TINY)
            inverse = interval / self.pulses * (total[1] / count) * (total[2] / count)
            memory = jnp.concatenate([total, _walked(memory[3:], inverse, interval)]).astype(memory.dtype)
            return memory, Strengths(inverse, memory[3])

        return jax.lax.scan(sample, memory, seen)
