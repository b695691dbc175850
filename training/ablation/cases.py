"""Devices that differ from the CMO/HfOx card in one property."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import hfsim
from hfsim.devices.pulsed import AbstractPulsedDevice, at_symmetry_point, pulsed_device
from hfsim.devices.pulsed.metrics import pulsed_metrics
from training.pulsed.rules import PULSED

SWEEPS: dict[str, tuple[str, tuple[float, ...]]] = {
    "asymmetry": ("up_down: 0 is symmetric, read against the symmetry point", (-0.8, -0.5, -0.22, 0.0, 0.3, 0.6)),
    "states": ("states at the symmetry point", (5.0, 11.0, 22.0, 44.0, 100.0, 300.0)),
    "noise": ("noise of a step over dw_min", (0.0, 0.43, 0.86, 1.7, 3.4)),
    "reference": ("error of the reference, in weight", (0.0, 0.1, 0.2, 0.4)),
}
"""Of each property: what the axis says, and the values; the card has -0.22, 22, 0.86 and 0."""


class Case(NamedTuple):
    """What a device is, as numbers: of one case, or stacked."""

    dw_min: Float[Array, "..."]
    up_down: Float[Array, "..."]
    sigma: Float[Array, "..."]
    reference: Float[Array, "..."]


def card_device() -> AbstractPulsedDevice:
    """The card's device, read against its symmetry point."""
    return at_symmetry_point(pulsed_device(hfsim.load_card(PULSED)))


def case(sweep: str, value: float) -> Case:
    """The card's device with one property changed."""
    base = card_device()
    own = {
        "dw_min": base.dw_min,
        "up_down": base.up_down,
        "sigma": base.noise.sigma,
        "reference": jnp.zeros(()),
    }
    if sweep == "states":
        own["dw_min"] = base.dw_min * pulsed_metrics(base).states / value
    else:
        own[{"asymmetry": "up_down", "noise": "sigma", "reference": "reference"}[sweep]] = jnp.asarray(value)
    return Case(**{name: jnp.asarray(number, jnp.float32) for name, number in own.items()})


def stacked(sweeps: tuple[str, ...]) -> tuple[list[tuple[str, float]], Case]:
    """All cases of some sweeps: their names, and the numbers."""
    names = [(sweep, value) for sweep in sweeps for value in SWEEPS[sweep][1]]
    return names, jax.tree.map(lambda *leaves: jnp.stack(leaves), *(case(*name) for name in names))


def device(it: Case) -> AbstractPulsedDevice:
    """The device of a case."""
    base = pulsed_device(hfsim.load_card(PULSED))
    own = eqx.tree_at(lambda d: (d.dw_min, d.up_down, d.noise.sigma), base, (it.dw_min, it.up_down, it.sigma))
    return at_symmetry_point(own, error=it.reference)
