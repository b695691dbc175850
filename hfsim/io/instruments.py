"""Which instrument wrote a table, what its columns mean, and the units that it takes for granted."""

import re
from typing import NamedTuple

import numpy as np

from hfsim.errors import InputError
from hfsim.io.assemble import Setup, Source, alike, assemble, ramp
from hfsim.io.numbers import readings
from hfsim.io.quantities import Column, converted, recognise, seen
from hfsim.io.tables import Table
from hfsim.io.text import Text, refusal, shown
from hfsim.io.traces import Trace
from hfsim.units import factor

_SI = {"voltage": "V", "current": "A", "time": "s", "charge": "C", "switched_positive": "C", "switched_negative": "C"}
_MODULES = {"doublesweepseg", "doublesweep", "pundtest", "pundendurance", "reramsweep"}
_RAMP = re.compile(r"(ra?mp|run|trace|device|dev|cycle|pulse ?train)s?[ _#-]*[0-9]+", re.IGNORECASE)
_AREA_UNITS = {"mm2": 1e6, "cm2": 1e8, "um2": 1.0, "m2": 1e12}
_LENGTH_UNITS = {"nm": 1.0, "um": 1e3, "microns": 1e3, "micron": 1e3, "a": 0.1}


class Dialect(NamedTuple):
    """An instrument: its name, and the units of columns whose header has none."""

    instrument: str
    units: dict[str, str]


def dialect(names: list[str] | None) -> Dialect:
    """The instrument of a table by the names of its columns."""
    small = {name.strip().lower() for name in names or ()}
    starts = {re.split(r"[ \[(]", name)[0] for name in small}
    if {"v+", "v-"} <= starts or {"vplus", "vminus"} <= starts:
        return Dialect("aixACCT hysteresis", {})
    if "drive voltage" in {name.partition("(")[0].strip() for name in small}:
        return Dialect("Radiant", {"voltage": "V", "polarisation": "uC/cm2", "time": "ms"})
    if module := small & _MODULES:
        name = next(n for n in names or () if n.strip().lower() in module)
        return Dialect(f"Keithley 4200A, {name.strip()}", _SI)
    if small in ({"v", "i", "t"}, {"v", "i"}) or {"vforce", "imeas"} <= small or {"psw", "qsw"} <= small:
        return Dialect("Keithley 4200A sheet", _SI)
    if {"pw", "amp"} <= small:
        units = {"width": "s", "amplitude": "V", "polarisation": "uC/cm2", "switched": "uC/cm2"}
        return Dialect("table of switching pulses", units)
    return Dialect("table with a header" if names else "table without a header", {})


def read_table(text: Text, table: Table, setup: Setup, notes: list[str]) -> tuple[str, list[Trace]]:
    """(instrument, traces) of one table.

    Raises:
        InputError: columns that nothing is known of, a missing unit, area, thickness or read voltage.
    """
    names = [*setup.columns] if setup.columns is not None else table.names
    width = table.rows.shape[1]
    if names is not None and len(names) != width:
        raise InputError("columns", f"name the {width} columns of {text.name}", f"{len(names)} names")
    known = dialect(names)
    setup = _stated(text, table, setup, notes)
    source = Source(text.name, known.instrument, table.line, notes)
    if names is None:
        return "pulses up and down", _up_and_down(source, table, setup)
    if all(_RAMP.fullmatch(name.strip()) for name in names):
        return "ramps of identical pulses", _ramps(source, names, table, setup)
    columns = _columns(names, table, known, notes)
    if known.instrument.startswith("aixACCT"):
        return known.instrument, _aixacct(source, columns, table, setup)
    if not any(column.quantity not in ("", "index") for column in columns):
        raise refusal(
            text.name,
            "have columns of known names, such as V [V], I [A], t [s], P [uC/cm2], pw, amp",
            shown(", ".join(names)),
            "rename them, or pass columns= and units=",
            line=max(table.line - 1, 1),
        )
    notes.append(seen(columns))
    return known.instrument, assemble(source, columns, table.rows, setup)


def _columns(names: list[str], table: Table, known: Dialect, notes: list[str]) -> list[Column]:
    units = table.units or [None] * len(names)
    columns = [recognise(name, unit) for name, unit in zip(names, units, strict=True)]
    if any(column.quantity == "switched_positive" for column in columns):  # P, U, N, D beside it are charges of pulses
        kept = ("cycle", "switched_positive", "switched_negative")
        columns = [c if c.quantity in kept else c._replace(quantity="") for c in columns]
    granted = []
    for place, column in enumerate(columns):
        if not column.unit and column.quantity in known.units:
            columns[place] = column._replace(unit=known.units[column.quantity])
            granted.append(f"{column.header} in {columns[place].unit}")
    if granted:
        notes.append(f"no unit in the header, taken as usual: {', '.join(granted)}")
    return columns


