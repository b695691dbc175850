"""The CMO/HfOx cell with each series element, and with relaxation."""

import dataclasses

import jax
import jax.numpy as jnp

import hfsim
from hfsim.devices import Pulse, Transistor, apply_train
from hfsim.devices.memristor.cmo import CMOCell, CMOState
from hfsim.devices.memristor.series import SelectResistance, SelectTransistor
from hfsim.devices.retention import CMORetention, RelaxingMemristor
from tests.device_cases import Case


def with_resistance():
    card = hfsim.load_card("cmo-hfox-2025")
    cell = card.build(CMOCell, "cell", series=card.build(SelectResistance, "series"))
    return dataclasses.replace(cell, a_min=3.2)  # so that the denser of the two cells is beyond the kink of a(C)


def with_transistor():
    card = hfsim.load_card("cmo-hfox-2025")
    transistor = card.build(Transistor, "transistor")
    return card.build(CMOCell, "cell", series=card.build(SelectTransistor, "gate", transistor=transistor))


def relaxing():
    card = hfsim.load_card("cmo-hfox-2025")
    return RelaxingMemristor(cell=with_resistance(), retention=CMORetention.from_card(card, clip=False))


TRAIN = (1.35, 1.35, -1.3, -1.3)


def life(cell):
    """A train on a cell at half and one at twice the density of fresh ones, a rest, a read and the vacancies."""
    fresh = cell.init((2,))
    state = CMOState(fresh.log_C + jnp.log(jnp.array([0.5, 2.0], fresh.log_C.dtype)))
    state, _ = apply_train(cell, state, Pulse(jnp.array(TRAIN), 1000.0), temperature=310.0)
    state = cell.wait(state, 3e7, 358.0)
    return jnp.sum(cell.conductance(state) / 50 + cell.density(state) * 10)


def relaxed_life(device):
    """A train, a rest far beyond the end of the Brownian path (its draws then stand still), a pulse, moments."""
    state = device.init((), jax.random.key(1))
    state, _ = apply_train(device, state, Pulse(jnp.array(TRAIN), 1000.0), temperature=310.0)
    state = device.wait(state, 1e29)
    state = device.apply(state, Pulse(1.35, 1000.0))
    later, end = device.wait(state, 3e6, 310.0), device.wait(state, 1e29)
    law = device.retention.mean(later.rest) + device.retention.sigma(later.rest)
    noise = device.retention.read_sigma(end.rest) + device.retention.programming_sigma(law)
    return (device.conductance(state) + law + noise + device.current(state, 0.3)) / 50


UNUSED = ("series.transistor.A_VT",)  # a population's, not a transistor's
CASES = [
    Case("cmo-resistance", with_resistance, life, tolerance=3e-4),
    Case("cmo-transistor", with_transistor, life, insensitive=(*UNUSED, "a_min"), tolerance=3e-4),
]
