"""Keysight B1500 EasyEXPERT exports: lines of SetupTitle, TestParameter, Dimension1, DataName, DataValue."""

import re

import numpy as np

from hfsim.io.assemble import Setup, Source, assemble
from hfsim.io.numbers import cells, value
from hfsim.io.quantities import Column, recognise, seen
from hfsim.io.text import Text, refusal, shown
from hfsim.io.traces import Trace

INSTRUMENT = "Keysight B1500 EasyEXPERT"
_STARTS = ("SetupTitle", "PrimitiveTest", "TestParameter", "MetaData", "AnalysisSetup", "Dimension1", "DataName")


def is_easyexpert(text: Text) -> bool:
    """Whether the text is such an export."""
    first = next(line for line in text.lines if line.strip())
    return first.partition(",")[0].strip() in _STARTS


def read_easyexpert(text: Text, setup: Setup, notes: list[str]) -> list[Trace]:
    """The traces of all tests of the file, one for each step of a second sweep.

    Raises:
        InputError: fewer rows than the file announces, rows that do not fit their names, or none at all.
    """
    traces, test = [], _Test()
    for number, line in enumerate(text.lines, 1):
        key, *rest = cells(line, "comma")
        if key == "SetupTitle" and test.names:
            traces += _finish(text, test, setup, notes)
            test = _Test()
        test.take(text, number, key, rest)
    traces += _finish(text, test, setup, notes)
    names = [trace.name for trace in traces]
    return [_renamed(trace, i, names) for i, trace in enumerate(traces)]


class _Test:
    """What the lines of one test say."""

    def __init__(self):
        self.title, self.names, self.line = "", [], 0
        self.kinds: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.rows: list[list[float]] = []

    def take(self, text: Text, number: int, key: str, rest: list[str]) -> None:
        if key == "SetupTitle":
            self.title = ", ".join(rest)
        elif key == "TestParameter" and rest and rest[0] in ("Channel.VName", "Channel.IName"):
            self.kinds |= dict.fromkeys(rest[1:], "voltage" if rest[0].endswith("VName") else "current")
        elif key == "TestParameter" and rest and rest[0] in ("Channel.Time",) and rest[1:]:
            self.kinds |= dict.fromkeys(filter(None, rest[1:]), "time")
        elif key in ("Dimension1", "Dimension2") and rest:
            if not rest[0].isdecimal() or len(rest[0]) > 9:
                raise refusal(text.name, f"give the number of rows after {key}", shown(rest[0]), line=number)
            self.sizes[key] = int(rest[0])
        elif key == "DataName":
            if self.names:
                raise refusal(text.name, "name the columns of a test once", "a second DataName", line=number)
            self.names, self.line = rest, number + 1
        elif key == "DataValue":
            if len(rest) != len(self.names):
                last = number == len(text.lines)
                remedy = "the file looks cut off: export it again" if last else "export it again, or mend the line"
                raise refusal(text.name, f"hold {len(self.names)} values", len(rest), remedy, line=number)
            columns = zip(rest, self.names, strict=True)
            self.rows.append([value(text.name, number, cell, ".", repr(name)) for cell, name in columns])


def _finish(text: Text, test: _Test, setup: Setup, notes: list[str]) -> list[Trace]:
    if not test.names or not test.rows:
        raise refusal(text.name, "hold DataValue lines below a DataName line", "none", "export the test with its data")
    length, steps = test.sizes.get("Dimension1", len(test.rows)), test.sizes.get("Dimension2", 1)
    if length * steps != len(test.rows):
        raise refusal(
            text.name,
            f"hold the {length * steps} rows that Dimension1 and Dimension2 announce",
            f"{len(test.rows)} rows",
            "the file looks cut off: export it again" if len(test.rows) < length * steps else "export it again",
        )
    columns = [_column(name, test.kinds) for name in test.names]
    notes += [f'test "{test.title}"', seen(columns)]
    if not any(column.quantity for column in columns):
        raise refusal(
            text.name, "name voltages and currents", f"columns {', '.join(test.names)}"[:80], "export V and I"
        )
    table, traces = np.asarray(test.rows), []
    for step in range(steps):
        source = Source(text.name, INSTRUMENT, test.line + step * length, notes)
        part = assemble(source, columns, table[step * length : (step + 1) * length], setup)
        traces += [_renamed(trace, step, [trace.name] * steps) for trace in part]
    return traces


def _column(name: str, kinds: dict[str, str]) -> Column:
    """The channel lists say what a name is; functions of the user are left out unless their name has a unit."""
    column = recognise(name)
    if name in kinds:
        units = {"voltage": "V", "current": "A", "time": "s"}
        tag = column.tag if column.quantity == kinds[name] else re.sub("^[VI]_?", "", name)  # the same of Vd and Id
        return Column(name, kinds[name], tag, units[kinds[name]])
    if column.quantity == "time":
        return column._replace(unit=column.unit or "s")
    return column if column.unit else column._replace(quantity="")


def _renamed(trace: Trace, place: int, names: list[str]) -> Trace:
    """A name of its own where several traces have the same."""
    if names.count(trace.name) < 2:
        return trace
    return Trace(f"{trace.name} {place + 1}", trace.kind, trace.columns, trace.units, trace.about)
