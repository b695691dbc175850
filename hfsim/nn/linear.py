"""The analogue linear layer for flax nnx."""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from hfsim.learning.factors import Factors
from hfsim.nn.array import AnalogArray


class AnalogLinear(nnx.Module):
    """y = x W + b: the product on devices, the bias in numbers.

    Args:
        in_features, out_features: sizes.
        use_bias: whether there is a bias; it starts at 0.
        rngs: nnx random streams; `params` is used.
        options: of `AnalogArray`: periphery, initialiser, scale, ...
    """

    def __init__(self, in_features: int, out_features: int, *, use_bias: bool = True, rngs: nnx.Rngs, **options: Any):
        self.array = AnalogArray(in_features, out_features, rngs=rngs, **options)
        self.bias = nnx.Param(jnp.zeros(out_features, jnp.float32)) if use_bias else None

    def __call__(
        self,
        x: Float[Array, "*batch inputs"],
        tap: Factors | None = None,
        key: Key[Array, ""] | None = None,
        *,
        first=0,
    ) -> Float[Array, "*batch outputs"]:
        """The layer's output; tap, key and first as in `AnalogArray`."""
        y = self.array(x, tap, key, first=first)
        return y if self.bias is None else y + self.bias.get_value()

    def zero_taps(self, x: Any) -> Factors:
        """The tap for inputs like `x`."""
        return self.array.zero_taps(x)
