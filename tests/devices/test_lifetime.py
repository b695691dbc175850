"""Endurance, retention bake and imprint as an instrument measures them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.devices import (
    Ageing,
    Imprint,
    InterfaceLayer,
    Pulse,
    ageing_capacitor,
    endurance,
    ferroelectric_capacitor,
    imprint_test,
    retention_bake,
)
from hfsim.errors import InputError

SATURATING = Pulse(3.0, 2000.0)
cycled = jax.jit(endurance, static_argnums=2, static_argnames="stages_per_decade")
baked = jax.jit(retention_bake, static_argnums=2)


@pytest.fixture
def capacitor(card):
    return ferroelectric_capacitor(card, nodes=32)


def test_endurance_shows_wake_up_and_fatigue(card):
    # 2 P_r rises through the 1,000 cycles of wake-up and has lost the card's 4 % at 1e7, where the window is open
    device = ageing_capacitor(card, nodes=32)
    counts = (0, 10, 1e3, 1e5, 1e7, 1e9)
    _, seen = cycled(device, SATURATING, counts, key=jax.random.key(0))
    np.testing.assert_array_equal(seen.cycles, counts)
    switched = np.asarray(seen.switched)
    assert switched.shape == (6,) and switched[0] < 0.8 * switched[3] and switched[2] > 0.97 * switched[3]
    assert switched[4] == pytest.approx(2 * 9.875 / (1 + (1e7 / 1e9) ** 0.7), rel=0.01)
    assert switched[5] < 0.6 * switched[3]
    assert np.all(np.asarray(seen.broken) == 0)


def test_a_population_breaks_down_as_its_probability_says(card):
    # 3.8 V for 10 us, 1e8 cycles: 2,000 s at 3.8 MV/cm; the share broken against the damage's own probability
    device = ageing_capacitor(card, nodes=8)
    many = dataclasses.replace(device, P_r=jnp.full(400, 9.875))
    state, seen = cycled(many, Pulse(3.8, 1e4), (1e8,), key=jax.random.key(2), stages_per_decade=1)
    expected = float(device.ageing.breakdown.probability(state.wear.damage.total.value.mean()))
    share = float(jnp.mean(seen.broken[0]))
    assert 0.01 < expected < 0.2
    assert share == pytest.approx(expected, abs=4 * np.sqrt(expected / 400))
    assert np.all(np.asarray(seen.switched[0])[np.asarray(seen.broken[0]) > 0] == 0)


def test_more_stages_change_little(card):
    device = ageing_capacitor(card, nodes=16)
    ends = [
        float(cycled(device, SATURATING, (1e5,), key=jax.random.key(0), stages_per_decade=n)[1].switched[0])
        for n in (2, 8)
    ]
    assert ends[0] == pytest.approx(ends[1], rel=5e-3)


def test_a_bake_keeps_what_has_no_depolarisation(capacitor):
    seen = baked(capacitor, SATURATING, (0.0, 1e4, 3e8), 398.0)
    np.testing.assert_allclose(seen.up, seen.up[0], rtol=1e-5)
    np.testing.assert_allclose(seen.down, -seen.up, rtol=5e-3)


def test_a_depolarising_film_loses_more_when_warm_and_less_each_decade(capacitor):
    fine = dataclasses.replace(capacitor.kinetics, nodes=160)  # what decays is the edge of the distribution
    layered = dataclasses.replace(capacitor, kinetics=fine, interface=InterfaceLayer(t_i=0.5, eps_i=20.0))
    times = (0.0, 1e2, 1e4, 1e6)
    cold, warm = (np.asarray(baked(layered, SATURATING, times, T).up) for T in (300.0, 398.0))
    assert np.all(np.diff(cold) < 0) and np.all(warm[1:] < cold[1:])
    assert cold[0] - cold[-1] > 0.2
    # no power law: the loss per decade does not grow as it would for P ~ t^-n of equal first decade
    assert cold[2] - cold[3] < 3 * (cold[1] - cold[2])


@pytest.mark.parametrize(("bit", "sign"), [(0, -1.0), (1, 1.0)])
def test_the_loop_shifts_by_the_imprint(capacitor, bit, sign):
    # E_imp = E_1 ln(1 + t/t_i) on 10 nm: the coercive voltages move by as many volts, away from the held state
    device = dataclasses.replace(capacitor, ageing=Ageing(imprint=Imprint(E_1=0.02, t_i=1.0, E_A=0.9)))
    times = np.array([0.0, 1e2, 1e5])
    seen = jax.jit(lambda d: imprint_test(d, SATURATING, times, 300.0, bit=bit, steps=80))(device)
    np.testing.assert_allclose(seen.shift, sign * 0.02 * np.log1p(times), atol=0.006)
    assert np.all(np.asarray(seen.negative) < 0) and np.all(np.asarray(seen.positive) > 0)


@pytest.mark.parametrize("bad", [[1.0, 1.0], [2.0, 1.0], [-1.0], [np.inf]])
def test_times_must_rise(capacitor, bad):
    with pytest.raises(InputError, match="`times` must be finite numbers >= 0 that rise"):
        retention_bake(capacitor, SATURATING, bad, 300.0)
    with pytest.raises(InputError, match="`cycles` must"):
        endurance(capacitor, SATURATING, bad)
