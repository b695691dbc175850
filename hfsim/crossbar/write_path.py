"""Writing into an array: what the other cells see, and what the lines' resistance takes.

A cell between row i and column j sees the difference of its lines. To write V into the selected cell the lines are
held at

              selected row   other rows    selected column   other columns    disturbed cells
    V/2       V              V/2           0                 V/2              V/2 on its row and column
    V/3       V              V/3           0                 2V/3             V/3 on its row and column, -V/3 elsewhere
    gated     V              any (shut)    0                 V                none: the gates of other rows are shut

`write_array` writes an array cell by cell or row by row and gives every cell all that it sees, in order. Equal pulses
in a row count at once (`Merged`: one pulse of n times the width), which is exact for a device whose state alone says
how it goes on: the CMO/HfOx cell, and the FeCAP under fields of one sign (of both: the closure of `GB2Kinetics` keeps
the mean history, so it differs between n pulses and one; measured in docs/models/write_path.md). `OneByOne` sends each.

Resistive lines: `update_voltages` solves the network at the write voltages, with the current that each cell draws at
its own voltage, and gives what is left over each cell: the pulse for `device.apply`. It is that of the pulse's start,
whereas a cell that switches changes its share. FeCAPs draw charge and no current, and lose nothing in this picture.

A pulsed device has steps for one amplitude alone and is refused: what V/2 does to it is not known.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Key

from hfsim.circuits.wires import WireResult, Wires
from hfsim.devices.ferroelectric import FerroelectricCapacitor
from hfsim.devices.interface import AbstractDevice
from hfsim.devices.pulse import Pulse
from hfsim.devices.pulsed import AbstractPulsedDevice
from hfsim.devices.train import checkpointed_scan
from hfsim.draws import address, require_key
from hfsim.errors import InputError
from hfsim.units import ROOM_TEMPERATURE


class LineLevels(NamedTuple):
    """Voltages of the lines over the write voltage."""

    row: float
    other_rows: float
    column: float
    other_columns: float


class CellLevels(NamedTuple):
    """Voltages over the cells over the write voltage: selected, on its row, on its column, elsewhere."""

    selected: float
    row: float
    column: float
    elsewhere: float


class AbstractScheme(eqx.Module):
    """How lines are biased while cells of one row are written."""

    lines: eqx.AbstractClassVar[LineLevels]

    def cells(self) -> CellLevels:
        """What the cells see, by Kirchhoff's voltage law."""
        row, rows, column, columns = self.lines
        return CellLevels(row - column, row - columns, rows - column, rows - columns)

    def open_rows(self, selected: Bool[Array, " rows"]) -> Bool[Array, " rows"]:
        """Rows whose cells conduct while `selected` ones are written."""
        return jnp.ones_like(selected)

    def line_voltages(
        self, voltage, selected: Bool[Array, " rows"], columns: Bool[Array, " columns"]
    ) -> tuple[Float[Array, " rows"], Float[Array, " columns"]]:
        """Voltages [V] of rows and columns that put `voltage` over the cells of `selected` rows and `columns`."""
        rows = voltage * jnp.where(selected, self.lines.row, self.lines.other_rows)
        return rows, voltage * jnp.where(columns, self.lines.column, self.lines.other_columns)


class HalfVoltage(AbstractScheme):
    """V/2: half of the write voltage on the selected row and column, none elsewhere."""

    lines = LineLevels(1.0, 1 / 2, 0.0, 1 / 2)


class ThirdVoltage(AbstractScheme):
    """V/3: a third of it on every other cell, backwards where neither line is selected."""

    lines = LineLevels(1.0, 1 / 3, 0.0, 2 / 3)


class Gated(AbstractScheme):
    """1T1R: a word line opens the gates of one row alone, and columns that are not written follow it.

    No cell is half selected. The lines' resistance stays: see `update_voltages`.
    """

    lines = LineLevels(1.0, 0.0, 0.0, 1.0)

    def cells(self):
        return CellLevels(1.0, 0.0, 0.0, 0.0)

    def open_rows(self, selected):
        return selected


