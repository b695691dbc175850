"""The learning rules by name, on the CMO/HfOx card, with the settings that were chosen for these jobs."""

from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Key

import hfsim
from hfsim.devices.retention import CMORetention
from hfsim.learning import AGAD, AutoScale, ChoppedTikiTaka, MixedPrecision, PulsedSGD, PulsedSynapse, TikiTakaV2
from hfsim.learning.pulsed_rule import AbstractPulsedRule
from hfsim.learning.synapse import AbstractSynapse

PULSED, RETENTION = "cmo-hfox-2025-pulsed", "cmo-hfox-2025"


class TransferSettings(NamedTuple):
    """Of the rules with two arrays; `pulses` was chosen on a validation part of the digits, `ceiling` on one of MNIST,
    the others are usual."""

    pulses: float = 5.0
    """Mean number of pulses of a device of the fast array between two reads."""
    transfer_every: int = 1
    """Samples from one read of a row to the next."""
    reads_per_period: int = 10
    """Of AGAD's chopper."""
    chopper: float = 0.1
    """Probability of c-TTv2's chopper."""
    ceiling: float = 0.05
    """Of the random walk of the slow array, in weight for each step of noise of the fast one."""


def cmo_synapse() -> PulsedSynapse:
    """Devices that step as the card's pulsed device and relax as its retention model; nothing is programmed."""
    retention = CMORetention.from_card(hfsim.load_card(RETENTION))
    return PulsedSynapse.from_card(hfsim.load_card(PULSED), retention=retention)


def make_rule(
    name: str,
    synapse: AbstractSynapse,
    learning_rate: float,
    key: Key[Array, ""],
    settings: TransferSettings | None = None,
) -> AbstractPulsedRule:
    """The rule `name` of `RULES`, floating point excepted, with both arrays on the same kind of device."""
    settings = settings or TransferSettings()
    common: dict[str, Any] = {"key": key, "learning_rate": jax.numpy.asarray(learning_rate)}
    if name == "sgd":
        return PulsedSGD(synapse=synapse, **common)
    if name == "mixed":
        return MixedPrecision(synapse=synapse, **common)
    common |= {
        "fast": synapse,
        "slow": synapse,
        "scale": AutoScale(pulses=settings.pulses),
        "transfer_every": settings.transfer_every,
        "ceiling": settings.ceiling,
    }
    if name == "ttv2":
        return TikiTakaV2(**common)
    if name == "cttv2":
        return ChoppedTikiTaka(**common, probability=settings.chopper)
    return AGAD(**common, reads_per_period=settings.reads_per_period)
