"""Devices built from the sections of a card."""

import dataclasses

from hfsim.cards import Card
from hfsim.devices.breakdown import DielectricBreakdown
from hfsim.devices.ferroelectric.ageing import Ageing, Fatigue, Imprint, WakeUp
from hfsim.devices.ferroelectric.capacitor import FerroelectricCapacitor
from hfsim.devices.ferroelectric.gb2 import BuiltInSpread, GB2Kinetics
from hfsim.devices.interface import AbstractMemristor
from hfsim.devices.stack import HfO2Stack

_AGEING = {"wake_up": WakeUp, "fatigue": Fatigue, "imprint": Imprint, "breakdown": DielectricBreakdown}


def ferroelectric_capacitor(card: Card, *, kinetics: str = "kinetics", nodes: int = 160) -> FerroelectricCapacitor:
    """The card's FeCAP, woken and without ageing, with the switching kinetics of the section named."""
    return card.build(
        FerroelectricCapacitor,
        "ferroelectric_capacitor",
        kinetics=card.build(GB2Kinetics, kinetics, nodes=nodes),
    )


def ageing_capacitor(card: Card, *, nodes: int = 160) -> FerroelectricCapacitor:
    """The card's FeCAP as it was made: with a spread of built-in fields, and all the ageing that the card describes."""
    parts = {name: card.build(model, name) for name, model in _AGEING.items() if name in card.sections}
    kinetics = card.build(GB2Kinetics, "kinetics", nodes=nodes, built_in=card.build(BuiltInSpread, "built_in"))
    capacitor = card.build(FerroelectricCapacitor, "ferroelectric_capacitor", kinetics=kinetics)
    return dataclasses.replace(capacitor, ageing=Ageing(**parts))


def hfo2_stack(card: Card, memristor: AbstractMemristor, *, nodes: int = 160) -> HfO2Stack:
    """The card's stack, which forms into `memristor`."""
    return card.build(HfO2Stack, "stack", capacitor=ageing_capacitor(card, nodes=nodes), memristor=memristor)
