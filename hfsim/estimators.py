"""Gradients of discrete decisions, as explicit strategy objects.

Rounding, truncation and comparison have no useful derivative. Whoever needs one passes an estimator and
so says which: `Exact` keeps the zero, `StraightThrough` decides exactly and differentiates a stand-in,
`Soft` replaces the decision by a smooth one of given width, `SoftGradient` decides exactly and differentiates that one.
`ScoreFunction` decides exactly by a draw, whose probability carries the gradient; `Perturbation` decides exactly, and
asks how whole runs answer to draws of the parameters.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.errors import InputError
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


class SoftGradient(AbstractEstimator, PhysicalModel):
    """Exact forwards, the slope of `Soft` of the same width backwards: straight-through of a stated width."""

    width: Float[Array, ""] = parameter(
        unit="1", bounds=(1e-6, None), doc="width of the logistic that is differentiated", default=0.1
    )

    def step(self, x):
        return with_gradient_of(Soft(self.width).step(x), Exact().step(x))

    def round(self, x):
        return with_gradient_of(Soft(self.width).round(x), Exact().round(x))

    def floor(self, x):
        return with_gradient_of(Soft(self.width).floor(x), Exact().floor(x))


class ScoreFunction(Exact):
    """Exact forwards; the gradient is that of the probability of what was drawn (REINFORCE):

        dE[L]/dp = E[(L - b) d ln P/dp] + E[dL/dp at the same draws]

    b is the mean loss of the other runs (leave-one-out), which are independent: no bias, less variance. R. J. Williams,
    Machine Learning 8, 229 (1992).
    """

    def mean(self, losses: Float[Array, " runs"], log_probabilities: Float[Array, " runs"]) -> Float[Array, ""]:
        """The mean loss of two or more independent runs, with this gradient; `log_probabilities` of their draws.

        Raises:
            InputError: one run alone, which has no baseline.
        """
        runs = losses.shape[0]
        if runs < 2:
            raise InputError("losses", "be those of two runs at least", runs, "one run has no baseline")
        baseline = (jnp.sum(losses) - losses) / (runs - 1)
        advantage = jax.lax.stop_gradient(losses - baseline)
        smooth = jnp.mean(losses + advantage * log_probabilities)
        return with_gradient_of(smooth, jnp.mean(losses))


class Perturbation(Exact, PhysicalModel):
    """Exact forwards; the gradient is that of the mean over Gaussian draws of the parameters, from runs in pairs:

        d/dz E[L(z + w e)] = E[(L(z + w e) - L(z - w e)) e]/(2 w),    e ~ N(0, 1)

    Without bias for that smoothed mean, which differs from the slope at z by w^2/2 times a third derivative. Both runs
    of a pair share their own draws. Any decision, any length of run, no way back. Y. Nesterov and V. Spokoiny, Found.
    Comput. Math. 17, 527 (2017).
    """

    width: Float[Array, ""] = parameter(
        unit="1", bounds=(1e-6, 1e6), doc="standard deviation of the draws, in units of the parameters"
    )

    def places(self, place: Float[Array, " n"], normals: Float[Array, "pairs n"]) -> Float[Array, "runs n"]:
        """Parameters of the runs: those of all pairs above `place`, then those below it; runs = 2 pairs."""
        away = self.width * normals
        return jax.lax.stop_gradient(jnp.concatenate([place + away, place - away]))

    def mean(
        self, losses: Float[Array, " runs"], place: Float[Array, " n"], normals: Float[Array, "pairs n"]
    ) -> Float[Array, ""]:
        """The mean loss of the runs at `places`, with this gradient in `place`.

        Raises:
            InputError: losses that are not two for each pair.
        """
        pairs = normals.shape[0]
        if losses.shape != (2 * pairs,):
            raise InputError("losses", f"have shape ({2 * pairs},), two runs for each pair", losses.shape)
        slopes = (losses[:pairs] - losses[pairs:]) @ normals / (2 * pairs * self.width)
        return with_gradient_of(jax.lax.stop_gradient(slopes) @ place, jax.lax.stop_gradient(jnp.mean(losses)))


def relaxed_bernoulli(
    uniform: Float[Array, "..."], probability: Float[Array, ""], estimator: AbstractEstimator
) -> Float[Array, "..."]:
    """A draw that is 1 with `probability` p, as a step at 1 - u/p of a `uniform` number u in [0, 1).

    So a soft one has the mean p, up to p w exp(-1/w) at a width of w and p well below 1; the slope of its mean is 1.
    """
    tiny = jnp.finfo(jnp.result_type(probability)).tiny
    return estimator.step(1 - uniform / jnp.maximum(probability, tiny))
