"""How a trained matrix is brought into the window of the devices: weights w in [-1, 1] and a digital scale.

    W ~ w scale,   w = clip(W/scale, -1, 1)

    UnscaledWeights      scale = 1: W is a read-out already
    LargestWeight        scale = max |W|: nothing is clipped
    WeightDeviations     scale = k sqrt(mean W^2): weights beyond k deviations are clipped, the rest gets more window

over a column (all weights of one output, the default) or the whole matrix. Inputs are on the axis before the last,
outputs on the last; leading axes are arrays of their own. The scale is differentiated with the rest: a larger scale
also enlarges the devices' errors, which is the true derivative of a matrix that is scaled anew at each programming.
Clipping at k deviations: V. Joshi et al., Nature Communications 11, 2473 (2020).
"""

import abc
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.circuits.converters import clipped
from hfsim.errors import InputError
from hfsim.estimators import with_gradient_of
from hfsim.parameters import PhysicalModel, parameter


class ScaledWeights(NamedTuple):
    """Weights in [-1, 1], and what each output is multiplied by: (*arrays, 1, outputs)."""

    w: Float[Array, "*arrays inputs outputs"]
    scale: Float[Array, "*arrays 1 outputs"]


class AbstractWeightScaling(PhysicalModel):
    """A way to choose the scale; a column of zeros has scale 1."""

    @abc.abstractmethod
    def scale(self, W: Float[Array, "*arrays inputs outputs"]) -> Float[Array, "*arrays 1 outputs"]:
        """What the weights of each output are divided by."""

    def __call__(self, W: Float[Array, "*arrays inputs outputs"]) -> ScaledWeights:
        """The weights in the window, and their scale; clipped exactly: no gradient beyond the window.

        Raises:
            InputError: W is no matrix.
        """
        if jnp.ndim(W) < 2:
            raise InputError("W", "have axes of inputs and outputs", f"of shape {jnp.shape(W)}")
        scale = self.scale(W)
        return ScaledWeights(clipped(W / scale, -1.0, 1.0), scale)


class UnscaledWeights(AbstractWeightScaling):
    """Read-outs of devices as they are."""

    def scale(self, W):
        return jnp.ones_like(W[..., :1, :])


class LargestWeight(AbstractWeightScaling):
    """The largest magnitude of a column, or of the matrix, fills the window."""

    per_column: bool = eqx.field(static=True, default=True)

    def scale(self, W):
        return _whole(jnp.max(jnp.abs(W), axis=-2 if self.per_column else (-2, -1), keepdims=True), W)


class WeightDeviations(AbstractWeightScaling):
    """`deviations` times the root mean square of a column, or of the matrix, fills the window.

    `gradient` is that of what is clipped: "exact" leaves a weight beyond the window to the scale alone, with
    "straight-through" w scale moves with W everywhere, as it does inside.
    """

    deviations: Float[Array, ""] = parameter(
        unit="1", bounds=(0.1, 100.0), doc="edge of the window over the root mean square", default=2.5
    )
    per_column: bool = eqx.field(static=True, default=True)
    gradient: Literal["exact", "straight-through"] = eqx.field(static=True, kw_only=True, default="exact")

    def __check_init__(self):
        if self.gradient not in ("exact", "straight-through"):
            raise InputError("WeightDeviations.gradient", "be 'exact' or 'straight-through'", repr(self.gradient))

    def scale(self, W):
        square = jnp.mean(jnp.square(W), axis=-2 if self.per_column else (-2, -1), keepdims=True)
        positive = square > 0
        return _whole(self.deviations * jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0), W)

    def __call__(self, W):
        w, scale = super().__call__(W)
        if self.gradient == "straight-through":
            held = jax.lax.stop_gradient((w, scale))
            w = with_gradient_of((W - held[0] * scale) / held[1], w)  # so that d(w scale) = dW
        return ScaledWeights(w, scale)


def _whole(scale, W):
    """One scale for each output, 1 where there is nothing to scale."""
    return jnp.broadcast_to(jnp.where(scale > 0, scale, 1.0), (*W.shape[:-2], 1, W.shape[-1]))
