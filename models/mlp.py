"""The article's multilayer perceptron: analogue layers, layer norm with fixed gain and bias, ReLU.

Martemucci et al., Nature Electronics 8, 921 (2025): 784-200-100-10 for MNIST online; layer norm (gain 1, bias
0, fixed) then ReLU after each hidden layer, layer norm then softmax after the last; no biases (the article is
silent: chosen, since layer norm removes a common shift). Other perceptrons by `activation`, `normalised`, `use_bias`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float, Key

from hfsim.draws import address
from hfsim.errors import InputError
from hfsim.learning import Factors
from hfsim.nn import AnalogLinear

Taps = tuple[Factors, ...]


class MLP(nnx.Module):
    """Layers of the given `sizes`, inputs first; logits come out.

    Args:
        sizes: features of the inputs, of each hidden layer, and of the logits.
        initial_spread: standard deviation of the initial weights, which then have no scale; 100/512 starts words at a
            spread of 100. None leaves initial weights to the layers.
        activation: after each hidden layer.
        normalised: whether each layer is followed by layer norm of gain 1 and bias 0.
        use_bias: whether layers have biases.
        rngs: nnx random streams; `params` is used.
        options: of each layer (`hfsim.nn.AnalogLinear`): periphery, initialiser, scale, ...
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        initial_spread: float | None = 100 / 512,
        activation: Callable = jax.nn.relu,
        normalised: bool = True,
        use_bias: bool = False,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        if len(sizes) < 2:
            raise InputError("sizes", "hold at least an input and an output size", tuple(sizes))
        if initial_spread is not None:
            if not initial_spread >= 0:
                raise InputError("initial_spread", "be at least 0", initial_spread)

            def normal(key, shape, dtype):
                return initial_spread * jax.random.normal(key, shape, dtype)

            options = {"initialiser": normal, "scale": None, **options}
        self.layers = nnx.List(
            AnalogLinear(a, b, use_bias=use_bias, rngs=rngs, **options)
            for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.norms = nnx.List(
            nnx.LayerNorm(size, use_bias=False, use_scale=False, rngs=rngs) for size in sizes[1:] if normalised
        )
        self.activation = activation

    def __call__(
        self,
        x: Float[Array, "*batch inputs"],
        taps: Sequence[Factors | None] | None = None,
        key: Key[Array, ""] | None = None,
        *,
        first=0,
    ) -> Float[Array, "*batch classes"]:
        """Logits.

        Args:
            x: inputs.
            taps: one for each layer (`zero_taps`); their cotangents are the factors of the layers' gradients.
            key: of this pass; None reads without noise.
            first: number of x's first entry along its leading axis in the batch that it is a part of.
        """
        taps = taps if taps is not None else (None,) * len(self.layers)
        if len(taps) != len(self.layers):
            raise InputError("taps", f"hold one for each of {len(self.layers)} layers", f"{len(taps)} of them")
        for index, (layer, tap) in enumerate(zip(self.layers, taps, strict=True)):
            x = layer(x, tap, None if key is None else address(key, index), first=first)
            if self.norms:
                x = self.norms[index](x)
            if index < len(self.layers) - 1:
                x = self.activation(x)
        return x

    def zero_taps(self, x: Any) -> Taps:
        """Taps for inputs like `x`."""
        return tuple(
            layer.zero_taps(jax.ShapeDtypeStruct((*x.shape[:-1], layer.array.in_features), x.dtype))
            for layer in self.layers
        )