class AbstractRepetition(eqx.Module):
    """How equal pulses in a row are applied."""

    @abc.abstractmethod
    def check(self, device: AbstractDevice, key: Key[Array, ""] | None) -> None:
        """Refuse a device for which it is not right."""

    @abc.abstractmethod
    def apply(self, device, state, pulse: Pulse, count: Int[Array, "..."], key, temperature) -> Any:
        """State after `count` pulses, a number for each device."""


class Merged(AbstractRepetition):
    """n pulses as one of n times the width; needs a device that draws nothing and whose voltage does not lag."""

    def check(self, device, key):
        if key is not None:
            raise InputError("key", "be None: merged pulses draw nothing", "a key", "take OneByOne")
        if isinstance(device, FerroelectricCapacitor) and device.series is not None:
            raise InputError("repetition", "be OneByOne where a series resistance makes the voltage lag", "Merged")

    def apply(self, device, state, pulse, count, key, temperature):
        some = count > 0
        total = Pulse(jnp.where(some, pulse.voltage, 0.0), jnp.where(some, count * pulse.width, 0.0))
        return device.apply(state, total, temperature=temperature)


class OneByOne(AbstractRepetition):
    """Each pulse by itself, drawn at (key, its number in this row of pulses); differentiable in forward mode."""

    def check(self, device, key):
        if key is not None:
            require_key(key)

    def apply(self, device, state, pulse, count, key, temperature):
        def one(number, state):
            due = number < count
            own = None if key is None else address(key, number)
            each = Pulse(jnp.where(due, pulse.voltage, 0.0), jnp.where(due, pulse.width, 0.0))
            return device.apply(state, each, own, temperature=temperature)

        return jax.lax.fori_loop(0, jnp.max(count, initial=0), one, state)


class AbstractOrder(eqx.Module):
    """The order in which the cells of one row are written."""

    @abc.abstractmethod
    def stages(
        self, written: Bool[Array, " columns"], here: Bool[Array, "rows 1"], levels: CellLevels
    ) -> list[tuple[Float[Array, "rows columns"], Int[Array, "rows columns"]]]:
        """What every cell sees while one row is written: (level, number of pulses), stage after stage.

        `written` are the row's cells to be written and `here` marks the row among all.
        """


class CellByCell(AbstractOrder):
    """One cell after the other, from column 0 on: each write disturbs the others on its row too."""

    def stages(self, written, here, levels):
        others = jnp.where(here, levels.row, levels.elsewhere)
        own = jnp.where(here, levels.selected, levels.column)
        before = jnp.cumsum(written) - written
        after = jnp.sum(written) - before - written
        shape = (here.shape[0], written.shape[0])
        stages = ((others, before), (own, written), (others, after))
        return [(jnp.broadcast_to(v, shape), jnp.broadcast_to(n.astype(jnp.int32), shape)) for v, n in stages]


class RowByRow(AbstractOrder):
    """All written cells of a row by one pulse."""

    def stages(self, written, here, levels):
        own = jnp.where(here, levels.selected, levels.column)
        level = jnp.where(written, own, jnp.where(here, levels.row, levels.elsewhere))
        return [(level, jnp.broadcast_to(jnp.any(written).astype(jnp.int32), level.shape))]


