"""One row of an array: read by driving it alone, and pulsed by itself."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from hfsim.crossbar.kernel import Cells, Kernel
from hfsim.draws import address, event_hash, normal, stream
from hfsim.learning.pulsed_update import PulsedArray
from hfsim.learning.synapse import AbstractSynapse
from hfsim.parameters import PhysicalModel, parameter


class RowRead(PhysicalModel):
    """How a row of weights reaches the digital side.

    `sigma` is the noise of a read, per device and anew each time; with a `kernel` the row goes through its converters,
    driven at full scale, all other rows being at ground.
    """

    kernel: Kernel | None = None
    sigma: Float[Array, ""] = parameter(
        unit="1", bounds=(0.0, 10.0), doc="standard deviation of a read, in weight", default=0.0
    )

    def __call__(self, w: Float[Array, " outputs"], key: Key[Array, ""]) -> Float[Array, " outputs"]:
        """The row as it is read."""
        noisy = w + self.sigma * normal(stream(key, "noise"), w.shape, w.dtype)
        if self.kernel is None:
            return noisy
        G = self.kernel.encoding.targets(noisy[None])
        return self.kernel(Cells(G), jnp.ones((1,), w.dtype), stream(key, "converters"))


def row_of(tree: Any, shape: tuple[int, ...], row: Int[Array, ""]) -> Any:
    """A device model or state of an array of `shape` (inputs, outputs), its leaves of that shape cut to one row.

    Taken out once: a row that is read again after it was replaced would make XLA copy whole arrays.
    """

    def cut(leaf):
        return jax.lax.dynamic_slice_in_dim(leaf, row, 1, jnp.ndim(leaf) - 2) if _is_array_of(leaf, shape) else leaf

    return jax.lax.optimization_barrier(jax.tree.map(cut, tree))


def with_row(tree: Any, part: Any, shape: tuple[int, ...], row: Int[Array, ""]) -> Any:
    """The state with one row replaced by `part`; of leaves that have no rows, the new ones."""

    def put(leaf, new):
        axis = jnp.ndim(leaf) - 2
        return jax.lax.dynamic_update_slice_in_dim(leaf, new, row, axis) if _is_array_of(leaf, shape) else new

    return jax.tree.map(put, tree, part)


def pulsed_row(
    synapse: AbstractSynapse,
    array: PulsedArray,
    row: Int[Array, ""],
    counts: Int[Array, " outputs"],
    key: Key[Array, ""],
    number: Int[Array, ""],
    limit: int,
) -> PulsedArray:
    """The array after signed numbers of pulses on one row; (key, number) is their address."""
    shape = array.pulses.shape
    own, counts = row_of(synapse, shape, row), counts[None]
    event = event_hash(stream(key, "pulses"), number, counts.shape)
    devices = own.pulses(
        row_of(array.devices, shape, row), counts, event, address(stream(key, "devices"), number), limit
    )
    devices = own.written(devices, counts != 0, event)
    return PulsedArray(with_row(array.devices, devices, shape, row), array.pulses.at[row].add(jnp.abs(counts[0])))


def _is_array_of(leaf: Any, shape: tuple[int, ...]) -> bool:
    """Whether a leaf's last axes are those of the array, as of devices and of tables of them."""
    return jnp.ndim(leaf) >= len(shape) and jnp.shape(leaf)[-len(shape) :] == shape
