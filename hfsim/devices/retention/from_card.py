"""The retention model that a card describes."""

from typing import Any

from hfsim.cards import Card
from hfsim.devices.retention.cmo import CMORetention
from hfsim.devices.retention.interface import AbstractRetention
from hfsim.devices.retention.pcm import PCMRetention
from hfsim.devices.retention.polynomial import PolynomialRetention
from hfsim.errors import InputError
from hfsim.parameters import specifications

MODELS: tuple[Any, ...] = (CMORetention, PCMRetention, PolynomialRetention)


def retention(card: Card) -> AbstractRetention:
    """The model whose parameters the card's section `[retention]` holds, with its defaults.

    Raises:
        InputError: the card has no such section, or one of another model.
    """
    names = set(card.section("retention")) if "retention" in card.sections else set()
    for model in MODELS:
        if names and names <= set(specifications(model)):
            return model.from_card(card)
    raise InputError(
        "card",
        f"have a section [retention] of {', '.join(m.__name__ for m in MODELS)}",
        repr(card.name),
    )
