"""A noisy matrix that behaves like one of numpy's, for those who want no more than that.

    xbar = Crossbar.program(W, card="cmo-hfox-2025", key=jax.random.key(0))
    xbar @ x                      # W x, as the chip computes it
    x @ xbar                      # x W, through the same devices from the other side
    xbar.after("10 years") @ x    # the same chip, later

An object is a value: it never changes, and every method gives a new one. It holds the key of its reads, so that the
same product gives the same numbers; `xbar.product(x, key)` reads with another key, `xbar.reading(key)` is the same
chip with another one. Products are compiled: whether a network of wires converged is asked of
`xbar.kernel.wires.solve`.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Key

from hfsim.cards import Card, load_card
from hfsim.circuits.wires import Wires
from hfsim.crossbar.design import CrossbarDesign
from hfsim.crossbar.encoding import AbstractEncoding
from hfsim.crossbar.inputs import IterativeBound, LargestInput
from hfsim.crossbar.kernel import Cells, Kernel
from hfsim.crossbar.tiles import Mapping, multiply, multiply_transposed
from hfsim.devices.retention import AbstractRetention, RetentionState
from hfsim.devices.retention.from_card import retention
from hfsim.draws import require_key, stream
from hfsim.errors import InputError
from hfsim.units import ROOM_TEMPERATURE, duration, seconds


class Crossbar(eqx.Module):
    """A matrix W of shape (outputs, inputs), programmed into arrays; word lines carry the inputs."""

    kernel: Kernel
    mapping: Mapping
    retention: AbstractRetention
    state: RetentionState
    scale: Float[Array, " outputs"]
    key: Key[Array, ""]
    age: Float[Array, ""]
    inputs: int = eqx.field(static=True)
    card: str = eqx.field(static=True)

    @classmethod
    def program(
        cls,
        W: Float[Array, "outputs inputs"],
        *,
        card: Card | str = "cmo-hfox-2025",
        key: Key[Array, ""],
        tile: tuple[int, int] | None = None,
        encoding: AbstractEncoding | None = None,
        wires: Wires | bool = False,
        per_column: bool = True,
        **options: Any,
    ) -> "Crossbar":
        """Program a matrix with the card's statistics of write-verify.

        Args:
            W: any real matrix.
            card: a card, or the name of one, with sections [crossbar] and [retention].
            key: draws programming, relaxation and reads.
            tile: (inputs, outputs) of one array; None takes one array for all.
            encoding: how weights are held; None as the card says.
            wires: whether to solve for the lines' resistance; `Wires` in place of the card's.
            per_column: whether each output's weights fill the window, or those of the whole matrix.
            options: of the kernel (`hfsim.crossbar.Kernel`), such as `backward` or another `adc`.

        Raises:
            InputError: W is no finite matrix, the key is none, or the card describes no array.
        """
        key, W = require_key(key), _matrix(W)
        card = load_card(card) if isinstance(card, str) else card
        kernel = CrossbarDesign.from_card(card).kernel(
            encoding=encoding, wires=wires, **{"scaling": LargestInput(), "bound": IterativeBound(), **options}
        )
        mapping = Mapping(kernel.encoding, tile, per_column)
        placed = mapping.place(W.T)
        model = retention(card)
        state = model.program(model.init(placed.targets.shape, stream(key, "devices")), placed.targets)
        age = jnp.zeros((), placed.scale.dtype)
        return cls(kernel, mapping, model, state, placed.scale, stream(key, "reads"), age, W.shape[1], card.name)

    @property
    def shape(self) -> tuple[int, int]:
        """(outputs, inputs)."""
        return self.scale.shape[-1], self.inputs

    @property
    def T(self) -> "TransposedCrossbar":
        """The transposed matrix: `xbar.T @ d` is `d @ xbar`."""
        return TransposedCrossbar(self)

    @property
    def cells(self) -> Cells:
        """Conductances now and the noise of a read, of all tiles [uS]."""
        return _cells(self.retention, self.state)

    @property
    def conductances(self) -> Float[Array, "row_tiles column_tiles rows columns"]:
        """Conductances now [uS]."""
        return self.cells.G

    @property
    def weights(self) -> Float[Array, "outputs inputs"]:
        """The matrix that the conductances hold now."""
        return self.mapping.weights(self.conductances, self.scale, self.inputs).T

    def product(self, x: Float[Array, "*batch inputs"], key: Key[Array, ""] | None = None):
        """W x for each vector on the last axis: (*batch, outputs). Without a key, with the crossbar's own."""
        if jnp.shape(x)[-1:] != (self.inputs,):
            raise InputError("x", f"be vectors of {self.inputs} features", f"of shape {jnp.shape(x)}")
        return _product(self, x, self.key if key is None else require_key(key))

    def transposed_product(self, d: Float[Array, "*batch outputs"], key: Key[Array, ""] | None = None):
        """W^T d for each vector on the last axis, bit lines driven: (*batch, inputs)."""
        return _transposed_product(self, d, self.key if key is None else require_key(key))

    def after(self, time: str | float, temperature: float = ROOM_TEMPERATURE) -> "Crossbar":
        """The same chip after `time` at rest ("1 h", "10 years", or seconds) at `temperature` [K]."""
        waited = seconds(time) if isinstance(time, str) else time
        state = self.retention.wait(self.state, waited, temperature)
        return dataclasses.replace(self, state=state, age=self.age + waited)

    def reading(self, key: Key[Array, ""]) -> "Crossbar":
        """The same chip, whose reads draw with another key."""
        return dataclasses.replace(self, key=require_key(key))

    def plot(self, x: Float[Array, " inputs"] | None = None, *, tile: tuple[int, int] = (0, 0)):
        """Maps of one tile: conductances, node voltages and currents for the input `x` (all ones without).

        Returns:
            A matplotlib figure.
        """
        from hfsim.plot import crossbar_maps  # matplotlib is needed here alone

        return crossbar_maps(self, x, tile)

    def __matmul__(self, x):
        x = _operand(x)
        return jnp.moveaxis(self.product(jnp.moveaxis(x, -2, -1)), -1, -2) if x.ndim > 1 else self.product(x)

    def __rmatmul__(self, d):
        return self.transposed_product(_operand(d))

    # numpy arrays leave `x @ xbar` to `__rmatmul__`
    __array_priority__ = 200
    __array_ufunc__ = None

    def __repr__(self) -> str:
        traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(self))
        if traced or self.age.ndim:
            many = "traced" if traced else f"{self.age.size} chips"
            return f"Crossbar({self.shape[0]} x {self.shape[1]} on {self.card}, {many})"
        cells = self.cells
        row_tiles, column_tiles, rows, columns = cells.G.shape
        G, noise = np.asarray(cells.G), float(np.mean(np.asarray(cells.sigma)))
        kernel = self.kernel
        wires = "without wires" if kernel.wires is None else f"wires of {float(kernel.wires.r_wl):g} ohm a segment"
        return (
            f"Crossbar of {self.shape[0]} x {self.shape[1]} weights on {self.card}, {duration(float(self.age))} old\n"
            f"  {row_tiles} x {column_tiles} tiles of {rows} x {columns} devices ({type(kernel.encoding).__name__}), "
            f"{wires}\n"
            f"  G {G.min():.1f} to {G.max():.1f} uS, read noise {1e3 * noise:.0f} nS, "
            f"DAC {kernel.dac.bits} bit, ADC {kernel.adc.bits} bit"
        )