def _stated(text: Text, table: Table, setup: Setup, notes: list[str]) -> Setup:
    """Area and thickness from the notes above a table; the caller's rule.

    Raises:
        InputError: one that the caller does not give can be read in two ways.
    """
    for argument, units, own in (("area", _AREA_UNITS, "um2"), ("thickness", _LENGTH_UNITS, "nm")):
        stated, values = _quantity_of_note(table, argument, units)
        if not values:
            continue
        given, found = getattr(setup, argument), values[0]
        if len(values) > 1:
            either = f"{shown(stated)}, {found:g} or {values[1]:g} {own}"
            if given is None:
                must = f"state its {argument} in a number that can be read in one way"
                raise refusal(text.name, must, either, f"pass {argument}= in {own}")
            notes.append(
                f"{argument} as given, {given:g} {own}; the file's can be read in two ways and is not used: {either}"
            )
            continue
        if given is None:
            notes.append(f"{argument} from the file: {found:g} {own}")
            setup = setup._replace(**{argument: found})
        elif abs(found / given - 1) > 1e-3:
            notes.append(f"{argument} as given, {given:g} {own}, in place of the file's {found:g} {own}")
        if argument == "area":
            setup = setup._replace(used_area=found)
    return setup


def _quantity_of_note(table: Table, word: str, units: dict[str, float]) -> tuple[str, list[float]]:
    """A note such as "Sample Area (cm2): 1.0E-04", and what its number above 0 can mean; nothing without one."""
    for key, stated in table.notes.items():
        match = re.fullmatch(rf"(?:sample |film |layer |electrode )?{word}\s*[\[(]\s*(\w+)\s*[\])]", key)
        values = readings(stated) if match and match[1] in units else []
        if match and values and values[0] > 0:
            return stated, [value * units[match[1]] for value in values]
    return "", []


def _aixacct(source: Source, columns: list[Column], table: Table, setup: Setup) -> list[Trace]:
    """Three loops: 1 closed and 2 first, both of V+, and 3 of V-."""
    source.seen.append(seen(columns))
    axes = [(column.quantity, column.tag) for column in columns if column.quantity in ("voltage", "time")]
    if len({*axes}) < len(axes):
        raise alike(source, columns)
    drives = {column.tag: place for place, column in enumerate(columns) if column.quantity == "voltage"}
    time = next((place for place, column in enumerate(columns) if column.quantity == "time"), None)
    traces = []
    for tag in dict.fromkeys(column.tag for column in columns if column.quantity == "polarisation"):
        chosen = [p for p, c in enumerate(columns) if c.tag == tag and c.quantity in ("polarisation", "current")]
        drive = drives["-" if tag == "3" else "+"]
        chosen = ([] if time is None else [time]) + [drive, *chosen]
        part = [columns[place]._replace(tag="") for place in chosen]
        found = assemble(source, part, table.rows[:, chosen], setup)
        traces += [Trace(f"P{tag}", t.kind, t.columns, t.units, t.about) for t in found]
    if not traces:
        raise refusal(source.name, "hold polarisations P1, P2, P3 beside V+ and V-", "none", line=source.line - 1)
    return traces


def _ramps(source: Source, names: list[str], table: Table, setup: Setup) -> list[Trace]:
    """One trace for each column, ragged."""
    quantity = _value_quantity(source, setup)
    source.seen.append(f"{len(names)} columns of {quantity}, one ramp each; direction from its trend")
    traces = []
    for place, name in enumerate(names):
        values = table.rows[:, place]
        filled = np.flatnonzero(np.isfinite(values))
        if filled.size < 2:
            raise refusal(source.name, f"hold two pulses or more in column {name!r}", filled.size, line=source.line)
        if filled[-1] >= filled.size:
            gap = int(np.argmax(~np.isfinite(values)))
            raise refusal(
                source.name, f"hold a number in column {name!r}", "an empty cell", "fill it", line=source.line + gap
            )
        column = Column(name, quantity, "", "")
        units = setup.units if isinstance(setup.units, str) else _unit_of_values(setup)
        value = converted(source.name, column, values[: filled.size], units)
        about: dict = {"file": source.name}
        traces.append(ramp(source, name.strip(), {quantity: value}, setup, about))
    return traces


def _unit_of_values(setup: Setup) -> str | None:
    units = setup.units or {}
    assert not isinstance(units, str)
    return next(iter(units.values()), None) if len(set(units.values())) == 1 else None


def _value_quantity(source: Source, setup: Setup) -> str:
    """Current, conductance or resistance: what the caller's unit says."""
    unit = setup.units if isinstance(setup.units, str) else _unit_of_values(setup)
    if not unit:
        raise InputError(
            "units",
            f"say the unit of the values in {source.name}",
            "missing from the file",
            'pass units="A" with read_voltage=, units="uS" or units="ohm"',
        )
    for quantity, own in (("current", "uA"), ("conductance", "uS"), ("resistance", "ohm")):
        try:
            factor(unit, own)
        except InputError:
            continue
        return quantity
    raise InputError("units", "be one of current, conductance or resistance for ramps of pulses", repr(unit))


def _up_and_down(source: Source, table: Table, setup: Setup) -> list[Trace]:
    """Two columns without a header: pulses up and pulses down; one that rises and one that falls."""
    rows = table.rows
    trends = [np.sign(c[np.isfinite(c)][-1] - c[np.isfinite(c)][0]) if np.isfinite(c).any() else 0.0 for c in rows.T]
    if rows.shape[1] != 2 or sorted(trends) != [-1.0, 1.0]:
        raise InputError(
            "columns",
            f"name the {rows.shape[1]} columns of {source.name}",
            "missing: the file has no header",
            'pass columns=["V [V]", "I [A]"], say; pulses up and down are one column that rises and one that falls',
        )
    source.seen.append("no header: the column that rises is of pulses up, the one that falls of pulses down")
    names = ["up" if trend > 0 else "down" for trend in trends]
    return _ramps(source, names, table, setup)
