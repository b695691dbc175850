"""The hybrid memory's parts, built from a device card."""

from hfsim.cards import Card
from hfsim.circuits.floating_line import FloatingLine
from hfsim.circuits.transfer_line import TransferDrive, TransferLine
from hfsim.devices.from_card import ferroelectric_capacitor
from hfsim.devices.memristor import Memristor
from hfsim.devices.transistor import Transistor
from hfsim.errors import InputError
from hfsim.hybrid.transfers import AbstractTransfer, CircuitTransfer, LinearTransfer, MeasuredTransfer

TRANSFERS = ("linear", "measured", "circuit")
MECHANISMS = ("saturation", "starvation")


def memristor(card: Card) -> Memristor:
    """The card's memristor."""
    return card.build(Memristor, "memristor")


def transfer_line(card: Card, mechanism: str = "saturation") -> TransferLine:
    """The card's transfer line under one of the two fitted mechanisms.

    Raises:
        InputError: `mechanism` is neither "saturation" nor "starvation".
    """
    if mechanism not in MECHANISMS:
        raise InputError("mechanism", f"be one of {', '.join(MECHANISMS)}", repr(mechanism))
    kinetics = "kinetics" if mechanism == "saturation" else "kinetics_starvation"
    return TransferLine(
        capacitor=ferroelectric_capacitor(card, kinetics=kinetics),
        line=card.build(FloatingLine, f"line_{mechanism}"),
        transistor=card.build(Transistor, f"transistor_{mechanism}"),
        memristor=memristor(card),
        drive=card.build(TransferDrive, f"drive_{mechanism}"),
    )


def transfer(card: Card, kind: str = "measured", *, mechanism: str = "saturation", **options) -> AbstractTransfer:
    """A transfer by name: "linear", "measured" or "circuit"; `options` are `twin_noise` and `clip`.

    Raises:
        InputError: `kind` or `mechanism` is unknown.
    """
    if kind == "linear":
        return LinearTransfer.from_card(card, **options)
    if kind == "measured":
        return MeasuredTransfer.from_card(card, **options)
    if kind == "circuit":
        return CircuitTransfer.from_line(transfer_line(card, mechanism), **options)
    raise InputError("transfer", f"be one of {', '.join(TRANSFERS)}", repr(kind))
