"""Ferroelectric capacitors with each kind of kinetics."""

import jax.numpy as jnp

import hfsim
from hfsim.devices import Pulse
from hfsim.hybrid import ferroelectric_capacitor
from tests.device_cases import Case


def gb2_capacitor():
    """The hybrid chip's minimum cell with a built-in field of its own kind."""
    return ferroelectric_capacitor(hfsim.load_card("cea-leti-2025-hybrid"))


def life(capacitor):
    """A partial reversal, one back, a year of rest at 85 C, a read: charge over that of a fresh cell."""
    state = capacitor.init((), up=0.0)
    for voltage, width in ((1.2, 50.0), (-1.0, 30.0)):
        state = capacitor.apply(state, Pulse(voltage, width), temperature=330.0)
    state = capacitor.wait(state, 3e7, 358.0)
    state, charge = capacitor.read(state, Pulse(1.5, 100.0))
    return charge / 71.1 + capacitor.polarisation(state) / 20.0 + jnp.log(capacitor.capacitance) / 10


CASES = [
    Case("gb2", gb2_capacitor, life, insensitive=("P_r_spread",), tolerance=3e-4),
]
