"""Ferroelectric capacitors: the GB2 ensemble, what surrounds the film, ageing, the stack."""

import dataclasses

import jax
import jax.numpy as jnp

import hfsim
from hfsim.devices import (
    BuiltInSpread,
    GB2Domains,
    InterfaceLayer,
    Pulse,
    SeriesResistance,
    ageing_capacitor,
    apply_train,
    ferroelectric_capacitor,
)
from hfsim.devices.ferroelectric.leakage import OhmicLeakage
from hfsim.estimators import Soft
from tests.device_cases import Case


def gb2_capacitor():
    """The hybrid chip's minimum cell, imprinted."""
    capacitor = ferroelectric_capacitor(hfsim.load_card("cea-leti-2025-hybrid"))
    return dataclasses.replace(capacitor, E_bi=0.07)


def spread_capacitor():
    """The same with a built-in field of its own in each class of domains."""
    capacitor = gb2_capacitor()
    return dataclasses.replace(
        capacitor, kinetics=dataclasses.replace(capacitor.kinetics, built_in=BuiltInSpread(0.3), nodes=64)
    )


def domains_capacitor():
    """The same of stochastic domains, softened, so that differences along the path are smooth."""
    capacitor = gb2_capacitor()
    return dataclasses.replace(capacitor, kinetics=GB2Domains(capacitor.kinetics, Soft(0.5), domains=48))


def surrounded_capacitor():
    """Interface layer, series resistance and leakage, all of which matter at 40 ns."""
    capacitor = gb2_capacitor()
    return dataclasses.replace(
        capacitor,
        kinetics=dataclasses.replace(capacitor.kinetics, nodes=24),
        interface=InterfaceLayer(t_i=0.3, eps_i=20.0, sigma=1.0),
        series=SeriesResistance(R_s=1000.0),
        leakage=OhmicLeakage(sigma=0.1, E_A=0.3),
        steps=6,
    )


def old_capacitor():
    """All the ageing of the card, the onset of each brought forward into three cycles."""
    capacitor = ageing_capacitor(hfsim.load_card("cea-leti-2025-hybrid"), nodes=16)
    ageing = capacitor.ageing
    ageing = dataclasses.replace(
        ageing,
        wake_up=dataclasses.replace(ageing.wake_up, N_w=3.0),
        fatigue=dataclasses.replace(ageing.fatigue, N_f=100.0),
    )
    return dataclasses.replace(capacitor, E_bi=0.07, ageing=ageing, steps=4)


def life(capacitor):
    """A partial reversal, one back, a year of rest at 85 C, a read: charge over that of a fresh cell."""
    state = capacitor.init((), jax.random.key(0), up=0.0)
    for voltage, width in ((1.2, 50.0), (-1.0, 30.0)):
        state = capacitor.apply(state, Pulse(voltage, width), temperature=330.0)
    state = capacitor.wait(state, 3e7, 358.0)
    state, charge = capacitor.read(state, Pulse(1.5, 40.0), temperature=330.0)
    return charge / 71.1 + capacitor.polarisation(state) / 20.0 + jnp.log(capacitor.capacitance) / 10


def one_pulse(capacitor):
    """Shares of 48 domains after one pulse; of later ones the order of flips has kinks."""
    state = capacitor.apply(capacitor.init((), jax.random.key(0)), Pulse(1.3, 100.0), temperature=330.0)
    return capacitor.charge(state, 0.5) / 71.1


def surrounded_life(capacitor):
    """Two short pulses and the charge left on the electrode; one loop, so that it compiles once."""
    train = Pulse(jnp.array([1.8, -1.2]), jnp.array([40.0, 20.0]))
    state, _ = apply_train(capacitor, capacitor.init(()), train, temperature=330.0)
    return capacitor.charge(state) / 71.1 + jnp.log(capacitor.capacitance) / 10


def long_life(capacitor):
    """Three cycles, a bake, what is left; and how likely the film is to have broken down."""
    train = Pulse(jnp.array([2.5, -2.5, 2.5, -2.5, 2.0, -1.3]), 500.0)
    state, _ = apply_train(capacitor, capacitor.init((), jax.random.key(0)), train, temperature=330.0)
    state = capacitor.wait(state, 1e5, 358.0)
    breakdown, damage = capacitor.ageing.breakdown, state.wear.damage
    risk = jnp.log(breakdown.probability(damage.total.value) + 1e-30) / 50
    aged = capacitor.ageing.aged(capacitor, state.wear)
    return capacitor.charge(state, 0.5) / 71.1 + risk + aged.E_bi + aged.kinetics.built_in.sigma


SURE = ("P_r_spread",)  # a spread between devices, which one device does not show; wake-up sets that of the domains
CASES = [
    Case("gb2", gb2_capacitor, life, insensitive=SURE, tolerance=3e-4),
    Case("gb2_built_in", spread_capacitor, life, insensitive=SURE, tolerance=1e-3),
    Case(
        "gb2_domains",
        domains_capacitor,
        one_pulse,
        insensitive=SURE,
        implicit=("kinetics.ensemble.p", "kinetics.ensemble.q"),
        vmap=1e-6,
    ),
    Case("gb2_surrounded", surrounded_capacitor, surrounded_life, insensitive=SURE, tolerance=1e-3, float32=1e-3),
    Case(
        "gb2_ageing",
        old_capacitor,
        long_life,
        insensitive=(*SURE, "kinetics.built_in.sigma"),
        tolerance=1e-3,
        float32=1e-3,
    ),
]