class TransposedCrossbar(eqx.Module):
    """A crossbar seen from its bit lines."""

    crossbar: Crossbar

    @property
    def shape(self) -> tuple[int, int]:
        """(inputs, outputs) of the crossbar."""
        outputs, inputs = self.crossbar.shape
        return inputs, outputs

    @property
    def T(self) -> Crossbar:
        """The crossbar itself."""
        return self.crossbar

    def __matmul__(self, d):
        d = _operand(d)
        xbar = self.crossbar
        if d.ndim == 1:
            return xbar.transposed_product(d)
        return jnp.moveaxis(xbar.transposed_product(jnp.moveaxis(d, -2, -1)), -1, -2)

    def __rmatmul__(self, x):
        return self.crossbar.product(_operand(x))

    __array_priority__ = 200
    __array_ufunc__ = None


# Compiled: loops inside would be compiled anew by every product that is made outside of jit.


@jax.jit
def _cells(retention: AbstractRetention, state: RetentionState) -> Cells:
    return Cells(retention.conductance(state), retention.read_sigma(state))


@jax.jit
def _product(xbar: Crossbar, x, key):
    return multiply(xbar.kernel, xbar.cells, xbar.scale, x, key)


@jax.jit
def _transposed_product(xbar: Crossbar, d, key):
    return multiply_transposed(xbar.kernel, xbar.cells, xbar.scale, d, key, inputs=xbar.inputs)


def _matrix(W) -> Float[Array, "outputs inputs"]:
    W = jnp.asarray(W, jnp.result_type(float))
    if W.ndim != 2 or not all(W.shape):
        raise InputError("W", "be a matrix with at least one row and column", f"of shape {W.shape}")
    if not isinstance(W, Tracer) and not bool(np.all(np.isfinite(np.asarray(W)))):
        raise InputError("W", "be finite", "an array with NaN or infinity")
    return W


def _operand(x):
    x = jnp.asarray(x, jnp.result_type(float))
    if x.ndim == 0:
        raise InputError("x", "be a vector or a matrix", "a number", "multiply the result")
    return x
