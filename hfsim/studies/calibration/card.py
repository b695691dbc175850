"""Fitted models as device cards, with the source of each value, and back.

    source = "fitted: FILE, DATE, N values, standard error E (rel), residual R"

A section belongs to each part of a model: by default it has the name of the part's class in small letters
(soft_bounds, additive_noise, ferroelectric_capacitor), and "kinetics" for switching kinetics, as in the shipped cards.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from hfsim.cards import Card, Entry
from hfsim.devices.ferroelectric.kinetics import AbstractKinetics
from hfsim.errors import InputError
from hfsim.parameters import specifications
from hfsim.studies.design import Tie
from hfsim.units import factor

_DIGITS = 7  # of a value, as single precision has


class Provenance(NamedTuple):
    """Where fitted values come from.

    Args:
        data: names of the files.
        date: as the caller says it.
        points: number of values that were fitted.
        residual: root mean square, with its unit.
        errors: standard error of each free number, by label.
    """

    data: str
    date: str
    points: int
    residual: str
    errors: Mapping[str, float]


def parts(model: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted place, part) of every part of a model that has parameters."""
    if isinstance(model, eqx.Module):
        specs = specifications(type(model))
        if any(getattr(model, name) is not None for name in specs):
            yield place, model
        for field in dataclasses.fields(model):
            if field.name not in specs and not field.metadata.get("static", False):
                yield from parts(getattr(model, field.name), f"{place}.{field.name}" if place else field.name)
    elif isinstance(model, tuple | list):
        for index, item in enumerate(model):
            yield from parts(item, f"{place}.{index}" if place else str(index))
    elif isinstance(model, dict):
        for key, item in model.items():
            yield from parts(item, f"{place}.{key}" if place else key)


def default_sections(model: Any) -> dict[str, str]:
    """The section of each part, by its place."""
    sections: dict[str, str] = {}
    for place, part in parts(model):
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(part).__name__).lower()
        name = "kinetics" if isinstance(part, AbstractKinetics) else name
        sections[place] = name if name not in sections.values() else place.replace(".", "_")
    return sections


def fitted_card(
    model: Any,
    told: Provenance,
    ties: Sequence[Tie] = (),
    *,
    name: str,
    title: str,
    citation: str = "",
    base: Card | None = None,
    sections: Mapping[str, str] | None = None,
    data: str = "",
) -> Card:
    """The card of a fitted model; `hfsim.write_card` writes it, `hfsim.load_card` and `from_card` bring it back.

    Args:
        model: fitted.
        told: where its free values come from.
        ties: parameters that followed free ones.
        name: of the card.
        title: what it describes.
        citation: of the measurement; "measured by the author of this card" if empty.
        base: a card whose sections and entries are kept where the model has not other values.
        sections: section by the dotted place of a part, as `Population.from_card` takes it.
        data: what was fitted, where the traces came from no file.

    Raises:
        InputError: no name of the data, no date, a part without a section, or an array of devices.
    """
    files = data or told.data
    if not files:
        raise InputError("data", "say what was fitted", "missing: the traces come from no file", "pass data=")
    if not isinstance(told.date, str) or not told.date.strip():
        raise InputError("date", "be the date of the fit or of its data, a text", repr(told.date))
    chosen = default_sections(model) if sections is None else dict(sections)
    entries = {} if base is None else {section: dict(of) for section, of in base.sections.items()}
    common = f"{files}, {told.date}, {told.points} values"
    tied = {tie.name: tie for tie in ties}
    for place, part in parts(model):
        if place not in chosen:
            raise InputError("sections", f"name a section for {type(part).__name__} at {place!r}", f"{chosen}")
        section = entries.setdefault(chosen[place], {})
        for key, spec in specifications(type(part)).items():
            value = getattr(part, key)
            label = f"{place}.{key}" if place else key
            if value is None:
                continue
            number = _number(label, value)
            if fitted := [error for free, error in told.errors.items() if free.partition("[")[0] == label]:
                section[key] = Entry(number, spec.unit, f"fitted: {common}, {_error(number, fitted)}, {_rest(told)}")
            elif label in tied:
                tie = tied[label]
                section[key] = Entry(number, spec.unit, f"fitted: {common}, {tie.factor:g} times {tie.source}")
            elif key not in section and _is_default(type(part), key, number):
                continue
            elif not _same(section.get(key), number, spec.unit):
                section[key] = Entry(number, spec.unit, f"chosen: held at this value in the fit of {common}")
    header = {"name": name, "title": title, "citation": citation or "measured by the author of this card"}
    return Card(header, entries)


def from_card[Model](card: Card, like: Model, sections: Mapping[str, str] | None = None) -> Model:
    """A model of the structure of `like` with a card's values; bounds are checked.

    Args:
        card: one that `fitted_card` made, or any whose sections fit.
        like: a model of the same parts.
        sections: as of `fitted_card`.

    Raises:
        InputError: a section or a value is missing or wrong.
    """
    return _rebuilt(card, like, default_sections(like) if sections is None else sections, "")


def _rebuilt(card: Card, model: Any, sections: Mapping[str, str], place: str) -> Any:
    def inner(key) -> str:
        return f"{place}.{key}" if place else str(key)

    if isinstance(model, tuple | list):
        return type(model)(_rebuilt(card, item, sections, inner(i)) for i, item in enumerate(model))
    if isinstance(model, dict):
        return {key: _rebuilt(card, item, sections, inner(key)) for key, item in model.items()}
    if not isinstance(model, eqx.Module):
        return model
    specs = specifications(type(model))
    names = [field.name for field in dataclasses.fields(model) if field.name not in specs]
    others = {key: _rebuilt(card, getattr(model, key), sections, inner(key)) for key in names}
    if place in sections:
        return card.build(type(model), sections[place], **others)  # type: ignore[type-var]
    return dataclasses.replace(model, **others)


def _is_default(model: type, key: str, number: float | tuple[float, ...]) -> bool:
    """Whether a card that says nothing of a parameter makes it this number."""
    default = next(field.default for field in dataclasses.fields(model) if field.name == key)
    if default is dataclasses.MISSING or default is None:
        return False
    return np.array_equal(np.asarray(default, np.float32), np.asarray(number, np.float32))


def _number(label: str, value: Any) -> float | tuple[float, ...]:
    values = np.asarray(value, float)
    if values.ndim > 1:
        raise InputError("model", "be one device", f"{label} of shape {values.shape}", "write a card for each")
    rounded = [float(f"{v:.{_DIGITS}g}") for v in np.atleast_1d(values)]
    return rounded[0] if values.ndim == 0 else tuple(rounded)


def _error(number: float | tuple[float, ...], errors: list[float]) -> str:
    if not np.all(np.isfinite(errors)):
        return "not identified"
    values = np.atleast_1d(number)
    if len(errors) > 1:
        return "standard errors " + " ".join(f"{e:.2g}" for e in errors)
    relative = f" ({errors[0] / abs(values[0]):.1%})" if values[0] else ""
    return f"standard error {errors[0]:.2g}{relative}"


def _rest(told: Provenance) -> str:
    return f"residual {told.residual}, hfsim {version('hfsim')}"


def _same(entry: Entry | None, number: float | tuple[float, ...], unit: str) -> bool:
    if entry is None:
        return False
    try:
        scale = factor(entry.unit, unit)
    except InputError:
        return False
    old = np.atleast_1d(entry.value) * scale
    new = np.atleast_1d(number)
    return old.shape == new.shape and bool(np.allclose(old, new, rtol=1e-6, atol=0.0))
