"""A pulsed device from a card: the section that is there names its model, and another one its noise."""

from typing import Any

from hfsim.cards import Card
from hfsim.devices.pulsed.constant_step import ConstantStep
from hfsim.devices.pulsed.exponential_step import ExponentialStep
from hfsim.devices.pulsed.interface import AbstractPulsedDevice
from hfsim.devices.pulsed.linear_step import LinearStep
from hfsim.devices.pulsed.noise import AbstractCycleNoise, AdditiveNoise, CompoundNoise, ProportionalNoise
from hfsim.devices.pulsed.piecewise_step import PiecewiseStep, StepTable
from hfsim.devices.pulsed.power_step import PowerStep
from hfsim.devices.pulsed.soft_bounds import SoftBounds
from hfsim.devices.pulsed.weight_decay import WeightDecay
from hfsim.errors import InputError

MODELS: dict[str, type[AbstractPulsedDevice]] = {
    "constant_step": ConstantStep,
    "linear_step": LinearStep,
    "soft_bounds": SoftBounds,
    "exponential_step": ExponentialStep,
    "power_step": PowerStep,
    "piecewise_step": PiecewiseStep,
}
NOISES: dict[str, type[AbstractCycleNoise]] = {
    "additive_noise": AdditiveNoise,
    "proportional_noise": ProportionalNoise,
    "compound_noise": CompoundNoise,
}


def pulsed_device(card: Card) -> AbstractPulsedDevice:
    """The pulsed device of a card.

    The card has one section of `MODELS`, one of `NOISES`, for a piecewise step a `step_table`, and where weights are
    lost at rest a `weight_decay`. The sections' spreads and `faults` make a population of it: see
    `hfsim.devices.variability`, with `pulsed_sections`.

    Raises:
        InputError: there is none or more than one of a kind.
    """
    sections = pulsed_sections(card)
    others: dict[str, Any] = {"noise": card.build(NOISES[sections["noise"]], sections["noise"])}
    if "decay" in sections:
        others["decay"] = card.build(WeightDecay, "weight_decay")
    if "table" in sections:
        others["table"] = card.build(StepTable, "step_table")
    return card.build(MODELS[sections[""]], sections[""], **others)


def pulsed_sections(card: Card) -> dict[str, str]:
    """The card's section for each part of its pulsed device, by the part's place in it, "" being the device."""
    sections = {"": _only(card, MODELS), "noise": _only(card, NOISES)}
    if "weight_decay" in card.sections:
        sections["decay"] = "weight_decay"
    if sections[""] == "piecewise_step":
        sections["table"] = "step_table"
    return sections


def _only(card: Card, kinds: dict) -> str:
    found = [name for name in kinds if name in card.sections]
    if len(found) != 1:
        raise InputError(f"card {card.name}", f"have one section of {', '.join(kinds)}", f"with {found or 'none'}")
    return found[0]
