"""A matrix of any size on arrays of a given size.

W of shape (inputs, outputs) is cut into tiles of `rows` inputs and `outputs` outputs, the last ones padded with
weight 0; each column of W is divided by its own largest magnitude, or all by that of W, so that weights fill the
window. Tiles that share inputs add their converted outputs in numbers. With tiles T_r x T_c, arrays have the shape
(T_r, T_c, rows, columns).
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from hfsim.crossbar.encoding import AbstractEncoding
from hfsim.crossbar.kernel import Cells, Kernel
from hfsim.draws import address, stream
from hfsim.errors import InputError


class Placed(NamedTuple):
    """A matrix on tiles: the conductances that hold it [uS], and what each output is multiplied by."""

    targets: Float[Array, "row_tiles column_tiles rows columns"]
    scale: Float[Array, " outputs"]


class Mapping(eqx.Module):
    """How a matrix is placed on tiles."""

    encoding: AbstractEncoding
    tile: tuple[int, int] | None = eqx.field(static=True, default=None)
    per_column: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        tile = self.tile
        if tile is not None and (len(tile) != 2 or not all(isinstance(n, int) and n > 0 for n in tile)):
            raise InputError("tile", "be (inputs, outputs), integers >= 1, or None for one array", repr(tile))

    def place(self, W: Float[Array, "inputs outputs"]) -> Placed:
        """Targets of all tiles; a column of zeros has scale 1."""
        if W.ndim != 2 or not all(W.shape):
            raise InputError("W", "be a matrix with at least one row and column", f"of shape {W.shape}")
        most = jnp.max(jnp.abs(W), axis=0 if self.per_column else None)
        scale = jnp.broadcast_to(jnp.where(most > 0, most, 1.0), W.shape[1:])
        return Placed(self.encoding.targets(self.split(W / scale)), scale)

    def split(self, w: Float[Array, "inputs outputs"]) -> Float[Array, "row_tiles column_tiles rows outputs"]:
        """A matrix cut into tiles, padded with zeros."""
        rows, outputs = self.tile or w.shape
        w = jnp.pad(w, ((0, -w.shape[0] % rows), (0, -w.shape[1] % outputs)))
        return jnp.swapaxes(w.reshape(w.shape[0] // rows, rows, -1, outputs), 1, 2)

    def join(self, tiles: Float[Array, "row_tiles column_tiles rows outputs"], shape: tuple[int, int]):
        """The matrix of `shape` that tiles hold."""
        joined = jnp.swapaxes(tiles, 1, 2)
        whole = joined.reshape(joined.shape[0] * joined.shape[1], -1)
        return whole[: shape[0], : shape[1]]

    def weights(self, G, scale: Float[Array, " outputs"], inputs: int) -> Float[Array, "inputs outputs"]:
        """The matrix that conductances [uS] of tiles hold."""
        return self.join(self.encoding.weights(G), (inputs, len(scale))) * scale


def multiply(
    kernel: Kernel,
    cells: Cells,
    scale: Float[Array, " outputs"],
    x: Float[Array, "*batch inputs"],
    key: Key[Array, ""] | None = None,
    *,
    first=0,
) -> Float[Array, "*batch outputs"]:
    """x W through tiles of `cells`; tile (r, c) draws at the address (key, r, c).

    Raises:
        InputError: inputs that do not fit the tiles.
    """
    (row_tiles, _, rows, _), x = _tiles(cells), jnp.asarray(x)
    if not (row_tiles - 1) * rows < x.shape[-1] <= row_tiles * rows:
        raise InputError("x", f"have up to {row_tiles * rows} features, on {row_tiles} tiles", f"shape {x.shape}")
    parts = _padded(x, rows)
    y = _over_tiles(lambda c, v, k: kernel(c, v, k, first=first), cells, key, parts, by_row=True)
    y = jnp.concatenate(list(jnp.sum(y, axis=0)), axis=-1)[..., : len(scale)]
    return y * scale


def multiply_transposed(
    kernel: Kernel,
    cells: Cells,
    scale: Float[Array, " outputs"],
    delta: Float[Array, "*batch outputs"],
    key: Key[Array, ""] | None = None,
    *,
    inputs: int,
    first=0,
) -> Float[Array, "*batch inputs"]:
    """delta W^T through the same tiles, bit lines driven."""
    _tiles(cells)
    delta = jnp.asarray(delta)
    if delta.shape[-1] != len(scale):
        raise InputError("delta", f"have {len(scale)} features on its last axis", f"shape {delta.shape}")
    # how many outputs a tile's columns make, only the encoding knows
    outputs = kernel.encoding.weights(cells.G[:1, :1]).shape[-1]
    parts = _padded(delta * scale, outputs)
    key = None if key is None else stream(key, "transposed")
    x = _over_tiles(lambda c, v, k: kernel.transposed(c, v, k, first=first), cells, key, parts, by_row=False)
    return jnp.concatenate(list(jnp.sum(x, axis=1)), axis=-1)[..., :inputs]


def _tiles(cells: Cells) -> tuple[int, ...]:
    if cells.G.ndim != 4:
        raise InputError("cells.G", "have shape (row_tiles, column_tiles, rows, columns)", f"of shape {cells.G.shape}")
    return cells.G.shape


def _padded(x, size: int):
    """(tiles, *batch, size), the last axis cut and padded with zeros."""
    x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, -x.shape[-1] % size)])
    return jnp.moveaxis(x.reshape(*x.shape[:-1], -1, size), -2, 0)


def _over_tiles(function: Any, cells: Cells, key, parts, *, by_row: bool):
    row_tiles, column_tiles = cells.G.shape[:2]
    keys = None
    if key is not None:
        r, c = np.meshgrid(np.arange(row_tiles), np.arange(column_tiles), indexing="ij")
        keys = jax.vmap(jax.vmap(lambda r, c: address(key, r, c)))(jnp.asarray(r), jnp.asarray(c))
    if row_tiles * column_tiles == 1:  # the common case, without batched products
        one = jax.tree.map(lambda leaf: leaf[0, 0], (cells, keys))
        return function(one[0], parts[0], one[1])[None, None]
    along_columns = jax.vmap(function, in_axes=(0, None if by_row else 0, 0))
    return jax.vmap(along_columns, in_axes=(0, 0 if by_row else None, 0))(cells, parts, keys)
