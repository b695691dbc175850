"""One reader for all files: it finds out what wrote a file and says so."""

import hashlib
import os
from collections.abc import Mapping, Sequence

import numpy as np

from hfsim.errors import InputError
from hfsim.io.assemble import Setup
from hfsim.io.easyexpert import INSTRUMENT, is_easyexpert, read_easyexpert
from hfsim.io.instruments import read_table
from hfsim.io.numbers import find_style, without_groups
from hfsim.io.tables import find_tables
from hfsim.io.text import Text, read_text, refusal
from hfsim.io.traces import Measurement, Trace


def read(
    path: str | os.PathLike,
    *,
    area: float | None = None,
    thickness: float | None = None,
    units: Mapping[str, str] | str | None = None,
    columns: Sequence[str] | None = None,
    read_voltage: float | None = None,
    separator: str | None = None,
    decimal: str | None = None,
) -> Measurement:
    """Read a file of an instrument into labelled traces in hfsim's units.

    Known: aixACCT hysteresis tables, Keysight B1500 EasyEXPERT exports, Keithley 4200A sheets (V, I, t; doubleSweepSeg;
    pundTest; pundEndurance), Radiant text, ramps of identical pulses (one a column), two columns of pulses up and down,
    tables of pw, amp and P, and any table whose header names quantities with their units. Separators, decimal commas,
    byte order marks and exponents are found out.

        P[uC/cm2] = Q[C]/(A[um2] 1e-8) 1e6,      E[MV/cm] = 10 V/t[nm]

    Args:
        path: of the file.
        area: of the electrode [um2]; one that departs from the instrument's own rescales its polarisation.
        thickness: of the film [nm].
        units: of columns whose header has none, by header or quantity; one text for all columns of ramps.
        columns: names with units, of a table without a header or in place of its own.
        read_voltage: at which currents after pulses were read [V].
        separator: "tab", "semicolon", "comma" or "blanks", where it is not to be found out.
        decimal: "." or ",", likewise.

    Returns:
        The traces, with what was recognised: print it.

    Raises:
        InputError: one line that names file, line and what to do: the file is missing, empty, binary, too large, cut,
            mixes decimal marks, has cells that are no numbers, columns that nothing is known of, or lacks a unit, an
            area, a thickness or a read voltage that is needed, columns that cannot be told apart, or a comma that may
            mark decimals or group thousands.
    """
    for name, given, unit in (
        ("area", area, "um2"),
        ("thickness", thickness, "nm"),
        ("read_voltage", read_voltage, "V"),
    ):
        if given is not None and not (isinstance(given, int | float | np.number) and np.isfinite(given) and given != 0):
            raise InputError(name, f"be a number in {unit}", repr(given))
        if given is not None and name != "read_voltage" and given < 0:
            raise InputError(name, f"be above 0 {unit}", given)
    if units is not None and not isinstance(units, str | Mapping):
        raise InputError("units", "be a mapping from column to unit, or one unit", repr(units))
    if columns is not None and (isinstance(columns, str) or not all(isinstance(name, str) for name in columns)):
        raise InputError("columns", "be a list of names", repr(columns))
    text = read_text(path)
    setup, notes = Setup(area, thickness, units, columns, read_voltage), []
    checksum = hashlib.sha256(text.content).hexdigest()
    if is_easyexpert(text):
        traces = tuple(read_easyexpert(text, setup, notes))
        return Measurement(text.name, INSTRUMENT, traces, tuple(dict.fromkeys(notes)), checksum)
    text = _without_groups(text)
    style = find_style(text.name, text.lines, separator, decimal)
    tables = find_tables(text, style)
    parts = [read_table(text, table, setup, notes) for table in tables]
    traces = _unique([trace for _, found in parts for trace in found])
    instruments = dict.fromkeys(instrument for instrument, _ in parts)
    notes.insert(0, str(style))
    if not traces:
        raise refusal(text.name, "hold a curve", "none")
    return Measurement(text.name, ", ".join(instruments), tuple(traces), tuple(dict.fromkeys(notes)), checksum)


def _without_groups(text: Text) -> Text:
    """Radiant groups thousands by commas between its tabs: 1,000.5."""
    if not any("Drive Voltage" in line and "\t" in line for line in text.lines[:2000]):
        return text
    return text._replace(lines=without_groups(text.lines))


def _unique(traces: list[Trace]) -> list[Trace]:
    """Names that recur get a number."""
    names = [trace.name for trace in traces]
    if len(set(names)) == len(names):
        return traces
    seen: dict[str, int] = {}
    renamed = []
    for trace in traces:
        seen[trace.name] = seen.get(trace.name, 0) + 1
        name = trace.name if names.count(trace.name) == 1 else f"{trace.name} ({seen[trace.name]})"
        renamed.append(Trace(name, trace.kind, trace.columns, trace.units, trace.about))
    return renamed
