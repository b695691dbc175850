"""Device cards: TOML files that hold each value with its unit and its source.

    [card]
    name = "my-device"
    title = "What it describes"
    citation = "Where it was published"

    [memristor]
    clamp_voltage = { value = 1.1, unit = "V", source = "inferred: G = 0.9 I_cc in figure 3" }

The spread of a section's parameters over devices stands in a section of its name and "_spread", where each entry
also names its distribution, and their trend over a wafer in one ending in "_gradient":

    [memristor_spread]
    clamp_voltage = { value = 0.05, unit = "1", distribution = "lognormal", source = "literature: 3-8 %" }

A source begins with one of: stated, read, calc, inferred, literature, fitted, chosen; a chosen value says
why. `load_card` reads a shipped card by name or a file by path; `Card.build` turns a section into a model,
converting units, checking bounds, and refusing keys that the model does not have.
"""

import dataclasses
import os
import tempfile
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tomlkit

from hfsim import display
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, specifications
from hfsim.units import factor, parse_unit

SOURCES = ("stated", "read", "calc", "inferred", "literature", "fitted", "chosen")
DISTRIBUTIONS = ("normal", "relative normal", "truncated normal", "lognormal", "uniform", "weibull")
SPREAD, GRADIENT = "_spread", "_gradient"
_ENTRY_KEYS = {"value", "unit", "source"}
_HEADER_KEYS = {"name", "title", "citation", "doi"}

Model = TypeVar("Model", bound=PhysicalModel)


class Entry(NamedTuple):
    """One value of a card: a number or a list of numbers, its unit as written, and its source.

    In a section of spreads the value is the width (or shape) of the distribution named; elsewhere that is empty.
    """

    value: float | tuple[float, ...]
    unit: str
    source: str
    distribution: str = ""


class Card(NamedTuple):
    """A device card: its header and its sections of entries."""

    header: dict[str, str]
    sections: dict[str, dict[str, Entry]]

    @property
    def name(self) -> str:
        return self.header["name"]

    def _repr_html_(self) -> str:
        """Every entry with its unit and source, as Jupyter shows it."""
        rows = [
            [f"{section}.{key}", display.number(entry.value), entry.unit, entry.distribution, entry.source]
            for section, entries in self.sections.items()
            for key, entry in entries.items()
        ]
        head = ["entry", "value", "unit", "distribution", "source"]
        return display.table(f"{self.name}: {self.header['title']}", head, rows)

    def plot(self):
        """What the card describes: `hfsim.plot.card_figure`. Returns a matplotlib figure."""
        from hfsim.plot import card_figure  # matplotlib is needed here alone

        return card_figure(self)

    def section(self, name: str) -> dict[str, Entry]:
        """The entries of one section.

        Raises:
            InputError: the card has no such section.
        """
        if name not in self.sections:
            raise InputError("section", f"be one of {', '.join(self.sections)} of card {self.name}", repr(name))
        return self.sections[name]

    def quantity(self, section: str, key: str, unit: str) -> Any:
        """One value of the card in the unit asked for; a list becomes a tuple."""
        entries = self.section(section)
        if key not in entries:
            raise InputError(f"{section}.{key}", f"be in card {self.name}", f"not among {', '.join(entries)}")
        entry = entries[key]
        scale = _scale(f"{section}.{key}", entry.unit, unit)
        return tuple(v * scale for v in entry.value) if isinstance(entry.value, tuple) else entry.value * scale

    def build(self, model: type[Model], section: str, **others: Any) -> Model:
        """Build a `PhysicalModel` from a section.

        Args:
            model: the class; every parameter without a default must be in the section.
            section: the section's name.
            others: fields that no card holds (nested models, static sizes), or values that replace the card's.

        Raises:
            InputError: an unknown or missing key, a wrong unit, a value outside its bounds.
        """
        if section.endswith((SPREAD, GRADIENT)):
            raise InputError("section", "hold a model's values", repr(section), "see hfsim.devices.variability")
        entries, specs = self.section(section), specifications(model)
        for key in entries:
            if key not in specs:
                raise InputError(
                    f"{section}.{key}",
                    f"be a parameter of {model.__name__} ({', '.join(specs)})",
                    f"in card {self.name}",
                    "check its spelling",
                )
        values = {key: self.quantity(section, key, specs[key].unit) for key in entries}
        values.update(others)
        missing = [
            field.name
            for field in dataclasses.fields(model)
            if field.name in specs and field.name not in values and field.default is dataclasses.MISSING
        ]
        if missing:
            raise InputError(
                f"{section}.{missing[0]}",
                f"be given for {model.__name__}",
                f"missing from card {self.name}",
                specs[missing[0]].doc,
            )
        return model(**values)


