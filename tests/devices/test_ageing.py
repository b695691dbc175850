"""Ageing is one history in the state: wake-up, fatigue, imprint, breakdown, in any order."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from hfsim.devices import (
    Ageing,
    BuiltInSpread,
    DielectricBreakdown,
    Fatigue,
    Imprint,
    Pulse,
    WakeUp,
    ageing_capacitor,
    ferroelectric_capacitor,
)
from hfsim.errors import InputError
from hfsim.units import BOLTZMANN

SATURATING = Pulse(3.0, 2000.0)


@pytest.fixture
def capacitor(card):
    return ferroelectric_capacitor(card, nodes=32)


def cycled(device, state, number):
    """`number` bipolar cycles, each of them applied."""

    def one(state, _):
        return device.apply(device.apply(state, SATURATING), Pulse(-3.0, 2000.0)), None

    return jax.lax.scan(one, state, None, length=number)[0]


# ------------------------------------------------------------------------------------------------- imprint


@pytest.fixture
def imprint():
    return Imprint(E_1=0.02, t_i=1.0, E_A=0.9)


def shift(imprint, history):
    """E_imp after ((p, seconds, kelvin), ...) from no imprint."""
    traps = jnp.zeros(imprint.rates().size)
    for p, seconds, temperature in history:
        traps = imprint.relax(traps, p, seconds, temperature)
    return float(imprint.field(traps))


@pytest.mark.parametrize("seconds", [1e-3, 0.1, 1.0, 30.0, 1e4, 1e8, 1e12])
def test_imprint_follows_the_logarithm_of_time(imprint, seconds, x64):
    # the law is E_1 ln(1 + t/t_i); the groups of traps are a sum for an integral, good to 5e-4 of E_1
    expected = 0.02 * np.log1p(seconds)
    assert shift(Imprint(E_1=0.02, t_i=1.0, E_A=0.9), [(1.0, seconds, 300.0)]) == pytest.approx(
        expected, abs=1e-3 * 0.02 + 1e-3 * expected
    )


def test_imprint_is_arrhenius(imprint):
    faster = np.exp(0.9 / BOLTZMANN * (1 / 300 - 1 / 398))
    hot, cold = shift(imprint, [(1.0, 10.0, 398.0)]), shift(imprint, [(1.0, 10.0 * faster, 300.0)])
    assert hot == pytest.approx(cold, rel=1e-4)
    assert hot > 2 * shift(imprint, [(1.0, 10.0, 300.0)])


def test_waits_compose_in_value(imprint):
    parts = shift(imprint, [(1.0, 1e3, 300.0), (1.0, 2e3, 350.0), (1.0, 5e3, 300.0)])
    order = shift(imprint, [(1.0, 2e3, 350.0), (1.0, 5e3, 300.0), (1.0, 1e3, 300.0)])
    assert parts == pytest.approx(order, rel=1e-5)
    assert shift(imprint, [(1.0, 4e3, 300.0)]) == pytest.approx(shift(imprint, [(1.0, 1e3, 300.0)] * 4), rel=1e-5)


def test_the_opposite_state_erases_imprint_as_slowly_as_it_came(imprint):
    # linear response: E = E_1 [ln(1 + (t + s)/t_i) - 2 ln(1 + s/t_i)] after t up and s down
    for s in (1.0, 30.0, 1e3, 1e6):
        expected = 0.02 * (np.log1p(1e4 + s) - 2 * np.log1p(s))
        assert shift(imprint, [(1.0, 1e4, 300.0), (-1.0, s, 300.0)]) == pytest.approx(expected, abs=2e-4)


def test_a_device_is_imprinted_towards_what_it_holds(capacitor, imprint):
    device = dataclasses.replace(capacitor, ageing=Ageing(imprint=imprint))
    wait = jax.jit(lambda s: device.wait(s, 1e5, 300.0))
    for bit, sign in ((0, 1.0), (1, -1.0)):
        held = wait(device.write(device.init(()), bit, SATURATING))
        aged = device.ageing.aged(device, held.wear)
        assert float(aged.E_bi) == pytest.approx(sign * 0.02 * np.log1p(1e5), rel=0.01)
        # it now takes more voltage to leave the state than to come back
        weak = Pulse(-sign * 1.2, 100.0)
        moved = [float(device.polarisation(device.apply(s, weak))) for s in (held, device.write(held, bit, SATURATING))]
        fresh = device.apply(device.write(device.init(()), bit, SATURATING), weak)
        assert sign * moved[0] > sign * float(device.polarisation(fresh)) + 0.5


# ------------------------------------------------------------------------------------- cycles, wake-up, fatigue


def test_cycles_count_what_switches(capacitor):
    device = dataclasses.replace(capacitor, ageing=Ageing(fatigue=Fatigue(N_f=1e8, c=1.0)))
    state = jax.jit(lambda s: cycled(device, s, 5))(device.init(()))
    assert float(state.wear.cycles.value) == pytest.approx(5.0, rel=0.01)
    unipolar = device.init((), up=1.0)
    for _ in range(3):
        unipolar = device.apply(unipolar, SATURATING)
    assert float(unipolar.wear.cycles.value) == pytest.approx(0.0, abs=1e-3)
    half = device.apply(device.init(()), Pulse(1.25, 100.0))
    switched = (float(device.polarisation(half)) / 9.875 + 1) / 2
    assert float(half.wear.cycles.value) == pytest.approx(switched / 2, rel=1e-3)


def test_fatigue_is_its_law(capacitor):
    device = dataclasses.replace(capacitor, ageing=Ageing(fatigue=Fatigue(N_f=1e6, c=0.8)))
    state = device.cycle(device.init((), up=1.0), SATURATING, 1e5)
    N = float(state.wear.cycles.value)
    assert pytest.approx(1e5, rel=0.01) == N
    fresh = float(capacitor.polarisation(cycled(capacitor, capacitor.init((), up=1.0), 1)))
    assert float(device.polarisation(state)) == pytest.approx(fresh / (1 + (N / 1e6) ** 0.8), rel=1e-4)


def test_many_cycles_at_once_are_cycles_one_by_one(card):
    # wake-up over 40 cycles: in stages of ten, a stage's rate of wear is that of its first cycle. Measured: 0.1 %.
    device = ageing_capacitor(card, nodes=32)
    wake_up = dataclasses.replace(device.ageing.wake_up, N_w=20.0)
    device = dataclasses.replace(device, ageing=dataclasses.replace(device.ageing, wake_up=wake_up))
    start = device.init((), jax.random.key(0))
    each = jax.jit(lambda s: cycled(device, s, 40))(start)
    staged = start
    stage = jax.jit(lambda s: device.cycle(s, SATURATING, 10.0))
    for _ in range(4):
        staged = stage(staged)
    assert float(staged.wear.cycles.value) == pytest.approx(float(each.wear.cycles.value), rel=0.01)
    assert float(device.polarisation(staged)) == pytest.approx(float(device.polarisation(each)), rel=0.01)
    damage = [float(s.wear.damage.total.value) for s in (staged, each)]
    assert damage[0] == pytest.approx(damage[1], rel=1e-3) and damage[0] > 0


def test_a_pristine_loop_is_pinched_and_a_woken_one_is_open(card):
    # the remanence after a half loop: pristine domains feel fields of their own and go back by themselves
    device = ageing_capacitor(card, nodes=64)
    pristine = device.init((), jax.random.key(0))
    woken = pristine
    for _ in range(4):
        woken = device.cycle(woken, SATURATING, 1000.0)
    remanence = []
    for state in (pristine, woken):
        written = device.apply(state, SATURATING)
        rested = device.wait(written, 1e-3)
        remanence.append(float(device.polarisation(rested)))
    assert remanence[0] < 0.75 * remanence[1]
    assert remanence[1] == pytest.approx(9.87, rel=0.02)


def test_a_device_keeps_one_history(card):
    # cycled, baked and cycled again: cycles, damage and traps add up whatever the order of the parts
    device = ageing_capacitor(card, nodes=32)
    start = device.init((), jax.random.key(1))
    cycle = jax.jit(lambda s: device.cycle(s, SATURATING, 100.0))
    bake = jax.jit(lambda s: device.wait(s, 3600.0, 398.0))
    one, two = bake(cycle(cycle(start))), cycle(bake(cycle(start)))
    assert float(one.wear.cycles.value) == pytest.approx(float(two.wear.cycles.value), rel=0.02)
    assert float(one.wear.damage.total.value) == pytest.approx(float(two.wear.damage.total.value), rel=1e-3)
    assert float(one.wear.cycles.value) > 150
    fields = [abs(float(device.ageing.imprint.field(s.wear.traps))) for s in (start, two, one)]
    assert fields[0] == 0 and 0 < fields[1] < fields[2]  # 100 cycles after the bake wipe little of it, but some


def test_wake_up_needs_a_spread_to_act_on(capacitor):
    device = dataclasses.replace(capacitor, ageing=Ageing(wake_up=WakeUp(0.5, 0.05, 0.2, 200.0, 0.7)))
    with pytest.raises(InputError, match="`kinetics` must have a spread of built-in fields"):
        device.apply(device.init(()), SATURATING)
    kinetics = dataclasses.replace(capacitor.kinetics, built_in=BuiltInSpread(0.1))
    dataclasses.replace(device, kinetics=kinetics).apply(device.init(()), SATURATING)


# ----------------------------------------------------------------------------------------------- breakdown


@pytest.fixture
def breakdown(card):
    return card.build(DielectricBreakdown, "breakdown")


def test_thresholds_are_weibull(breakdown, key):
    draws = np.asarray(breakdown.threshold((20_000,), key))
    assert scipy.stats.kstest(draws, scipy.stats.weibull_min(float(breakdown.k)).cdf).pvalue > 1e-3
    share = np.mean(draws <= 0.7)
    assert share == pytest.approx(float(breakdown.probability(0.7)), abs=4 * np.sqrt(0.25 / 20_000))


def test_damage_is_field_time_temperature_and_area(breakdown):
    at = lambda *a: float(breakdown.damage(*a))  # noqa: E731
    assert at(6.0, 1e5, 0.36) == pytest.approx(1.0, rel=1e-5)  # t_ref of 100 us
    assert at(5.0, 1e5, 0.36) == pytest.approx(np.exp(-8.7), rel=1e-4)
    assert at(-5.0, 2e5, 0.36) == pytest.approx(2 * np.exp(-8.7), rel=1e-4)
    assert at(6.0, 1e5, 0.36, 400.0) == pytest.approx(np.exp(0.9 / BOLTZMANN * (1 / 300 - 1 / 400)), rel=1e-3)
    assert at(0.0, 1e18, 0.36) == 0
    # n cells fail as one of n times the area: independent spots
    n, small = 7, 1 - float(breakdown.probability(at(6.0, 1e5, 0.36)))
    assert 1 - float(breakdown.probability(at(6.0, 1e5, 0.36 * n))) == pytest.approx(small**n, rel=1e-3)


def test_the_median_time_is_where_half_are_broken(breakdown):
    seconds = float(breakdown.median_time(5.5, 0.36))
    assert float(breakdown.probability(breakdown.damage(5.5, seconds * 1e9, 0.36))) == pytest.approx(0.5, rel=1e-4)


def test_a_broken_device_has_no_polarisation(card, key):
    device = ageing_capacitor(card, nodes=16)
    state = device.init((500,), key)
    state = jax.jit(lambda s: device.apply(s, Pulse(6.0, 1e5)))(state)
    broken = np.asarray(state.wear.damage.broken) > 0
    assert broken.mean() == pytest.approx(1 - np.exp(-1), abs=4 * np.sqrt(0.24 / 500))
    P = np.asarray(device.polarisation(state))
    assert np.all(P[broken] == 0) and np.all(P[~broken] > 5)


def test_breakdown_needs_a_key(card):
    with pytest.raises(InputError, match="typed key"):
        ageing_capacitor(card).init(())
