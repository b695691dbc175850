"""Capacitors with the comparison models of switching, and leakage."""

import dataclasses

import jax.numpy as jnp

from hfsim.cards import load_card
from hfsim.devices import FerroelectricCapacitor, Pulse
from hfsim.devices.ferroelectric.heracles import HeraclesKinetics
from hfsim.devices.ferroelectric.kai import KAIKinetics
from hfsim.devices.ferroelectric.landau_khalatnikov import LandauKhalatnikovKinetics
from hfsim.devices.ferroelectric.leakage import FowlerNordheim, OhmicLeakage, ParallelLeakage, PooleFrenkel
from hfsim.devices.ferroelectric.lorentzian import LorentzianKinetics
from hfsim.devices.ferroelectric.preisach import PreisachKinetics
from hfsim.devices.train import apply_train
from tests.device_cases import Case


def capacitor(card, kinetics, section, capacitor="ferroelectric_capacitor", **changes):
    """The card's capacitor with kinetics of this class, some of their values changed."""

    def build():
        values = load_card(card)
        model = dataclasses.replace(values.build(kinetics, section), **changes)
        return values.build(FerroelectricCapacitor, capacitor, kinetics=model)

    return build


def life(*pulses, charge, rest=0.0):
    """A number from partial reversals at 330 K, `rest` seconds there, and a read on the scale `charge` [fC]."""
    *train, last = pulses
    voltages, widths = zip(*train, strict=True)

    def number(model):
        train = Pulse(jnp.asarray(voltages), jnp.asarray(widths))
        state, _ = apply_train(model, model.init((), up=0.2), train, temperature=330.0)
        if rest:
            state = model.wait(state, rest, 330.0)
        state, read = model.read(state, Pulse(*last), temperature=330.0)
        return read / charge + model.polarisation(state) / 40

    return number


def leakage():
    """One path of each kind, of comparable currents at the fields below."""
    tunnelling = FowlerNordheim(a=2.0, b=5.0)
    emission = PooleFrenkel(phi=0.5, N_c=1e-3, mu=1e-2, eps_r=5.0)
    return ParallelLeakage((OhmicLeakage(sigma=0.1, E_A=0.2), tunnelling, emission))


def current(model):
    """Current densities of both signs at two temperatures."""
    return (
        model.current_density(jnp.asarray(2.0), 300.0)
        + 0.3 * model.current_density(jnp.asarray(-0.4), 350.0)
        + model.current_density(jnp.asarray(0.0), 300.0)
    ) / 10


CASES = [
    Case(
        "lorentzian",
        capacitor("hzo-8nm-comparison", LorentzianKinetics, "lorentzian", "ferroelectric_capacitor_lorentzian"),
        life((1.2, 1e4), (-1.1, 5e3), (0.9, 3e4), (1.3, 1e4), charge=500.0, rest=1.0),
        insensitive=("P_r_spread",),
    ),
    Case(
        "kai",
        capacitor("hzo-8nm-comparison", KAIKinetics, "kai", "ferroelectric_capacitor_kai"),
        life((1.2, 1e4), (-1.1, 5e3), (0.9, 3e4), (1.3, 1e4), charge=500.0, rest=1.0),
        insensitive=("P_r_spread",),
    ),
    Case(
        "preisach",
        capacitor("hzo-static-limits", PreisachKinetics, "preisach"),
        life((1.3, 1.0), (-1.1, 1.0), (0.9, 1.0), (-0.2, 1.0), (1.1, 1.0), charge=500.0),
        insensitive=("P_r_spread",),
    ),
    Case(
        "landau_khalatnikov",
        capacitor("hzo-static-limits", LandauKhalatnikovKinetics, "landau_khalatnikov", gamma=0.03),
        life((1.3, 2.0), (-1.4, 1.5), (0.6, 3.0), (1.5, 2.0), charge=500.0),
        insensitive=("P_r_spread",),
    ),
    Case(
        "heracles",
        capacitor("heracles-2024", HeraclesKinetics, "heracles"),
        life((0.55, 1e8), (-0.15, 2e8), (0.6, 1e7), charge=3e5, rest=5.0),
        insensitive=("P_r_spread",),
    ),
    Case("leakage", leakage, current),
]
