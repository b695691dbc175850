"""Convolutions as products: the patches of an image, one by one, through a crossbar (im2col).

A kernel of shape (*window, inputs, outputs) becomes a matrix whose rows are the places of the window, channel by
channel, as `patches` lays them out; images have their channels last.
"""

import math
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.errors import InputError

Padding = Literal["SAME", "VALID"] | Sequence[tuple[int, int]]


def patches(
    image: Float[Array, "batch *space channels"],
    window: Sequence[int],
    *,
    strides: Sequence[int] | int = 1,
    padding: Padding = "VALID",
    dilation: Sequence[int] | int = 1,
) -> Float[Array, "batch *places features"]:
    """Every patch under the window, flattened: features = channels x window, the window's last axis fastest.

    Args:
        image: one, two or three axes of space.
        window: its size along them.
        strides: distance of neighbouring patches.
        padding: with zeros, as in `jax.lax.conv_general_dilated`.
        dilation: distance of the places inside a patch.

    Raises:
        InputError: an image without one to three axes of space, or a window of another number.
    """
    axes = image.ndim - 2
    if not 1 <= axes <= 3:
        raise InputError("image", "have a batch, one to three axes of space, and channels", f"of shape {image.shape}")
    if len(window) != axes:
        raise InputError("window", f"have one size for each of the image's {axes} axes of space", tuple(window))
    letters = "DHW"[3 - axes :]
    numbers = [(n,) * axes if isinstance(n, int) else tuple(n) for n in (strides, dilation)]
    return jax.lax.conv_general_dilated_patches(
        image,
        tuple(window),
        numbers[0],
        padding if isinstance(padding, str) else list(padding),
        rhs_dilation=numbers[1],
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        precision=jax.lax.Precision.HIGHEST,
    )


def matrix_of(kernel: Float[Array, "*window inputs outputs"]) -> Float[Array, "features outputs"]:
    """The matrix of a kernel, its rows in the order of `patches`."""
    window, inputs, outputs = kernel.shape[:-2], kernel.shape[-2], kernel.shape[-1]
    return jnp.moveaxis(kernel, -2, 0).reshape(inputs * math.prod(window), outputs)


def kernel_of(
    matrix: Float[Array, "features outputs"], window: Sequence[int]
) -> Float[Array, "*window inputs outputs"]:
    """The kernel whose matrix this is."""
    places = math.prod(window)
    if matrix.shape[0] % places:
        raise InputError("window", f"divide the matrix's {matrix.shape[0]} rows", tuple(window))
    return jnp.moveaxis(matrix.reshape(-1, *window, matrix.shape[1]), 0, -2)
