"""How strongly factors drive an array: pulses per unit of x delta.

    FixedScale    s = lr_A/dw_min: a learning rate for the array
    AutoScale     s = n/(T <|x|> <|delta|>): every device gets n pulses on average from one read of its row to the next

T is the number of samples between two reads of a row, <> the mean over lines and over the last `memory` samples, taken
sample by sample, so that the split of a batch does not matter. With `AutoScale` neither the size of the gradients nor
the granularity of the devices needs to be known beforehand. A device of few states forgets after as many pulses: n near
its states per window makes its memory as long as the wait for a read; more would be forgotten before it is read.

The least s so far is that of the largest gradients so far; it counts once half of `memory` samples are averaged.
"""

import abc
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.learning.factors import Factors
from hfsim.parameters import PhysicalModel, parameter

_TINY = 1e-20


class Strengths(NamedTuple):
    """Of each sample's trains: s, and the least s so far."""

    now: Float[Array, " samples"]
    least: Float[Array, " samples"]


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
        return jnp.zeros((0,))

    def strengths(self, memory, factors, granularity, interval):
        s = jnp.broadcast_to(self.rate / granularity, factors.x.shape[:1])
        return memory, Strengths(s, s)


class AutoScale(AbstractScale):
    """A number of pulses between two reads of a device."""

    pulses: Float[Array, ""] = parameter(
        unit="1", bounds=(1e-3, 1e6), doc="mean number of pulses from one read of a device to the next", default=5.0
    )
    memory: Float[Array, ""] = parameter(
        unit="1", bounds=(1.0, 1e9), doc="samples over which the factors are averaged", default=1000.0
    )

    def start(self):
        return jnp.zeros((4,)).at[3].set(jnp.inf)  # sums of weights, of mean |x| and of mean |delta|; the least s

    def strengths(self, memory, factors, granularity, interval):
        size = (jnp.mean(jnp.abs(side), axis=-1) for side in factors)
        seen = jnp.stack([jnp.ones(factors.x.shape[:1]), *size], axis=-1).astype(memory.dtype)

        def sample(memory, new):
            total = memory[:3] * (1 - 1 / self.memory) + new
            s = self.pulses / interval * total[0] ** 2 / jnp.maximum(total[1] * total[2], _TINY)
            # not of the first few samples, one of which may be far from the mean
            least = jnp.where(total[0] < self.memory / 2, memory[3], jnp.minimum(memory[3], s))
            return jnp.append(total, least).astype(memory.dtype), Strengths(s, jnp.minimum(least, s))

        return jax.lax.scan(sample, memory, seen)
