"""Weights of four bits: a sign and three bits of magnitude, as the chip's memristors hold."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

LARGEST = 7
"""Of the magnitudes, in steps."""


def four_bits(weights: Float[Array, "*w"]) -> Float[Array, "*w"]:
    """The nearest of 15 evenly spaced values, one step for the whole array.

        w -> s round(w/s),   s = max|w|/7

    Args:
        weights: of one layer.
    """
    step = jnp.maximum(jnp.max(jnp.abs(weights)) / LARGEST, jnp.finfo(weights.dtype).tiny)
    return step * jnp.round(weights / step)


def four_bit_network(params: Any) -> Any:
    """A network's parameters with every matrix and kernel in four bits; biases stay as they are."""
    return jax.tree.map(lambda leaf: four_bits(leaf) if leaf.ndim > 1 else leaf, params)
