"""Sums of very many small numbers in one float's range: what is rounded off is carried along.

A million waits of a second, or ten million half cycles, are lost in float32 when added one by one. The pair
(value, remainder) is an unevaluated sum; adding uses D. E. Knuth's two-sum (The Art of Computer Programming,
volume 2, 4.2.2).
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class Compensated(eqx.Module):
    """A running sum, element-wise."""

    value: Float[Array, "..."]
    remainder: Float[Array, "..."]

    @classmethod
    def zero(cls, shape: tuple[int, ...] = (), dtype=None) -> "Compensated":
        zero = jnp.zeros(shape, jnp.result_type(float) if dtype is None else dtype)
        return cls(zero, zero)

    def add(self, increment: Float[Array, "..."]) -> "Compensated":
        """The sum with `increment` added."""
        increment = increment + self.remainder
        total = self.value + increment
        kept = total - self.value
        return Compensated(total, (self.value - (total - kept)) + (increment - kept))
