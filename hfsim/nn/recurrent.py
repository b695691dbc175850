"""Analogue LSTM and GRU cells for flax nnx, and a scan over time.

LSTM: S. Hochreiter, J. Schmidhuber, Neural Computation 9, 1735 (1997), with a forget gate. Input and hidden state
drive one array of (inputs + hidden, 4 hidden) together; gates and memory are digital:

    [i f g o] = [x h] W + b        c' = sig(f) c + sig(i) tanh(g)        h' = sig(o) tanh(c')

GRU: K. Cho et al., EMNLP (2014), in the form in which the reset gate follows the product (as flax, cuDNN and PyTorch
have it, without their second bias). Gate r multiplies what the hidden state alone gives to n, so that no sum over
[x h] serves it: there are two arrays, (inputs, 3 hidden) and (hidden, 3 hidden), and two taps.

    [r z n]_x = x W + b     [r z n]_h = h U
    r = sig(r_x + r_h)      z = sig(z_x + z_h)      n = tanh(n_x + r n_h)      h' = (1 - z) n + z h

Both are cells of flax: (carry, inputs) to (carry, outputs). x and h of an LSTM share the array's converters and the
scaling of its inputs; |h| < 1.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Key

from hfsim.draws import address, stream
from hfsim.learning.factors import Factors
from hfsim.nn.array import LECUN, AnalogArray, check_counts

ORTHOGONAL = jax.nn.initializers.orthogonal()
"""What flax initialises recurrent matrices with."""


class GRUTaps(NamedTuple):
    """Factors of a GRU's two arrays."""

    inputs: Factors
    hidden: Factors


class AnalogLSTMCell(nnx.RNNCellBase):
    """One step of a long short-term memory; the bias starts at 0.

    Args:
        in_features, hidden_features: sizes.
        initialiser, recurrent_initialiser: of the rows that x and h drive.
        rngs: nnx random streams; `params` is used.
        options: of `AnalogArray`: periphery, scale, ...
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        initialiser: Any = LECUN,
        recurrent_initialiser: Any = ORTHOGONAL,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        def both(key, shape, dtype):
            x = initialiser(stream(key, "inputs"), (in_features, shape[1]), dtype)
            h = recurrent_initialiser(stream(key, "hidden"), (hidden_features, shape[1]), dtype)
            return jnp.concatenate([x, h])

        check_counts(in_features=in_features, hidden_features=hidden_features)
        self.in_features, self.hidden_features = in_features, hidden_features
        rows, columns = in_features + hidden_features, 4 * hidden_features
        self.array = AnalogArray(rows, columns, initialiser=both, rngs=rngs, **options)
        self.bias = nnx.Param(jnp.zeros(columns, jnp.float32))

    def __call__(
        self,
        carry: tuple[Array, Array],
        inputs: Float[Array, "*batch inputs"],
        tap: Factors | None = None,
        key: Key[Array, ""] | None = None,
        *,
        first=0,
    ) -> tuple[tuple[Array, Array], Float[Array, "*batch hidden"]]:
        """The carry (c, h) after one step, and h; tap, key and first as in `AnalogArray`."""
        c, h = carry
        gates = self.array(jnp.concatenate([inputs, h], axis=-1), tap, key, first=first) + self.bias.get_value()
        i, f, g, o = jnp.split(gates, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (c, h), h

    def zero_taps(self, inputs: Any) -> Factors:
        """The tap for inputs like these; for all steps where they have a leading axis of time."""
        both = (*inputs.shape[:-1], self.in_features + self.hidden_features)
        return self.array.zero_taps(jax.ShapeDtypeStruct(both, inputs.dtype))

    def initialize_carry(self, input_shape, rngs=None, carry_init=None):
        """Zeros; the arguments after the shape are flax's, and not used."""
        zeros = jnp.zeros((*input_shape[:-1], self.hidden_features))
        return zeros, zeros

    @property
    def num_feature_axes(self) -> int:
        """Axes of one input."""
        return 1


class AnalogGRUCell(nnx.RNNCellBase):
    """One step of a gated recurrent unit; the bias starts at 0.

    Args:
        in_features, hidden_features: sizes.
        initialiser, recurrent_initialiser: of the two matrices.
        rngs: nnx random streams; `params` is used.
        options: of both `AnalogArray`s: periphery, scale, ...
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        initialiser: Any = LECUN,
        recurrent_initialiser: Any = ORTHOGONAL,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        check_counts(in_features=in_features, hidden_features=hidden_features)
        self.in_features, self.hidden_features = in_features, hidden_features
        columns = 3 * hidden_features
        self.inputs = AnalogArray(in_features, columns, initialiser=initialiser, rngs=rngs, **options)
        self.hidden = AnalogArray(hidden_features, columns, initialiser=recurrent_initialiser, rngs=rngs, **options)
        self.bias = nnx.Param(jnp.zeros(columns, jnp.float32))

    def __call__(
        self,
        carry: Float[Array, "*batch hidden"],
        inputs: Float[Array, "*batch inputs"],
        tap: GRUTaps | None = None,
        key: Key[Array, ""] | None = None,
        *,
        first=0,
    ) -> tuple[Array, Float[Array, "*batch hidden"]]:
        """The hidden state after one step, twice; tap, key and first as in `AnalogArray`."""
        taps = (None, None) if tap is None else tap
        keys = (None, None) if key is None else (stream(key, "inputs"), stream(key, "hidden"))
        x = self.inputs(inputs, taps[0], keys[0], first=first) + self.bias.get_value()
        h = self.hidden(carry, taps[1], keys[1], first=first)
        (r_x, z_x, n_x), (r_h, z_h, n_h) = jnp.split(x, 3, axis=-1), jnp.split(h, 3, axis=-1)
        r, z = jax.nn.sigmoid(r_x + r_h), jax.nn.sigmoid(z_x + z_h)
        new = (1 - z) * jnp.tanh(n_x + r * n_h) + z * carry
        return new, new

    def zero_taps(self, inputs: Any) -> GRUTaps:
        """Taps for inputs like these; for all steps where they have a leading axis of time."""
        hidden = jax.ShapeDtypeStruct((*inputs.shape[:-1], self.hidden_features), inputs.dtype)
        return GRUTaps(self.inputs.zero_taps(inputs), self.hidden.zero_taps(hidden))

    def initialize_carry(self, input_shape, rngs=None, carry_init=None):
        """Zeros; the arguments after the shape are flax's, and not used."""
        return jnp.zeros((*input_shape[:-1], self.hidden_features))

    @property
    def num_feature_axes(self) -> int:
        """Axes of one input."""
        return 1


def scan_cell(
    cell: Any,
    carry: Any,
    inputs: Float[Array, "time *batch inputs"],
    taps: Any = None,
    key: Key[Array, ""] | None = None,
    *,
    first=0,
    start=0,
) -> tuple[Any, Float[Array, "time *batch hidden"]]:
    """A cell over time, its weights the same in all steps.

    Args:
        cell: an analogue cell, or anything that is called as one.
        carry: before the first step.
        inputs: of all steps.
        taps: `cell.zero_taps(inputs)`: their cotangents are the factors of all steps, in order.
        key: of this sequence; step t reads at the address (key, start + t). None reads without noise.
        first: number of the batch's first sequence in the batch that it is a part of.
        start: number of the first step, so that a sequence cut in time draws the same.

    Returns:
        The carry after the last step, and the outputs of all.
    """

    def step(carry, present):
        t, x, tap = present
        return cell(carry, x, tap, None if key is None else address(key, t), first=first)

    return jax.lax.scan(step, carry, (start + jnp.arange(inputs.shape[0]), inputs, taps))
