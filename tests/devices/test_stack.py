"""One stack, two personalities: only forming is one-way, and the wrong question is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.cards import load_card
from hfsim.devices import (
    HfO2Stack,
    Personality,
    Pulse,
    Result,
    Transistor,
    apply_train,
    ferroelectric_capacitor,
    hfo2_stack,
)
from hfsim.devices.memristor.filament import Filament
from hfsim.errors import InputError

FORMING = Pulse(6.0, 3e5)  # 300 us
DEVICES = 64


@pytest.fixture(scope="module")
def memristor():
    card = load_card("stanford-pku-2013")
    return card.build(Filament, "filament", transistor=card.build(Transistor, "transistor"), nodes=8)


@pytest.fixture(scope="module")
def stack(memristor):
    return hfo2_stack(load_card("cea-leti-2025-hybrid"), memristor, nodes=16)


@pytest.fixture(scope="module")
def pristine(stack):
    return stack.init((DEVICES,), jax.random.key(0))


@pytest.fixture(scope="module")
def woken(stack, pristine):
    wake = jax.jit(lambda s: stack.wake(s, Pulse(3.0, 2000.0), 400.0))
    for _ in range(4):
        pristine = wake(pristine)
    return pristine


@pytest.fixture(scope="module")
def formed(stack, pristine):
    return jax.jit(lambda s: stack.form(s, FORMING, jax.random.key(1), most=12))(pristine)


def test_cycling_wakes_and_breakdown_forms(stack, pristine, woken, formed):
    assert np.all(stack.personality(pristine) == Personality.PRISTINE)
    assert np.all(stack.personality(woken) == Personality.WOKEN)
    assert np.all(stack.personality(formed[0]) == Personality.FORMED)


def test_forming_pulses_until_50_kohm(stack, formed):
    # stated: 6 V pulses of 300 us until 50 kohm; the card's law breaks 99 % in the first (300 us is 3 times t_ref)
    state, pulses = formed
    assert np.all(np.asarray(pulses) <= 12) and np.mean(np.asarray(pulses) == 1) > 0.9
    assert np.all(np.asarray(stack.conductance(state).value) >= 20.0)


def test_the_operating_pulses_do_not_form(stack):
    # Stated: 1e7 cycles. Both polarities stress the film. Probability for one cell; an array of 16,384 loses 0.3 cells
    # at the worst of them.
    breakdown = stack.capacitor.ageing.breakdown
    for voltage, width, most in ((3.0, 2000.0, 1e-8), (3.5, 1e4, 3e-5), (4.0, 4.0, 3e-7)):
        damage = breakdown.damage(voltage, 2 * 1e7 * width, 0.36)
        assert 0 < float(breakdown.probability(damage)) < most


def test_a_quasi_static_ramp_forms_near_5_2_volts(stack):
    # 50 mV steps of 20 ms: half of the devices have formed within 0.15 V of the 5.2 V stated
    breakdown = stack.capacitor.ageing.breakdown
    voltage = np.arange(0.05, 6.0, 0.05)
    damage = np.cumsum([float(breakdown.damage(v, 20e6, 0.36)) for v in voltage])
    median = voltage[np.searchsorted(np.asarray(breakdown.probability(jnp.asarray(damage))), 0.5)]
    assert median == pytest.approx(5.2, abs=0.15)


def test_only_forming_is_one_way(stack, formed):
    @jax.jit
    def later(state):
        state, _ = apply_train(stack, state, Pulse(jnp.array([-3.0, 3.0]), 2000.0))
        return stack.wake(stack.wait(state, 1e6, 400.0), Pulse(3.0, 2000.0), 1e3)

    state = later(formed[0])
    assert np.all(stack.personality(state) == Personality.FORMED)


def test_the_film_of_a_formed_device_is_left_as_it_was(stack, formed):
    state = formed[0]
    after = stack.apply(state, Pulse(-3.0, 2000.0))
    np.testing.assert_array_equal(after.fecap.film.up, state.fecap.film.up)
    np.testing.assert_array_equal(after.fecap.wear.cycles.value, state.fecap.wear.cycles.value)


def test_the_filament_of_an_unformed_device_is_left_as_it_was(stack, woken):
    after = stack.apply(woken, Pulse(3.0, 2000.0))
    for a, b in zip(jax.tree.leaves(after.memristor), jax.tree.leaves(woken.memristor), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.all(np.asarray(after.fecap.film.up) >= np.asarray(woken.fecap.film.up) - 1e-6)


def test_pulses_program_a_formed_device(stack, formed):
    # RESET by the opposite polarity lowers the conductance, SET raises it again
    low = stack.apply(formed[0], Pulse(-2.0, 1000.0))
    high = stack.apply(low, Pulse(2.0, 1000.0))
    before, reset, set_again = (np.asarray(stack.conductance(s).value) for s in (formed[0], low, high))
    assert np.all(reset < 0.5 * before) and np.all(set_again > 2 * reset)


def test_the_wrong_question_is_an_error_outside_jit(stack, woken, formed):
    with pytest.raises(InputError, match="64 of 64: a formed device has no polarisation.*ask for its conductance"):
        stack.polarisation(formed[0])
    with pytest.raises(InputError, match="64 of 64: an unformed device has no level: form it"):
        stack.conductance(woken)


def test_the_wrong_question_is_a_result_code_inside_jit(stack, woken, formed):
    reading = jax.jit(stack_polarisation := lambda s: stack.polarisation(s))(formed[0])
    assert np.all(reading.result == Result.IS_FORMED) and np.all(reading.value == 0)
    assert "forming is one-way" in reading.explain()
    reading = jax.jit(lambda s: stack.conductance(s))(woken)
    assert np.all(reading.result == Result.NOT_FORMED) and "form it with pulses" in reading.explain()
    valid = jax.jit(stack_polarisation)(woken)
    assert np.all(valid.result == Result.VALID) and valid.explain() == "the value is valid"


def test_an_array_may_be_of_both_kinds(stack, pristine):
    # the forming pulse reaches every second device only
    pulse = Pulse(jnp.where(jnp.arange(DEVICES) % 2 == 0, 6.0, 0.0), 3e6)
    mixed = stack.apply(pristine, pulse)
    kinds = np.asarray(stack.personality(mixed))
    assert np.all(kinds[1::2] == Personality.PRISTINE) and np.mean(kinds[::2] == Personality.FORMED) > 0.95
    reading = stack.polarisation(mixed, throw=False)
    np.testing.assert_array_equal(np.asarray(reading.result) == Result.IS_FORMED, kinds == Personality.FORMED)


def test_the_probability_of_forming_has_a_gradient(stack):
    def risk(voltage):
        state = stack.init((), jax.random.key(0))
        return stack.forming_probability(stack.apply(state, Pulse(voltage, 3e4)))

    # P = 1 - exp(-D^k), D ~ exp(gamma E): dP/dV = k gamma D^k exp(-D^k) per 1 MV/cm, which is 1 V here
    D = 0.3 * np.exp(8.7 * -0.2)
    expected = 1.5 * 8.7 * D**1.5 * np.exp(-(D**1.5))
    assert float(jax.jit(jax.grad(risk))(5.8)) == pytest.approx(expected, rel=1e-3)


def test_a_stack_needs_a_breakdown(card, memristor):
    with pytest.raises(InputError, match="`capacitor` must age with a breakdown"):
        HfO2Stack(capacitor=ferroelectric_capacitor(card), memristor=memristor)


def test_a_stack_needs_a_key(stack):
    with pytest.raises(InputError, match="typed key"):
        stack.init((3,))
