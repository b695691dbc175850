"""The article's multilayer perceptrons: analogue layers, norms with fixed gain and bias, ReLU.

Martemucci et al., Nature Electronics 8, 921 (2025): 784-200-100-10 for MNIST online; layer norm (gain 1, bias
0, fixed) then ReLU after each hidden layer, layer norm then softmax after the last; batch norm in place of it for
mini-batches, no norm for heartbeats. No biases (the article is silent: chosen, since a norm removes a common shift).
Other perceptrons by `activation`, `norm`, `use_bias`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from hfsim.draws import address
from hfsim.errors import InputError
from hfsim.learning import Factors
from hfsim.nn import AnalogLinear

Taps = tuple[Factors, ...]
EPSILON = 1e-6
"""Added to a variance that is divided by, as flax does."""


class Moments(NamedTuple):
    """Mean and variance of each feature of one layer, before its norm."""

    mean: Float[Array, " features"]
    variance: Float[Array, " features"]

    @classmethod
    def of(cls, x: Float[Array, "*batch features"]) -> "Moments":
        """Those of a batch."""
        axes = tuple(range(x.ndim - 1))
        return cls(jnp.mean(x, axis=axes), jnp.var(x, axis=axes))

    def normalise(self, x: Float[Array, "*batch features"]) -> Float[Array, "*batch features"]:
        """(x - mean)/sqrt(variance + epsilon)."""
        return (x - self.mean) * jax.lax.rsqrt(self.variance + EPSILON)


class MLP(nnx.Module):
    """Layers of the given `sizes`, inputs first; logits come out.

    Args:
        sizes: features of the inputs, of each hidden layer, and of the logits.
        initial_spread: standard deviation of the initial weights, which then have no scale; 100/512 starts words at a
            spread of 100. None leaves initial weights to the layers.
        activation: after each hidden layer.
        norm: what follows each layer, of gain 1 and bias 0: "layer", "batch" or None.
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
        norm: Literal["layer", "batch"] | None = "layer",
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
        if norm not in ("layer", "batch", None):
            raise InputError("norm", 'be "layer", "batch" or None', repr(norm))
        self.norms = nnx.List(
            nnx.LayerNorm(size, epsilon=EPSILON, use_bias=False, use_scale=False, rngs=rngs)
            for size in sizes[1:]
            if norm == "layer"
        )
        self.batch_norm = norm == "batch"
        self.activation = activation

    def __call__(
        self,
        x: Float[Array, "*batch inputs"],
        taps: Sequence[Factors | None] | None = None,
        key: Key[Array, ""] | None = None,
        *,
        first=0,
        moments: Sequence[Moments] | None = None,
    ) -> Float[Array, "*batch classes"]:
        """Logits.

        Args:
            x: inputs.
            taps: one for each layer (`zero_taps`); their cotangents are the factors of the layers' gradients.
            key: of this pass; None reads without noise.
            first: number of x's first entry along its leading axis in the batch that it is a part of.
            moments: what batch norm divides by, of each layer (`population_moments`); None takes those of x.
        """
        return self._pass(x, taps, key, first, moments)[0]

    def population_moments(self, x: Float[Array, "*batch inputs"]) -> tuple[Moments, ...]:
        """What batch norm divides by in inference: the moments of each layer over all of `x`, layer after layer."""
        return self._pass(x, None, None, 0, None)[1]

    def _pass(self, x, taps, key, first, moments) -> tuple[Float[Array, "*batch classes"], tuple[Moments, ...]]:
        count, met = len(self.layers), []
        for name, given in (("taps", taps), ("moments", moments)):
            if given is not None and len(given) != count:
                raise InputError(name, f"hold one for each of {count} layers", f"{len(given)} of them")
        for index, (layer, tap) in enumerate(zip(self.layers, taps or (None,) * count, strict=True)):
            x = layer(x, tap, None if key is None else address(key, index), first=first)
            if self.batch_norm:
                met.append(Moments.of(x) if moments is None else moments[index])
                x = met[-1].normalise(x)
            elif self.norms:
                x = self.norms[index](x)
            if index < count - 1:
                x = self.activation(x)
        return x, tuple(met)

    def zero_taps(self, x: Any) -> Taps:
        """Taps for inputs like `x`."""
        return tuple(
            layer.zero_taps(jax.ShapeDtypeStruct((*x.shape[:-1], layer.array.in_features), x.dtype))
            for layer in self.layers
        )
