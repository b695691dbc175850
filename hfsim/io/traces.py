"""Measured or simulated curves, labelled: what a reader gives, what a fit takes, what a figure draws.

trace["voltage"]        values in hfsim's units; trace.units["voltage"] says which
measurement["P1"]       one trace of a file, by name or number; `for trace in measurement` goes through all
"""

import dataclasses
import html
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from hfsim import display
from hfsim.errors import InputError
from hfsim.units import parse_unit

AXES = {
    "loop": ("voltage", "polarisation"),
    "pund": ("time", "current"),
    "sweep": ("voltage", "current"),
    "switching": ("width", "polarisation"),
    "ramp": ("pulse", "conductance"),
    "train": ("pulse", "conductance"),
    "endurance": ("cycle", "switched_positive"),
}
"""What is drawn over what, by kind of trace."""
_RUNNING = ("time", "pulse", "cycle")  # go on where traces are joined
_REMEDIES = {
    "field": "read the file with thickness= in nm",
    "polarisation": "read the file with area= in um2",
    "conductance": "read the file with read_voltage= in V",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
    """Columns of equal length with their units.

    Args:
        name: of the curve, unique in its file.
        kind: loop, sweep, pund, switching, ramp, train, endurance or table.
        columns: values by quantity.
        units: of each column.
        about: area [um2], thickness [nm], the file and what else holds for the whole curve.

    Raises:
        InputError: columns of different lengths, none at all, or one without a unit.
    """

    name: str
    kind: str
    columns: Mapping[str, Any]
    units: Mapping[str, str]
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not self.columns:
            raise InputError("columns", "hold one column or more", "none")
        lengths = {key: np.shape(values) for key, values in self.columns.items()}
        if len(set(lengths.values())) > 1 or any(len(shape) != 1 for shape in lengths.values()):
            raise InputError("columns", "be one-dimensional and of one length", lengths)
        for key in self.columns:
            if key not in self.units:
                raise InputError("units", "give the unit of each column", f"none of {key}")
            parse_unit(self.units[key])

    @classmethod
    def of(cls, seen: Any, name: str, kind: str = "loop", **about: Any) -> "Trace":
        """A trace of what a simulated measurement gave: a named tuple with `UNITS`, of one device."""
        units = getattr(type(seen), "UNITS", None)
        if units is None:
            raise InputError(
                "seen", "be a labelled result, as hfsim.devices.ferroelectric.measurements gives them", seen
            )
        columns = {key: np.asarray(getattr(seen, key)) for key in units}
        return cls(name, kind, {key: v for key, v in columns.items() if v.ndim == 1}, dict(units), about)

    def __getitem__(self, column: str) -> Any:
        if column not in self.columns:
            known = ", ".join(self.columns)
            raise InputError(
                "column", f"be one of {known} of trace {self.name}", repr(column), _REMEDIES.get(column, "")
            )
        return self.columns[column]

    def __contains__(self, column: object) -> bool:
        return column in self.columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def where(self, rows: Bool[np.ndarray, " rows"] | slice) -> "Trace":
        """Some of the rows."""
        return dataclasses.replace(self, columns={key: np.asarray(v)[rows] for key, v in self.columns.items()})

    def with_column(self, column: str, values: Float[np.ndarray, " rows"], unit: str) -> "Trace":
        """The trace with one more column, or one replaced."""
        return dataclasses.replace(
            self, columns={**self.columns, column: np.asarray(values)}, units={**self.units, column: unit}
        )

    def then(self, other: "Trace", name: str | None = None) -> "Trace":
        """This trace and then another one of the same device, times and numbers of pulses going on.

        Raises:
            InputError: a common column in another unit, or none.
        """
        keys = [key for key in self.columns if key in other.columns]
        for key in keys:
            if self.units[key] != other.units[key]:
                raise InputError("other", f"have {key} in {self.units[key]}", other.units[key])
        columns = {}
        for key in keys:
            first, second = np.asarray(self[key]), np.asarray(other[key])
            columns[key] = np.concatenate([first, second + (first[-1] if key in _RUNNING else 0.0)])
        units = {key: self.units[key] for key in keys}
        return Trace(self.name if name is None else name, self.kind, columns, units, self.about)

    def to_xarray(self):
        """An `xarray.Dataset` over the row's number, units and `about` as attributes."""
        import xarray

        arrays = {key: ("row", np.asarray(v), {"units": self.units[key]}) for key, v in self.columns.items()}
        return xarray.Dataset(arrays, attrs={"name": self.name, "kind": self.kind, **self.about})

    @property
    def axes(self) -> tuple[str, str]:
        """The two columns that a figure shows."""
        names = [*self.columns]
        x, y = AXES.get(self.kind, (names[0], names[-1]))
        if y not in self.columns:
            y = next((key for key in ("switched", "charge", "current") if key in self.columns), names[-1])
        return (x if x in self.columns else names[0]), y

    def plot(self, axes=None, x: str | None = None, y: str | None = None, **style):
        """Draw one column over another; returns matplotlib axes.

        Args:
            axes: to draw in; None makes a figure.
            x, y: columns; by default those of the kind.
            style: of `axes.plot`.

        Raises:
            InputError: a column that the trace does not have.
        """
        x, y = x or self.axes[0], y or self.axes[1]
        axes = _figure(axes)
        style = {"lw": 1.0, "label": self.name} | style
        axes.plot(np.asarray(self[x]), np.asarray(self[y]), **style)
        if x == "width" and np.all(np.asarray(self[x]) > 0):
            axes.set_xscale("log")
        axes.set(xlabel=label(x, self.units[x]), ylabel=label(y, self.units[y]))
        return axes

    def rows(self) -> list[tuple[str, ...]]:
        """(column, unit, least, largest) of each column."""
        return [
            (key, self.units[key], f"{np.nanmin(v):.4g}", f"{np.nanmax(v):.4g}")
            for key, v in ((k, np.asarray(v, float)) for k, v in self.columns.items())
            if v.size
        ]

    def __repr__(self):
        columns = ", ".join(f"{key} [{self.units[key]}]" for key in self.columns)
        return f"Trace({self.name!r}, {self.kind}, {len(self)} rows: {columns})"

    def _repr_html_(self) -> str:
        return display.table(
            f"{self.name}: {self.kind}, {len(self)} rows", ("column", "unit", "least", "largest"), self.rows()
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Measurement:
    """What a file held.

    Args:
        file: its name.
        instrument: what wrote it, as far as it can be told.
        traces: its curves.
        seen: lines on what was recognised, converted, taken for granted or left out.
        checksum: SHA-256 of the file, for a card's provenance.
    """

    file: str
    instrument: str
    traces: tuple[Trace, ...]
    seen: tuple[str, ...]
    checksum: str

    def __iter__(self) -> Iterator[Trace]:
        return iter(self.traces)

    def __len__(self) -> int:
        return len(self.traces)

    def __getitem__(self, which: int | slice | str) -> Any:
        if not isinstance(which, str):
            return self.traces[which]
        for trace in self.traces:
            if trace.name == which:
                return trace
        raise InputError("trace", f"be one of {', '.join(t.name for t in self.traces)} of {self.file}", repr(which))

    def where(self, chosen: Callable[[Trace], bool]) -> list[Trace]:
        """The traces for which `chosen(trace)` holds."""
        return [trace for trace in self.traces if chosen(trace)]

    def plot(self, axes=None, **style):
        """All traces in one panel; returns matplotlib axes."""
        axes = _figure(axes)
        for trace in self.traces:
            trace.plot(axes, **style)
        if 1 < len(self.traces) <= 16:
            axes.legend(frameon=False, fontsize="small")
        axes.set_title(self.file)
        return axes

    def __str__(self):
        kinds = {}
        for trace in self.traces:
            kinds.setdefault((trace.kind, tuple(trace.columns)), []).append(trace)
        lines = [f"{self.file}: {self.instrument}"]
        for (kind, columns), group in kinds.items():
            lengths = sorted({len(trace) for trace in group})
            rows = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
            names = ", ".join(t.name for t in group[:4]) + (", ..." if len(group) > 4 else "")
            of = ", ".join(f"{key} [{group[0].units[key]}]" for key in columns)
            lines.append(f"  {len(group)} x {kind} of {rows} rows ({names}): {of}")
        return "\n".join(lines + [f"  {line}" for line in self.seen])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [(t.name, t.kind, str(len(t)), ", ".join(f"{k} [{t.units[k]}]" for k in t.columns)) for t in self.traces]
        notes = "".join(f"<li>{html.escape(line)}</li>" for line in self.seen)
        return (
            display.table(f"{self.file}: {self.instrument}", ("trace", "kind", "rows", "columns"), rows)
            + f"<ul>{notes}</ul>"
        )


def label(column: str, unit: str) -> str:
    """An axis label."""
    return column.replace("_", " ") + ("" if unit == "1" else f" ({unit})")


def _figure(axes):
    if axes is not None:
        return axes
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(5.2, 3.8), layout="constrained")[1]
