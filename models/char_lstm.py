"""Characters to the characters that come next: analogue LSTM layers and an analogue output layer.

    character -> one-hot -> LSTM -> ... -> LSTM -> linear -> logits

A character drives one row of the first array, beside the hidden state: no embedding, which would be a second matrix
for what a row of the first one already is (as T. Gokmen, M. J. Rasch, W. Haensch, Front. Neurosci. 12, 745 (2018), who
train this network on arrays, with the same text). Dropout acts on what a layer hands up, never on what it hands to its
own next step (W. Zaremba, I. Sutskever, O. Vinyals, arXiv:1409.2329); its masks have a key of their own, and without
one there is none.

The carry goes in and comes out, so that a text can be read in chunks.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from hfsim.draws import address, require_key, stream
from hfsim.errors import InputError
from hfsim.learning import Factors
from hfsim.nn import AnalogLinear, AnalogLSTMCell, scan_cell

Carry = tuple[tuple[Float[Array, "batch hidden"], Float[Array, "batch hidden"]], ...]
"""Memory and hidden state (c, h) of each layer."""


class CharTaps(NamedTuple):
    """Factors of each LSTM layer's array and of the output layer's, of all steps."""

    cells: tuple[Factors, ...]
    head: Factors


class CharLSTM(nnx.Module):
    """A recurrent network over characters.

    Args:
        vocabulary: how many characters there are.
        hidden: size of each LSTM layer.
        layers: number of LSTM layers.
        dropout: share of a layer's outputs that training leaves out.
        rngs: nnx random streams; `params` is used.
        options: of each array (`hfsim.nn.AnalogArray`): periphery, scale, ...; not the initialiser, which LSTM cells
            have two of.
    """

    def __init__(
        self,
        vocabulary: int,
        hidden: int = 64,
        layers: int = 2,
        *,
        dropout: float = 0.0,
        rngs: nnx.Rngs,
        **options: Any,
    ):
        if not isinstance(layers, int) or isinstance(layers, bool) or layers < 1:
            raise InputError("layers", "be an integer >= 1", repr(layers))
        if not 0 <= dropout < 1:
            raise InputError("dropout", "lie in [0, 1)", dropout)
        self.vocabulary, self.dropout = vocabulary, dropout
        self.cells = nnx.List(
            AnalogLSTMCell(hidden if layer else vocabulary, hidden, rngs=rngs, **options) for layer in range(layers)
        )
        self.head = AnalogLinear(hidden, vocabulary, rngs=rngs, **options)

    def __call__(
        self,
        codes: Int[Array, "time batch"],
        taps: CharTaps | None = None,
        key: Key[Array, ""] | None = None,
        *,
        carry: Carry | None = None,
        dropout_key: Key[Array, ""] | None = None,
        first=0,
        start=0,
    ) -> tuple[Carry, Float[Array, "time batch vocabulary"]]:
        """The carry after the last character, and logits of the next character after each.

        Args:
            codes: characters by their numbers in the vocabulary.
            taps: `zero_taps(codes)`: their cotangents are the factors of the arrays' gradients.
            key: of the reads; None reads without noise.
            carry: before the first character; None starts from zeros.
            dropout_key: of the masks; None leaves nothing out.
            first: number of the first sequence in the batch that it is a part of.
            start: number of the first character in the sequence that it is a part of.

        Raises:
            InputError: codes, taps or a carry that do not fit.
        """
        if jnp.ndim(codes) != 2 or not jnp.issubdtype(jnp.result_type(codes), jnp.integer):
            raise InputError("codes", "be integers of shape (time, batch)", f"{jnp.result_type(codes)}{codes.shape}")
        carry = self.initial_carry(codes.shape[1]) if carry is None else carry
        tap_cells, tap_head = (None,) * len(self.cells) if taps is None else taps.cells, taps and taps.head
        for name, given in (("taps", tap_cells), ("carry", carry)):
            if len(given) != len(self.cells):
                raise InputError(name, f"be of {len(self.cells)} LSTM layers", f"of {len(given)}")
        x, after = jax.nn.one_hot(codes, self.vocabulary), []
        for layer, (cell, before, tap) in enumerate(zip(self.cells, carry, tap_cells, strict=True)):
            own = None if key is None else address(stream(key, "cells"), layer)
            state, x = scan_cell(cell, before, x, tap, own, first=first, start=start)
            after.append(state)
            if dropout_key is not None and self.dropout:
                x = x * self._mask(address(require_key(dropout_key), layer), x, first, start)
        return tuple(after), self._logits(x, tap_head, key, first, start)

    def initial_carry(self, batch: int) -> Carry:
        """Zeros for this number of sequences."""
        return tuple(cell.initialize_carry((batch, cell.in_features)) for cell in self.cells)

    def zero_taps(self, codes: Any) -> CharTaps:
        """Taps for characters like these."""

        def like(features):
            return jax.ShapeDtypeStruct((*codes.shape, features), jnp.float32)

        cells = tuple(cell.zero_taps(like(cell.in_features)) for cell in self.cells)
        return CharTaps(cells, self.head.zero_taps(like(self.head.array.in_features)))

    def _logits(self, x, tap, key, first, start):
        if key is None:
            return self.head(x, tap)

        def step(t, x, tap):  # each step a read of its own, as in the cells, wherever a text is cut
            return self.head(x, tap, address(stream(key, "head"), t), first=first)

        return jax.vmap(step)(start + jnp.arange(x.shape[0]), x, tap)

    def _mask(self, key, x, first, start) -> Float[Array, "time batch hidden"]:
        """0 where an output is left out, and so much more elsewhere that the mean stays."""

        def row(t, b):
            return jax.random.bernoulli(address(key, t, b), 1 - self.dropout, x.shape[2:])

        rows = jax.vmap(lambda t: jax.vmap(lambda b: row(t, b))(first + jnp.arange(x.shape[1])))
        return rows(start + jnp.arange(x.shape[0])) / (1 - self.dropout)
