"""A digital buffer between the arrays: what Tiki-Taka v2, its chopped form and AGAD have in common.

What is read of the fast array is collected, and the slow array gets pulses only where enough has come together:

    H <- H + r s(v),    n = trunc(H) cut at +-most_pulses,    C gets n pulses,    H <- H - n

s is the rule's own: v itself, or v with its chopper and its reference. H is a low-pass filter: noise of A's devices and
reads averages out before a coarse device of C has to move. How well it does depends on r: v is noisy by a few steps of
A, whatever the gradient, so that C walks at random, by r dw_A dw_C = lr/s a read for each step of that noise, s being
the strength of A's trains, large for small gradients. Hence

    r = min(lr, lr_most)/(dw_C dw_A s),    lr_most = ceiling/sqrt(100/s^2 + sum 1/s^2)

with the sum over the reads of a row so far. The variance of the walk, ceiling^2 sum [1/s^2 / (100/s^2 + sum 1/s^2)], is
then at most ceiling^2 ln(1 + n/100) after n reads under gradients of one size, and more only where they keep growing.
AdaGrad divides by the gradients themselves in this way, and forgives any learning rate for the same reason. How many
steps of noise a read has is not known to the rule: a coarser read needs a lower ceiling.

T. Gokmen, Front. Artif. Intell. 4, 699148 (2021); R. Ward, X. Wu, L. Bottou, J. Mach. Learn. Res. 21, 219 (2020).
"""

import abc
from dataclasses import KW_ONLY
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.learning.row_transfer import AbstractRowTransfer, Read
from hfsim.parameters import parameter

_FIRST_ROUNDS = 100.0  # reads of a row over which the walk is bounded evenly; then by the logarithm of their number
_TINY = 1e-30


class Buffer(NamedTuple):
    """H, in pulses, and what the rule itself remembers."""

    held: Float[Array, "... outputs"]
    of_rule: Any


class AbstractBufferedTransfer(AbstractRowTransfer):
    """Learning by a fast array, a buffer and a slow array; `ceiling` bounds how fast noise reaches the slow one."""

    _: KW_ONLY
    ceiling: Float[Array, ""] = parameter(
        unit="1",
        bounds=(0.0, 1e9),
        doc="random walk of the slow array, in weight for each step of noise of the fast one",
        default=0.05,
    )

    @abc.abstractmethod
    def start_of_rule(self, shape: tuple[int, ...]) -> Any:
        """What the rule remembers beside H, before the first read."""

    @abc.abstractmethod
    def received(self, of_rule: Any, read: Read) -> tuple[Any, Float[Array, " outputs"]]:
        """What the rule remembers of a row after a read, and what of it goes to the buffer."""

    def rate_now(self, strengths):
        variance = _FIRST_ROUNDS * strengths.inverse**2 + strengths.walk
        return jnp.minimum(self.learning_rate, self.ceiling / jnp.sqrt(jnp.maximum(variance, _TINY)))

    def start_memory(self, shape):
        return Buffer(jnp.zeros(shape), self.start_of_rule(shape))

    def collected(self, memory, read, rate, key):
        of_rule, signal = self.received(memory.of_rule, read)
        held = memory.held + rate * signal
        n = jnp.clip(jnp.trunc(held), -self.most_pulses, self.most_pulses)
        return Buffer(held - n, of_rule), n
