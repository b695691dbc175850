"""The analogue linear layer for flax nnx."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from hfsim.errors import InputError
from hfsim.hybrid.transfers import AbstractTransfer, ConductancePair


class AnalogLinear(nnx.Module):
    """y = x W (+ tap), where W is the read-out of conductance pairs, W = c (G+ - G-).

    The layer has no bias. Its parameter `kernel` is what the pairs read; a learning rule such as `HybridMemory`
    holds the pairs and replaces the kernel at each transfer, and `load` does so by hand. A zero `tap` added at
    the output receives delta = dL/dy as its cotangent; with x that is all that an outer-product rule needs.

    Args:
        in_features, out_features: sizes.
        initial_spread: standard deviation of the initial weights; 100/512 starts words at a spread of 100.
        precision: of the matrix product; the highest by default, since a coarser one (TF32, bfloat16) is coarser
            than the devices.
        rngs: nnx random streams; `params` is used.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        initial_spread: float = 100 / 512,
        precision: jax.lax.Precision = jax.lax.Precision.HIGHEST,
        rngs: nnx.Rngs,
    ):
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                raise InputError(name, "be an integer >= 1", repr(size))
        if not initial_spread >= 0:
            raise InputError("initial_spread", "be at least 0", initial_spread)
        normal = jax.random.normal(rngs.params(), (in_features, out_features), dtype=jnp.float32)
        self.kernel = nnx.Param(initial_spread * normal)
        self.precision = precision

    def __call__(
        self, x: Float[Array, "*batch inputs"], tap: Float[Array, "*batch outputs"] | None = None
    ) -> Float[Array, "*batch outputs"]:
        """Read the crossbar with inputs `x`; `tap` is added to the output."""
        kernel = self.kernel.get_value()
        if x.shape[-1] != kernel.shape[0]:
            raise InputError("x", f"have {kernel.shape[0]} features on its last axis", f"shape {x.shape}")
        y = jnp.matmul(x, kernel, precision=self.precision)
        return y if tap is None else y + tap

    def load(self, pair: ConductancePair, transfer: AbstractTransfer) -> None:
        """Take the weights that a pair of conductances [uS] reads as under `transfer`."""
        weights = transfer.weights(pair)
        if weights.shape != self.kernel.get_value().shape:
            raise InputError("pair", f"have shape {self.kernel.get_value().shape}", f"shape {weights.shape}")
        self.kernel.set_value(weights)
