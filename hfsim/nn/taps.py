"""Taps: how an outer-product rule gets its factors out of any network.

The gradient of a layer y = x W is a sum of outer products x delta^T over samples, delta = dL/dy. A rule that sends
pulses needs x and delta of each sample and never the sum. `tapped` is the identity on y whose cotangent for `tap` is

    Factors(x, delta)

so `jax.grad` of a loss with respect to the taps returns the factors of every layer. Taps are inputs: they may be
scanned over, mapped, rematerialised, and handed through a network's arguments, where an auxiliary output would have to
be carried out of every scan, checkpoint and call on the way. A tap's values are never looked at; give it zeros.

One tap serves one product. Where samples are mapped (vmap) or steps are scanned, map or scan the taps with them: a tap
that is shared by several products gets the sums of their x and of their delta, from which no outer product follows.
Reverse mode only.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.errors import InputError
from hfsim.learning.factors import Factors


def tapped(
    y: Float[Array, "*samples outputs"], x: Float[Array, "*samples inputs"], tap: Factors | None
) -> Float[Array, "*samples outputs"]:
    """`y` itself; the cotangent of `tap` is `Factors(x, dL/dy)`, in the tap's own precision.

    Args:
        y: output of a product.
        x: what drove it.
        tap: of the shapes of x and y; None taps nothing.

    Raises:
        InputError: a tap of other shapes.
    """
    if tap is None:
        return y
    wanted, was = (x.shape, y.shape), (jnp.shape(tap.x), jnp.shape(tap.delta))
    if was != wanted:
        remedy = "make it with the layer's `zero_taps`"
        raise InputError(
            "tap", f"hold x of shape {wanted[0]} and delta of {wanted[1]}", f"{was[0]} and {was[1]}", remedy
        )
    dtypes = (jnp.result_type(tap.x), jnp.result_type(tap.delta))
    return _tapped(dtypes, y, jax.lax.stop_gradient(x), tap)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _tapped(dtypes, y, x, tap):
    return y


def _forward(dtypes, y, x, tap):
    return y, x


def _backward(dtypes, x, delta):
    return delta, None, Factors(x.astype(dtypes[0]), delta.astype(dtypes[1]))


_tapped.defvjp(_forward, _backward)


def zero_tap(samples: tuple[int, ...], inputs: tuple[int, ...], outputs: tuple[int, ...], dtype: Any) -> Factors:
    """A tap for `samples` of inputs and outputs of the given shapes."""
    return Factors(jnp.zeros((*samples, *inputs), dtype), jnp.zeros((*samples, *outputs), dtype))