def write_array(
    device: AbstractDevice,
    state: Any,
    pulse: Pulse,
    scheme: AbstractScheme,
    written: Bool[Array, "rows columns"],
    *,
    order: AbstractOrder = CellByCell(),
    repetition: AbstractRepetition = Merged(),
    key: Key[Array, ""] | None = None,
    temperature=ROOM_TEMPERATURE,
) -> Any:
    """Write one polarity into an array, row after row, and disturb what the scheme disturbs.

    Args:
        device: any but a pulsed one.
        state: of devices of shape (rows, columns).
        pulse: the write pulse over a selected cell, scalars; the other polarity is another call.
        scheme: the bias of the lines.
        written: the cells that get the pulse.
        order: of the cells of a row.
        repetition: how equal pulses in a row are applied.
        key: where the device draws; the pulses of stage s of row i are at the address (key, i, s).
        temperature: ambient [K].

    Returns:
        The state of all cells afterwards.

    Raises:
        InputError: a pulsed device, a pulse that is not scalar, or a repetition that does not fit.
    """
    _require_amplitudes(device)
    repetition.check(device, key)
    if jnp.ndim(pulse.voltage) or jnp.ndim(pulse.width):
        raise InputError("pulse", "be one pulse for all cells", f"of shape {jnp.shape(pulse.voltage)}", "call for each")
    written = jnp.asarray(written)
    if written.ndim != 2 or written.dtype != bool:
        raise InputError("written", "be booleans of shape (rows, columns)", f"{written.dtype} {written.shape}")
    rows, levels = written.shape[0], scheme.cells()

    def row(state, index):
        here = (jnp.arange(rows) == index)[:, None]
        for stage, (level, count) in enumerate(order.stages(written[index], here, levels)):
            own = None if key is None else address(key, index, stage)
            each = Pulse(level * pulse.voltage, pulse.width)
            state = repetition.apply(device, state, each, jnp.where(level == 0, 0, count), own, temperature)
        return state, None

    if isinstance(repetition, OneByOne):  # a loop of traced length has no reverse mode, nor needs it a checkpoint
        return jax.lax.scan(row, state, jnp.arange(rows))[0]
    return checkpointed_scan(row, state, jnp.arange(rows), length=rows)[0]


def disturb(
    device: AbstractDevice,
    state: Any,
    pulse: Pulse,
    count: Int[Array, "..."] | int,
    *,
    repetition: AbstractRepetition = Merged(),
    key: Key[Array, ""] | None = None,
    temperature=ROOM_TEMPERATURE,
) -> Any:
    """State after `count` equal pulses on each device, such as those of a half-selected cell.

    Args:
        device: any but a pulsed one.
        state: of devices of any shape.
        pulse: what a disturbed cell sees: the level of a scheme's `cells` times the write voltage.
        count: whole number >= 0, or one for each device.
        repetition, key, temperature: as of `write_array`.

    Raises:
        InputError: a pulsed device, a count that is no whole number or is negative, or a repetition that does not fit.
    """
    _require_amplitudes(device)
    repetition.check(device, key)
    negative = not isinstance(count, Tracer) and bool(np.any(np.asarray(count) < 0))
    if not jnp.issubdtype(jnp.result_type(count), jnp.integer) or negative:
        raise InputError("count", "be whole numbers >= 0", count)
    return repetition.apply(device, state, pulse, jnp.asarray(count), key, temperature)


class Delivered(NamedTuple):
    """What resistive lines leave of an update.

    `voltage` over every cell [V]; `residual`: the last change of a voltage over the write voltage; `result`: a
    `WireResult`.
    """

    voltage: Float[Array, "rows columns"]
    residual: Float[Array, ""]
    result: Int[Array, ""]


