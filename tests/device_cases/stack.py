"""The HfO2 stack: a film that has not formed beside one that has."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp

import hfsim
from hfsim.devices import Pulse, apply_train, hfo2_stack
from tests.device_cases import Case
from tests.device_cases.ferroelectric import SURE, old_capacitor
from tests.device_cases.filament import cell


def stack():
    """The card's stack, with the aged capacitor and the worn filament of their own cases."""
    made = hfo2_stack(hfsim.load_card("cea-leti-2025-hybrid"), cell(), nodes=16)
    return dataclasses.replace(made, capacitor=old_capacitor())


def life(stack):
    """Pulses of both signs and a bake: risk and polarisation of a film that holds, conductance of one that formed."""
    state = stack.init((2,), jax.random.key(0))
    thresholds = jnp.array([1e30, 0.0], state.fecap.wear.damage.threshold.dtype)
    # one film that never breaks and one that is broken, its filament worn
    worn = jnp.full_like(state.memristor.N, 1.1e4)
    state = eqx.tree_at(lambda s: (s.fecap.wear.damage.threshold, s.memristor.N), state, (thresholds, worn))
    train = Pulse(jnp.array([2.0, -0.9, 1.8]), jnp.array([2e3, 2e3, 300.0]))
    state, _ = apply_train(stack, state, train, temperature=330.0)
    state = stack.wait(state, 2e4, 480.0)
    risk = jnp.log(stack.forming_probability(state)[0] + 1e-30) / 50
    G = stack.conductance(state, throw=False).value[1]
    charge = stack.capacitor.charge(state.fecap, 0.5)[0]
    return risk + stack.polarisation(state, throw=False).value[0] / 40 + charge / 71.1 + jnp.log(G) / 4


# N_woken and R_formed are compared with; the rest see tests/device_cases/ferroelectric.py and filament.py
INSENSITIVE = (
    "N_woken",
    "R_formed",
    "memristor.transistor.A_VT",
    *(f"capacitor.{name}" for name in (*SURE, "kinetics.built_in.sigma")),
)
CASES = [Case("stack", stack, life, insensitive=INSENSITIVE, tolerance=1e-3, float32=1e-3)]
