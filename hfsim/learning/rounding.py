"""How a real step becomes an integer number of hidden steps."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.errors import InputError
from hfsim.estimators import AbstractEstimator, StraightThrough


class AbstractRounding(eqx.Module):
    """Turns real steps into integers; `estimator` says how that is differentiated."""

    estimator: eqx.AbstractVar[AbstractEstimator]
    needs_uniform: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def __call__(self, step: Float[Array, "..."], uniform: Float[Array, "..."] | None) -> Float[Array, "..."]:
        """The integer; `uniform` numbers in [0, 1) are given where `needs_uniform`."""


class Nearest(AbstractRounding):
    """The nearest integer."""

    estimator: AbstractEstimator = eqx.field(default_factory=StraightThrough)
    needs_uniform = False

    def __call__(self, step, uniform):
        return self.estimator.round(step)


class Truncate(AbstractRounding):
    """Towards zero: small gradients are lost; costs points of accuracy, kept for comparison."""

    estimator: AbstractEstimator = eqx.field(default_factory=StraightThrough)
    needs_uniform = False

    def __call__(self, step, uniform):
        return jnp.where(step < 0, -1.0, 1.0) * self.estimator.floor(jnp.abs(step))


class Stochastic(AbstractRounding):
    """Up with the probability of the fraction: exact in the mean."""

    estimator: AbstractEstimator = eqx.field(default_factory=StraightThrough)
    needs_uniform = True

    def __call__(self, step, uniform):
        if uniform is None:
            raise InputError("uniform", "be given for stochastic rounding", "None")
        return self.estimator.floor(step + uniform)
