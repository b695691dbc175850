"""The 1T1R cell with a two-state filament."""

import jax
import jax.numpy as jnp

import hfsim
from hfsim.devices import Pulse, Transistor
from hfsim.devices.memristor.filament import Filament, FilamentState
from tests.device_cases import Case


def cell():
    """The hybrid chip's cell, at a moderate compliance and worn."""
    card = hfsim.load_card("cea-leti-2025-hybrid")
    transistor = card.build(Transistor, "transistor_saturation")
    return card.build(Filament, "filament", transistor=transistor, x_w=0.7, N_f=2e4, nodes=12)


def life(cell):
    """A SET, a partial RESET, a bake and a weak SET of a worn device with a spread of its own: logarithms of G."""
    state = FilamentState(*(jnp.asarray(v, cell.L_0.dtype) for v in (1.5, 0.8, 0.4, -0.7, 1.1e4)))
    pulses = (jnp.array([2.0, -0.9, 1.1]), jnp.array([2e3, 2e3, 300.0]), jnp.array([0.0, 2e4, 0.0]))

    def step(state, pulse):
        voltage, width, seconds = (p.astype(cell.L_0.dtype) for p in pulse)
        state = cell.wait(cell.apply(state, Pulse(voltage, width), temperature=310.0), seconds, 480.0)
        return state, jnp.log(cell.conductance(state))

    state, (low, high, again) = jax.lax.scan(step, state, pulses)
    return (low - high + 0.5 * again) / 4 + state.N / 1e5


CASES = [Case("filament", cell, life, insensitive=("transistor.A_VT",))]