def update_voltages(
    current: Callable[[Float[Array, "rows columns"]], Float[Array, "rows columns"]],
    voltage: Float[Array, ""] | float,
    scheme: AbstractScheme,
    written: Bool[Array, "rows columns"],
    wires: Wires,
    *,
    sweeps: int = 12,
    tolerance: float = 1e-4,
) -> Delivered:
    """Voltages that reach the cells when `written` ones are pulsed at once through resistive lines.

    Each sweep takes every cell as the chord G = I(U)/U at its last voltage U and solves the network of all lines, rows
    held at their drivers and columns at their sensed ends by the scheme's voltages. A sweep shrinks the error by
    about the share that the lines take times the exponent of I(U); derivatives go through the sweeps, and so are of
    the same accuracy.

    Args:
        current: currents [uA] of the cells at voltages [V] over them, such as
            `lambda V: cell.operating_point(state, V)[0]`; odd in sign, and 0 or more in size.
        voltage: the write voltage [V] between a selected row and column.
        scheme: the bias of all lines.
        written: the cells to write; they span rows x columns: one row, one column, one cell, or a block.
        wires: of ohmic cells (`curve` None: `current` is the curve).
        sweeps: at least 1.
        tolerance: accepted residual.

    Returns:
        Voltages, residual and result code.

    Raises:
        InputError: no block of cells, wires with a curve; outside jit, sweeps that do not suffice.
    """
    if wires.curve is not None:
        raise InputError("wires.curve", "be None: `current` is the cells' curve", type(wires.curve).__name__)
    if not isinstance(written, Tracer) and not _is_block(np.asarray(written)):
        must, remedy = "be all cells between some rows and some columns", "write it in parts"
        raise InputError("written", must, "another pattern", remedy)
    rows, columns = jnp.any(written, axis=1), jnp.any(written, axis=0)
    of_rows, of_columns = scheme.line_voltages(voltage, rows, columns)
    conducting = scheme.open_rows(rows)[:, None]
    nominal = of_rows[:, None] - of_columns
    mirrored, least = _mirrored(wires, (rows.size, columns.size)), 1e-3 * jnp.abs(voltage)

    def sweep(carry, _):
        U = jnp.where(jnp.abs(carry[0]) < least, least, carry[0])
        G = jnp.where(conducting, jnp.maximum(current(U) / U, 0.0), 0.0)
        forward = wires.solve(G, of_rows, throw=False)
        backward = mirrored.solve(_mirror(G).T, of_columns[::-1], throw=False)
        new = forward.word - forward.bit - _mirror((backward.word - backward.bit).T)
        change = jnp.max(jnp.abs(new - carry[0])) / jnp.abs(voltage)
        return (new, change, jnp.maximum(forward.result, backward.result)), None

    start = (nominal, jnp.ones_like(nominal[0, 0]), jnp.zeros((), int))
    (U, residual, code), _ = jax.lax.scan(sweep, start, length=sweeps)
    code = jnp.where((code == WireResult.CONVERGED) & ~(residual <= tolerance), WireResult.ITERATIONS, code)
    if not isinstance(code, Tracer) and code != WireResult.CONVERGED:
        raise InputError("sweeps", "let the voltages converge", sweeps, f"residual {float(residual):.1e}: allow more")
    return Delivered(U, residual, code)


def _is_block(written: np.ndarray) -> bool:
    return bool(np.all(written == np.any(written, axis=1)[:, None] & np.any(written, axis=0)))


def _mirror(x):
    return x[::-1, ::-1]


_TURNED = {"start": "end", "end": "start", "both": "both"}


def _mirrored(wires: Wires, shape: tuple[int, int]) -> Wires:
    """The wires of the array turned over its antidiagonal: its word lines are the columns, driven where they sense."""

    def lines(value, axis):  # one for each line of that axis, in reverse, as the other side wants it
        if value.ndim == 0:
            return value
        along = jnp.broadcast_to(value, (shape[0], 1) if axis == 0 else (1, shape[1])).reshape(-1)[::-1]
        return along if axis == 0 else along[:, None]

    return dataclasses.replace(
        wires,
        r_wl=lines(wires.r_bl, 1),
        R_drive=lines(wires.R_sense, 1),
        r_bl=lines(wires.r_wl, 0),
        R_sense=lines(wires.R_drive, 0),
        driven=_TURNED[wires.sensed],
        sensed=_TURNED[wires.driven],
    )


def _require_amplitudes(device: AbstractDevice) -> None:
    if isinstance(device, AbstractPulsedDevice):
        raise InputError(
            "device",
            "answer the amplitude of a pulse: a pulsed device has steps for one amplitude alone",
            type(device).__name__,
            "take a physical model",
        )
