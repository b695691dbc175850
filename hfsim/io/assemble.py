"""From recognised columns to traces: what belongs together, what follows from area, thickness and read voltage.

P[uC/cm2] = Q[fC]/(10 S[um2])      E[MV/cm] = 10 V/t[nm]      G[uS] = I[uA]/V_read[V] = 1e6/R[ohm]
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from hfsim.errors import InputError
from hfsim.io.quantities import UNITS, Column, converted
from hfsim.io.text import refusal, shown
from hfsim.io.traces import Trace
from hfsim.units import CHARGE_OF_POLARISATION, FIELD_OF_VOLT_PER_NM

_LEFT_OUT = ("", "index")
_AXES = {"time", "cycle", "pulse", "width", "amplitude", "voltage", "field"}  # what runs side by side may share
_AREA_AGREES = 0.05
"""A given area that departs by more from the one that the instrument used rescales its polarisation; chosen: integrals
of a loop of 40 samples are good to 3 %."""


class Setup(NamedTuple):
    """What the caller knows and the file does not say: see `hfsim.io.read`; and the area [um2] that the file states."""

    area: float | None
    thickness: float | None
    units: Mapping[str, str] | str | None
    columns: Sequence[str] | None
    read_voltage: float | None
    used_area: float | None = None


class Source(NamedTuple):
    """Where values come from: the file's name, its instrument, the line of the first row, and what was seen so far."""

    name: str
    instrument: str
    line: int
    seen: list[str]


def assemble(
    source: Source, columns: list[Column], rows: Float[np.ndarray, "rows columns"], setup: Setup
) -> list[Trace]:
    """The traces of one table.

    Raises:
        InputError: a quantity that is needed is missing from file and call, or a number from the middle of a column, or
            columns cannot be told apart.
    """
    columns = _told_apart(source, columns)
    traces = []
    for tag, places in _groups(source, columns):
        names = {q: columns[place].header for q, place in places.items()}
        values = _complete(source, names, {q: rows[:, place] for q, place in places.items()})
        values = {q: converted(source.name, columns[places[q]], v, setup.units) for q, v in values.items()}
        traces += traces_of(source, tag, values, setup)
    return traces


def _told_apart(source: Source, columns: list[Column]) -> list[Column]:
    """The columns, those alike numbered in their order: V, I, V, I are two runs, V, I, I two currents over one voltage.

    Raises:
        InputError: it is not clear which of them belong together.
    """
    known = [column for column in columns if column.quantity not in _LEFT_OUT]
    counts = Counter((column.quantity, column.tag) for column in known)
    apart, tags = [*columns], {column.tag for column in columns}
    for tag in dict.fromkeys(tag for (_, tag), count in counts.items() if count > 1):
        again = [p for p, c in enumerate(columns) if c.tag == tag and counts[c.quantity, tag] > 1]
        size = len({columns[place].quantity for place in again})
        runs = [again[first : first + size] for first in range(0, len(again), size)]
        names = [f"{tag} ({number})" if tag else f"{number}" for number in range(1, len(runs) + 1)]
        if not _are_runs(known, counts, tag) or not tags.isdisjoint(names):
            raise alike(source, columns)
        for name, run in zip(names, runs, strict=True):
            for place in run:
                apart[place] = columns[place]._replace(tag=name)
        said = (f"{name} of {', '.join(columns[p].header for p in run)}" for name, run in zip(names, runs, strict=True))
        source.seen.append(f"columns alike, numbered: {'; '.join(said)}")
    return apart


