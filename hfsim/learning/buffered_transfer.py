"""A digital buffer between the arrays: what Tiki-Taka v2, its chopped form and AGAD have in common.

What is read of the fast array is collected, and the slow array gets pulses only where enough has come together:

    H <- H + r s(v),    n = trunc(H) cut at +-most_pulses,    C gets n pulses,    H <- H - n

s is the rule's own: v itself, or v with its chopper and its reference. H is a low-pass filter: noise of A's devices and
reads averages out before a coarse device of C has to move.

T. Gokmen, Front. Artif. Intell. 4, 699148 (2021).
"""

import abc
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.learning.row_transfer import AbstractRowTransfer, Read


class Buffer(NamedTuple):
    """H, in pulses, and what the rule itself remembers."""

    held: Float[Array, "... outputs"]
    of_rule: Any


class AbstractBufferedTransfer(AbstractRowTransfer):
    """Learning by a fast array, a buffer and a slow array."""

    @abc.abstractmethod
    def start_of_rule(self, shape: tuple[int, ...]) -> Any:
        """What the rule remembers beside H, before the first read."""

    @abc.abstractmethod
    def received(self, of_rule: Any, read: Read) -> tuple[Any, Float[Array, " outputs"]]:
        """What the rule remembers of a row after a read, and what of it goes to the buffer."""

    def start_memory(self, shape):
        return Buffer(jnp.zeros(shape), self.start_of_rule(shape))

    def collected(self, memory, read, rate, key):
        of_rule, signal = self.received(memory.of_rule, read)
        held = memory.held + rate * signal
        n = jnp.clip(jnp.trunc(held), -self.most_pulses, self.most_pulses)
        return Buffer(held - n, of_rule), n
