"""Every class that declares physical parameters, and one model of each kind with a card's values."""

import importlib
import pkgutil

import hfsim
from hfsim.cards import Card
from hfsim.circuits import FloatingLine, SenseAmplifier
from hfsim.devices import Pulse
from hfsim.estimators import Soft, StraightThrough
from hfsim.hybrid import LinearTransfer, MeasuredTransfer, OperationPrices, transfer_line
from hfsim.parameters import PhysicalModel


def model_classes() -> list[type[PhysicalModel]]:
    """All subclasses of `PhysicalModel` in the package, by name."""
    for module in pkgutil.walk_packages(hfsim.__path__, "hfsim."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, waiting = set(), [PhysicalModel]
    while waiting:
        subclasses = set(waiting.pop().__subclasses__()) - found
        found |= subclasses
        waiting.extend(subclasses)
    return sorted((c for c in found if c.__module__.startswith("hfsim.")), key=lambda c: c.__qualname__)


def card_models(card: Card) -> dict[str, PhysicalModel]:
    """Models of the hybrid chip's card; they hold its FeCAP, memristor and transistor."""
    return {
        "saturation": transfer_line(card, "saturation"),
        "starvation": transfer_line(card, "starvation"),
        "bit_line": card.build(FloatingLine, "bit_line"),
        "amplifier": card.build(SenseAmplifier, "sense_amplifier"),
        "write_pulse": card.build(Pulse, "write_pulse"),
        "measured": MeasuredTransfer.from_card(card),
        "linear": LinearTransfer.from_card(card),
        "prices": OperationPrices.from_card(card),
        "straight_through": StraightThrough(),
        "soft": Soft(),
    }