def _are_runs(known: list[Column], counts: Counter[tuple[str, str]], tag: str) -> bool:
    """Whether the columns of a tag that recur are runs side by side, and all that is beside them goes with each run."""
    again = [c.quantity for c in known if c.tag == tag and counts[c.quantity, tag] > 1]
    block = [*dict.fromkeys(again)]
    once = {c.quantity for c in known if c.tag == tag} - {*block}
    if any(c.quantity in once and c.tag != tag for c in known):
        return False  # V2, I2, V1, I1, I1: V1 would go with neither I1
    if len(block) == 1:
        return block[0] not in _AXES
    first = next(place for place, c in enumerate(known) if c.tag == tag and c.quantity in block)
    before, beyond = ({c.quantity for c in part} - {*block} for part in (known[:first], known[first:]))
    return again == block * (len(again) // len(block)) and before <= _AXES and not beyond


def alike(source: Source, columns: list[Column]) -> InputError:
    """The refusal of columns that cannot be told apart."""
    return refusal(
        source.name,
        "name its columns so that it is clear which belong together",
        shown(", ".join(column.header for column in columns)),
        "number them, as in V1, I1, V2, I2, or remove one",
        line=max(source.line - 1, 1),
    )


def _groups(source: Source, columns: list[Column]) -> list[tuple[str, dict[str, int]]]:
    """(tag, column by quantity) of each curve: what there is several times by its tag, what there is once in all."""
    known = [place for place, column in enumerate(columns) if column.quantity not in _LEFT_OUT]
    counts = Counter(columns[place].quantity for place in known)
    shared = {columns[place].quantity: place for place in known if counts[columns[place].quantity] == 1}
    own: dict[str, dict[str, int]] = {}
    for place in known:
        if counts[columns[place].quantity] > 1:
            own.setdefault(columns[place].tag, {})[columns[place].quantity] = place
    if "voltage" in counts and not all("voltage" in part for part in own.values()):
        first = next(place for place in known if columns[place].quantity == "voltage")
        shared = shared | {"voltage": first}  # several currents over one voltage
        own = {tag: part for tag, part in own.items() if part.keys() - {"voltage"}} or own
    groups = [(tag, shared | part) for tag, part in own.items()] or [("", shared)]
    used = {place for _, places in groups for place in places.values()}
    if rest := [columns[place].header for place in known if place not in used]:
        source.seen.append(f"of no curve, left out: {', '.join(rest)}")
    return groups


def _complete(source: Source, names: dict[str, str], values: dict[str, Any]) -> dict[str, Any]:
    """Columns up to their common end; a gap before it is refused."""
    table = np.stack([*values.values()])
    filled = np.flatnonzero(np.any(np.isfinite(table), axis=0))
    end = 0 if filled.size == 0 else int(filled[-1]) + 1
    gaps = np.argwhere(~np.isfinite(table[:, :end].T))
    if end == 0 or gaps.size:
        row, column = (0, 0) if end == 0 else gaps[0]
        raise refusal(
            source.name,
            f"hold a number in column {[*names.values()][int(column)]!r}",
            "an empty cell",
            "fill it, or remove the row",
            line=source.line + int(row),
        )
    return {quantity: v[:end] for quantity, v in values.items()}


def traces_of(source: Source, tag: str, values: dict[str, Any], setup: Setup) -> list[Trace]:
    """Traces of one set of columns, in hfsim's units."""
    about = {"file": source.name} | {k: v for k, v in (("area", setup.area), ("thickness", setup.thickness)) if v}
    has = values.keys()
    if "time" in has and np.any(np.diff(values["time"]) < 0):
        row = int(np.argmax(np.diff(values["time"]) < 0)) + 1
        raise refusal(source.name, "have times that rise", "one that falls", "one run a file", line=source.line + row)
    if "field" in has and "voltage" not in has:
        thickness = _needed(setup.thickness, "thickness", "nm", f"{source.name} holds fields and no voltages")
        values = values | {"voltage": values["field"] * thickness / FIELD_OF_VOLT_PER_NM}
    if {"switched_positive", "switched_negative"} <= has:
        return [_endurance(source, tag, values, setup, about)]
    if {"amplitude", "width"} <= has and {"polarisation", "switched", "charge"} & has:
        return _switching(source, tag, _with_polarisation(source, values, setup), about)
    if _of_pulses({*has}):
        return [ramp(source, tag or "ramp", values, setup, about)]
    if "voltage" in has and {"polarisation", "charge"} & has:
        used = implied_area(values)
        values = _with_polarisation(source, values, setup)
        about = about | ({"area": used} if used and not setup.area else {})
        return [_trace(tag or "loop", "loop", values, setup, about)]
    if {"voltage", "current"} <= has:
        return [_current_trace(source, tag, values, setup, about)]
    if len(values) < 2:
        raise refusal(source.name, "hold two columns that belong together", f"only {', '.join(has)}", "pass columns=")
    return [_table(source, tag, values, setup, about)]


def _of_pulses(has: set[str]) -> bool:
    """Whether there is a value for each pulse: a train, or a ramp unless it runs over time, cycles or a voltage."""
    if not {"conductance", "resistance"} & has:
        return "current" in has and has <= {"pulse", "amplitude", "width", "current"}
    if "width" in has and {"voltage", "amplitude"} & has:
        return True
    curve = "voltage" in has and {"current", "polarisation", "charge"} & has and "pulse" not in has
    return not ({"time", "cycle"} & has or curve)


def _needed(value: float | None, argument: str, unit: str, why: str) -> float:
    if value is None:
        raise InputError(argument, f"be given in {unit}", "missing", f"{why}; pass {argument}=")
    return value


def _trace(name: str, kind: str, values: dict[str, Any], setup: Setup, about: dict) -> Trace:
    if "voltage" in values and setup.thickness and "field" not in values:
        values = values | {"field": FIELD_OF_VOLT_PER_NM * values["voltage"] / setup.thickness}
    units = {q: UNITS[q] for q in values}
    if kind == "endurance":
        units |= {"switched_positive": "uC/cm2", "switched_negative": "uC/cm2"}
    return Trace(name, kind, values, units, about)


def _with_polarisation(source: Source, values: dict[str, Any], setup: Setup) -> dict[str, Any]:
    """Polarisation from charge and area, or for another area than the instrument's."""
    if "polarisation" not in values and "switched" not in values:
        area = _needed(setup.area, "area", "um2", f"{source.name} holds charges")
        return values | {"polarisation": values["charge"] / (CHARGE_OF_POLARISATION * area)}
    used = setup.used_area or implied_area(values)
    if used is None:
        return values
    if setup.area is None:
        source.seen.append(f"area used by the instrument, from its current and polarisation: {used:.4g} um2")
    elif "polarisation" in values and abs(used / setup.area - 1) > _AREA_AGREES:
        source.seen.append(
            f"polarisation rescaled from the instrument's area of {used:.4g} um2 to {setup.area:.4g} um2"
        )
        return values | {"polarisation": values["polarisation"] * used / setup.area}
    return values


def implied_area(values: Mapping[str, Any]) -> float | None:
    """Area [um2] by which an instrument divided its charge: integral of |I| dt over 10 integral of |dP|."""
    if not {"time", "current", "polarisation"} <= values.keys():
        return None
    time, current = values["time"], values["current"]
    charge = np.sum(np.abs(0.5 * (current[1:] + current[:-1]) * np.diff(time)))
    moved = np.sum(np.abs(np.diff(values["polarisation"])))
    return float(charge / (CHARGE_OF_POLARISATION * moved)) if charge > 0 and moved > 0 else None


def _current_trace(source: Source, tag: str, values: dict[str, Any], setup: Setup, about: dict) -> Trace:
    """Voltage and current: a sweep, or pulses whose charge is integrated."""
    if source.instrument.endswith("pundTest"):
        area = _needed(setup.area, "area", "um2", f"{source.name} holds currents of switching pulses")
        step = 0.5 * (values["current"][1:] + values["current"][:-1]) * np.diff(values["time"])
        charge = np.concatenate([[0.0], np.cumsum(step)])
        values = values | {"charge": charge, "polarisation": charge / (CHARGE_OF_POLARISATION * area)}
        return _trace(tag or "pund", "pund", values, setup, about)
    return _trace(tag or "sweep", "sweep", values, setup, about)


def _endurance(source: Source, tag: str, values: dict[str, Any], setup: Setup, about: dict) -> Trace:
    area = _needed(setup.area, "area", "um2", f"{source.name} holds switched charges")
    pair = {key: values[key] / (CHARGE_OF_POLARISATION * area) for key in ("switched_positive", "switched_negative")}
    cycle = values.get("cycle", np.arange(1.0, len(pair["switched_positive"]) + 1))
    return _trace(tag or "endurance", "endurance", {"cycle": cycle, **pair}, setup, about)


def _switching(source: Source, tag: str, values: dict[str, Any], about: dict) -> list[Trace]:
    """One trace for each amplitude, widths rising."""
    traces = []
    for amplitude in np.unique(values["amplitude"]):
        rows = np.flatnonzero(values["amplitude"] == amplitude)
        rows = rows[np.argsort(values["width"][rows], kind="stable")]
        columns = {key: v[rows] for key, v in values.items() if key in UNITS}
        name = f"{amplitude:g} V" if not tag else f"{tag}, {amplitude:g} V"
        traces.append(Trace(name, "switching", columns, {key: UNITS[key] for key in columns}, about))
    return traces


def _table(source: Source, tag: str, values: dict[str, Any], setup: Setup, about: dict) -> Trace:
    """All columns: what a figure draws over first, a conductance last."""
    if {"conductance", "resistance"} & values.keys() or ("current" in values and setup.read_voltage):
        _, G, about = _conductance(source, values, setup, about)
        values = {key: v for key, v in values.items() if key != "conductance"} | {"conductance": G}
    running = {key: values[key] for key in ("time", "cycle") if key in values}
    return _trace(tag or "table", "table", running | values, setup, about)


def _conductance(source: Source, values: dict[str, Any], setup: Setup, about: dict) -> tuple[str, Any, dict]:
    """The column that a conductance follows from, the conductance [uS], and what holds for the curve."""
    if "conductance" in values:
        return "conductance", values["conductance"], about
    if "resistance" in values:
        if np.any(values["resistance"] == 0):
            row = int(np.argmax(values["resistance"] == 0))
            raise refusal(source.name, "hold resistances other than 0", "0 ohm", line=source.line + row)
        return "resistance", 1e6 / values["resistance"], about
    V = _needed(setup.read_voltage, "read_voltage", "V", f"{source.name} holds read currents")
    return "current", values["current"] / V, about | {"read_voltage": V}


def ramp(source: Source, name: str, values: dict[str, Any], setup: Setup, about: dict) -> Trace:
    """Conductance over the number of pulses: identical ones, up or down by the trend, or of given voltage and width."""
    of, G, about = _conductance(source, values, setup, about)
    pulse = values.get("pulse", np.arange(1.0, len(G) + 1))
    kept = {key: v for key, v in values.items() if key not in (of, "pulse")}
    V = values.get("amplitude", values.get("voltage"))
    if V is not None and "width" in values:
        if {"amplitude", "voltage"} <= values.keys():
            source.seen.append("amplitudes are the voltages of the pulses; the other voltage left out")
        kept = {key: v for key, v in kept.items() if key not in ("amplitude", "voltage")}
        columns = {"pulse": pulse, "voltage": V, **kept, "conductance": G}
        return Trace(name, "train", columns, {key: UNITS[key] for key in columns}, about)
    up = np.full(len(G), 1.0 if G[-1] >= G[0] else -1.0)
    columns = {"pulse": pulse, "direction": up, **kept, "conductance": G}
    return Trace(name, "ramp", columns, {key: UNITS.get(key, "1") for key in columns}, about)