def _scale(name: str, written: str, wanted: str) -> float:
    try:
        return factor(written, wanted)
    except InputError as error:
        raise InputError(f"{name}.unit", f"be convertible to {wanted}", repr(written)) from error


def available_cards() -> tuple[str, ...]:
    """The names of the cards that hfsim ships."""
    files = resources.files(__name__).iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


def load_card(card: str | os.PathLike) -> Card:
    """Load a shipped card by its name, or any card by the path of its TOML file.

    Raises:
        InputError: there is no such card, or the file is not a valid one.
    """
    path = Path(card)
    if path.suffix == ".toml":
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError("card", "be a readable TOML file", f"{path} ({error})") from error
    elif str(card) in available_cards():
        text = resources.files(__name__).joinpath(f"{card}.toml").read_text(encoding="utf-8")
    else:
        raise InputError(
            "card", f"be one of {', '.join(available_cards())}, or the path of a .toml file", repr(str(card))
        )
    return read_card(text, where=str(card))


def read_card(text: str, *, where: str = "text") -> Card:
    """Parse the TOML text of a card and check it; `where` names it in errors."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError("card", "be valid TOML", f"{where} ({error})") from error
    header = tree.pop("card", None)
    if not isinstance(header, Mapping) or not {"name", "title", "citation"} <= set(header):
        raise InputError("card", "begin with [card] holding name, title and citation", where)
    for key, value in header.items():
        if key not in _HEADER_KEYS or not isinstance(value, str):
            raise InputError(f"card.{key}", f"be a text, one of {', '.join(sorted(_HEADER_KEYS))}", repr(value))
    sections = {}
    for name, entries in tree.items():
        if not isinstance(entries, Mapping):
            raise InputError(name, "be a section of entries", repr(entries))
        spread = name.endswith(SPREAD)
        sections[name] = {key: _entry(f"{name}.{key}", value, spread) for key, value in entries.items()}
    return Card(dict(header), sections)


def _entry(name: str, entry: Any, spread: bool) -> Entry:
    keys = _ENTRY_KEYS | ({"distribution"} if spread else set())
    if not isinstance(entry, Mapping):
        raise InputError(name, "be a table { value, unit, source }", repr(entry))
    if missing := keys - set(entry):
        form = "{ value = , unit = , distribution = , source = }" if spread else "{ value = , unit = , source = }"
        raise InputError(f"{name}.{min(missing)}", "be given", "missing", f"write {form}")
    if unknown := set(entry) - keys:
        raise InputError(f"{name}.{min(unknown)}", "be one of value, unit, source", repr(entry[min(unknown)]))
    distribution = entry.get("distribution", "")
    if spread and distribution not in DISTRIBUTIONS:
        raise InputError(f"{name}.distribution", f"be one of {', '.join(DISTRIBUTIONS)}", repr(distribution))
    source = entry["source"]
    kind, _, why = str(source).partition(":")
    if not isinstance(source, str) or kind.strip() not in SOURCES or not why.strip():
        raise InputError(f"{name}.source", f'be "kind: where or why", kind one of {", ".join(SOURCES)}', repr(source))
    value = entry["value"]
    numbers = value if isinstance(value, list) else [value]
    if not numbers or any(isinstance(v, bool) or not isinstance(v, int | float) for v in numbers):
        raise InputError(f"{name}.value", "be a number or a list of numbers", repr(value))
    if not np.all(np.isfinite(numbers)):
        raise InputError(f"{name}.value", "be finite", repr(value))
    try:
        parse_unit(entry["unit"])
    except InputError as error:
        raise InputError(f"{name}.unit", "be a unit such as uS or MV/cm", repr(entry["unit"])) from error
    number = tuple(map(float, value)) if isinstance(value, list) else float(value)
    return Entry(number, entry["unit"], source, distribution)


def format_card(card: Card) -> str:
    """The TOML text of a card; `read_card` gives the same card back."""
    document = tomlkit.document()
    header = tomlkit.table()
    header.update(card.header)
    document.add("card", header)
    for name, entries in card.sections.items():
        section = tomlkit.table()
        for key, entry in entries.items():
            line = tomlkit.inline_table()
            value = list(entry.value) if isinstance(entry.value, tuple) else entry.value
            line.update({"value": value, "unit": entry.unit})
            line.update({"distribution": entry.distribution} if entry.distribution else {})
            line.update({"source": entry.source})
            section.add(key, line)
        document.add(name, section)
    return tomlkit.dumps(document)


def write_card(card: Card, path: str | os.PathLike) -> None:
    """Write a card to a TOML file, whole or not at all."""
    target = Path(path)
    text = format_card(card)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
            whole = Path(scratch, "card.toml")
            whole.write_text(text, encoding="utf-8")
            os.replace(whole, target)
    except OSError as error:
        raise InputError("path", "be writable", f"{target} ({error.strerror})") from error
