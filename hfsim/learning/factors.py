"""The two factors of the gradient of one weight matrix, sample by sample."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.errors import InputError


class Factors(NamedTuple):
    """The gradients of one weight matrix over successive samples, as outer products x_i delta_j.

    `x` has shape (*samples, inputs), `delta` (*samples, outputs); grouped matrices have their own axes before the last.
    """

    x: Float[Array, "*samples inputs"]
    delta: Float[Array, "*samples outputs"]

    def gradient(self) -> Float[Array, "inputs outputs"]:
        """The outer product of one sample (no axis of samples), or the sum of those of a batch (one axis)."""
        return jnp.outer(*self) if self.x.ndim == 1 else self.x.T @ self.delta


def factors_of(factors: Any, leaves: Sequence[Array]) -> list[Factors]:
    """Factors for each of the weight matrices `leaves`, their samples on one axis, the first.

    Args:
        factors: a tree or sequence with one `Factors` for each leaf, in order.
        leaves: weights of shape (*arrays, inputs, outputs).

    Raises:
        InputError: they are not as many, or do not fit the weights.
    """
    pairs = jax.tree.leaves(factors, is_leaf=lambda node: isinstance(node, Factors))
    if len(pairs) != len(leaves) or not all(isinstance(pair, Factors) for pair in pairs):
        raise InputError(
            "factors", f"hold one Factors for each of {len(leaves)} weight matrices", f"{len(pairs)} leaves"
        )
    return [_checked(pair, leaf) for pair, leaf in zip(pairs, leaves, strict=True)]


def _checked(pair: Factors, leaf: Array) -> Factors:
    own = {"x": (*leaf.shape[:-2], leaf.shape[-2]), "delta": (*leaf.shape[:-2], leaf.shape[-1])}
    samples = jnp.shape(pair.x)[: jnp.ndim(pair.x) - len(own["x"])]
    for name, last in own.items():
        if jnp.shape(getattr(pair, name)) != (*samples, *last) or not samples:
            wanted = f"have shape (samples, {', '.join(map(str, last))}) for weights of shape {leaf.shape}"
            raise InputError(f"factors.{name}", wanted, f"of shape {jnp.shape(getattr(pair, name))}")
    return Factors(*(getattr(pair, name).reshape(-1, *last) for name, last in own.items()))
