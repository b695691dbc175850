"""Gradients of discrete decisions, as explicit strategy objects.

Rounding, truncation and comparison have no useful derivative. Whoever needs one passes an estimator and
so says which: `Exact` keeps the zero, `StraightThrough` decides exactly and differentiates a stand-in,
`Soft` replaces the decision by a smooth one of given width.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.parameters import PhysicalModel, parameter


@jax.custom_jvp
def with_gradient_of(smooth: Array, value: Array) -> Array:
    """`value` forwards, the derivative of `smooth` in either mode; costs nothing forwards."""
    return value


@with_gradient_of.defjvp
def _with_gradient_of_jvp(primals, tangents):
    return primals[1], tangents[0]


class AbstractEstimator(eqx.Module):
    """How a discrete decision is taken and differentiated."""

    @abc.abstractmethod
    def step(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """1 where x >= 0, else 0."""

    @abc.abstractmethod
    def round(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The nearest integer."""

    @abc.abstractmethod
    def floor(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The largest integer not above x."""


class Exact(AbstractEstimator):
    """The decision as it is; its gradient is zero."""

    def step(self, x):
        return (x >= 0).astype(x.dtype)

    def round(self, x):
        return jnp.round(x)

    def floor(self, x):
        return jnp.floor(x)


class StraightThrough(AbstractEstimator, PhysicalModel):
    """Exact forwards; backwards the identity for round and floor, a logistic of `width` for step."""

    width: Float[Array, ""] = parameter(
        unit="1", bounds=(1e-6, None), doc="width of the logistic that step differentiates", default=1.0
    )

    def step(self, x):
        return with_gradient_of(jax.nn.sigmoid(x / self.width), (x >= 0).astype(x.dtype))

    def round(self, x):
        return with_gradient_of(x, jnp.round(x))

    def floor(self, x):
        return with_gradient_of(x, jnp.floor(x))


class Soft(AbstractEstimator, PhysicalModel):
    """Smooth forwards and backwards: each jump becomes a logistic of `width`, exact as width goes to 0."""

    width: Float[Array, ""] = parameter(
        unit="1", bounds=(1e-6, None), doc="width of the logistic in place of a jump", default=0.1
    )

    def step(self, x):
        return jax.nn.sigmoid(x / self.width)

    def round(self, x):
        return self.floor(x + 0.5)

    def floor(self, x):
        # the jump nearest to x and its neighbours: what farther ones would add is 1 or 0 up to exp(-1.5/width)
        base = jax.lax.stop_gradient(jnp.round(x))
        return base - 2 + sum(jax.nn.sigmoid((x - base - k) / self.width) for k in (-1, 0, 1))
