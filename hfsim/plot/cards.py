"""What a card describes, drawn."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from hfsim.cards import Card
from hfsim.crossbar.design import CrossbarDesign
from hfsim.devices import Transistor
from hfsim.devices.ferroelectric import (
    FerroelectricCapacitor,
    GB2Kinetics,
    HeraclesKinetics,
    KAIKinetics,
    LandauKhalatnikovKinetics,
    LorentzianKinetics,
    PreisachKinetics,
)
from hfsim.devices.memristor import CMOCell, Filament, JartVCM, SelectResistance, Stanford
from hfsim.devices.pulsed import pulsed_device
from hfsim.devices.pulsed.from_card import MODELS as PULSED
from hfsim.devices.retention import PolynomialRetention
from hfsim.devices.retention.from_card import retention
from hfsim.errors import InputError
from hfsim.hybrid.from_card import transfer
from hfsim.plot import devices

_KINETICS: dict[str, Any] = {
    "kinetics": GB2Kinetics,
    "lorentzian": LorentzianKinetics,
    "kai": KAIKinetics,
    "preisach": PreisachKinetics,
    "landau_khalatnikov": LandauKhalatnikovKinetics,
    "heracles": HeraclesKinetics,
}
"""Sections of switching kinetics."""
_STATIC = ("preisach", "heracles")
"""Those without a time of their own."""
_FIELDS = (1.0, 1.5, 2.5, 4.0)
"""Amplitudes of the loops over the film [MV/cm]; chosen: below, at and beyond the coercive field of hafnia."""
_SHARES = (0.2, 0.5, 0.8)
"""Of the range that a retention model was fitted in; chosen: low, middle, high."""

Draw = Callable[..., Any]


def panels(card: Card) -> dict[str, Draw]:
    """What can be drawn of a card: a title, and a function that draws in `axes`.

    Raises:
        InputError: nothing can be drawn of it.
    """
    found: dict[str, Draw] = {}
    for section, kind in _KINETICS.items():
        if section in card.sections and (capacitor := _capacitor(card, section, kind)) is not None:
            voltages = [float(f"{0.1 * E * float(capacitor.t):.3g}") for E in _FIELDS]
            found[f"{section}: loops"] = partial(devices.hysteresis, capacitor, voltages)
            if section not in _STATIC:
                found[f"{section}: one pulse"] = partial(devices.switching, capacitor, voltages)
    found |= _memristors(card)
    if any(section in card.sections for section in PULSED):
        found["identical pulses"] = partial(devices.pulse_train, pulsed_device(card))
    if "retention" in card.sections:
        found["retention"] = _retention(card)
    if "levels" in card.sections:
        found["transferred levels"] = partial(devices.levels, transfer(card, "measured"))
    if not found:
        raise InputError("card", "describe a capacitor, memristor, pulsed device, retention or levels", card.name)
    return found


def card_figure(card: Card):
    """All panels of a card in one matplotlib figure."""
    import matplotlib.pyplot as plt

    drawn = panels(card)
    columns = min(3, len(drawn))
    rows = -(-len(drawn) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.2 * columns, 3.2 * rows + 0.3), layout="constrained", squeeze=False
    )
    for ax, (title, draw) in zip(axes.flat, drawn.items(), strict=False):
        draw(axes=ax)
        ax.set_title(title, fontsize=9)
    for ax in axes.flat[len(drawn) :]:
        ax.set_axis_off()
    figure.suptitle(card.header["title"], fontsize=9)
    return figure


def _capacitor(card: Card, section: str, kind: Any) -> FerroelectricCapacitor | None:
    """The card's capacitor with these kinetics; a section of its own for one of several films."""
    own = [name for name in (f"ferroelectric_capacitor_{section}", "ferroelectric_capacitor") if name in card.sections]
    return card.build(FerroelectricCapacitor, own[0], kinetics=card.build(kind, section)) if own else None


def _memristors(card: Card) -> dict[str, Draw]:
    """Physical memristors, over a staircase of the voltages that their articles use."""
    found: dict[str, Draw] = {}
    sections = card.sections
    if "conduction" in sections and "ions" in sections:
        found["JART: staircase"] = partial(devices.staircase, JartVCM.from_card(card), -1.3, 1.5, dwell=1e6)
    if "stanford" in sections:
        found["Stanford: staircase"] = partial(devices.staircase, card.build(Stanford, "stanford"), 1.8, -1.5)
    if "cell" in sections and "series" in sections:
        cell = card.build(CMOCell, "cell", series=card.build(SelectResistance, "series"))
        found["CMO/HfOx: staircase"] = partial(devices.staircase, cell, 1.35, -1.3)
    gate = next((name for name in ("transistor_saturation", "transistor") if name in sections), None)
    if "filament" in sections and gate is not None:
        cell = card.build(Filament, "filament", transistor=card.build(Transistor, gate))
        found["filament: staircase"] = partial(devices.staircase, cell, 3.2, -2.5, key=jax.random.key(0))
    return found


def _retention(card: Card) -> Draw:
    model = retention(card)
    if isinstance(model, PolynomialRetention):
        low, high = model.G_low, model.G_high
    else:
        design = CrossbarDesign.from_card(card)
        low, high = design.G_min, design.G_max
    targets = [float(f"{float(low + share * (high - low)):.2g}") for share in _SHARES]
    return partial(devices.relaxation, model, targets)
