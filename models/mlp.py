"""The article's multilayer perceptron: analogue layers, layer norm with fixed gain and bias, ReLU.

Martemucci et al., Nature Electronics 8, 921 (2025): 784-200-100-10 for MNIST online; layer norm (gain 1, bias
0, fixed) then ReLU after each hidden layer, layer norm then softmax after the last; no biases (the article is
silent: chosen, since layer norm removes a common shift).
"""

from collections.abc import Sequence

import jax
from flax import nnx
from jaxtyping import Array, Float

from hfsim.errors import InputError
from hfsim.nn import AnalogLinear


class MLP(nnx.Module):
    """Layers of the given `sizes`, inputs first; logits come out, normalised."""

    def __init__(self, sizes: Sequence[int], *, initial_spread: float = 100 / 512, rngs: nnx.Rngs):
        if len(sizes) < 2:
            raise InputError("sizes", "hold at least an input and an output size", tuple(sizes))
        self.layers = nnx.List(
            AnalogLinear(a, b, initial_spread=initial_spread, rngs=rngs)
            for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.norms = nnx.List(nnx.LayerNorm(size, use_bias=False, use_scale=False, rngs=rngs) for size in sizes[1:])

    def __call__(
        self, x: Float[Array, "*batch inputs"], taps: Sequence[Array | None] | None = None
    ) -> tuple[Float[Array, "*batch classes"], tuple[Float[Array, "*batch features"], ...]]:
        """Logits, and the input of each analogue layer; `taps` are added at the layers' outputs."""
        taps = taps if taps is not None else (None,) * len(self.layers)
        if len(taps) != len(self.layers):
            raise InputError("taps", f"hold one for each of {len(self.layers)} layers", f"{len(taps)} of them")
        inputs = []
        for index, (layer, norm, tap) in enumerate(zip(self.layers, self.norms, taps, strict=True)):
            inputs.append(x)
            x = norm(layer(x, tap))
            if index < len(self.layers) - 1:
                x = jax.nn.relu(x)
        return x, tuple(inputs)
