"""The CMO/HfOx cell: exact properties, refusals, and what lies in series with it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.devices import Pulse, Transistor, apply_train
from hfsim.devices.memristor.cmo import CMOCell, CMOState, K, Q
from hfsim.devices.memristor.series import NoSeries, SelectResistance, SelectTransistor
from hfsim.errors import InputError

apply = jax.jit(lambda cell, state, pulse, kelvin: cell.apply(state, pulse, temperature=kelvin))
point = jax.jit(lambda cell, state, V, kelvin: cell.operating_point(state, V, temperature=kelvin))


@pytest.fixture(scope="module")
def card():
    return hfsim.load_card("cmo-hfox-2025")


@pytest.fixture(scope="module")
def cell(card):
    return card.build(CMOCell, "cell", series=card.build(SelectResistance, "series"))


@pytest.fixture(scope="module")
def one_transistor(card):
    gate = card.build(SelectTransistor, "gate", transistor=card.build(Transistor, "transistor"))
    return card.build(CMOCell, "cell", series=gate)


@pytest.fixture(scope="module")
def states():
    return CMOState(jnp.log(jnp.array([0.007, 0.0164, 0.0377])))


def test_a_pulse_of_no_height_or_no_width_changes_nothing(cell, states):
    for pulse in (Pulse(0.0, 1e6), Pulse(1.35, 0.0), Pulse(-1.3, 0.0)):
        np.testing.assert_allclose(apply(cell, states, pulse, 300.0).log_C, states.log_C, rtol=1e-6)
    assert cell.wait(states, 3e8, 400.0) is states


def test_no_resistance_is_none(cell, states):
    zero = dataclasses.replace(cell, series=SelectResistance(R_set=0.0, R_reset=0.0))
    none = dataclasses.replace(cell, series=NoSeries())
    for V in (1.35, -1.3):
        a, b = (apply(c, states, Pulse(V, 1000.0), 300.0).log_C for c in (zero, none))
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_polarity(cell, states):
    assert np.all(apply(cell, states, Pulse(1.35, 1000.0), 300.0).log_C > states.log_C)
    assert np.all(apply(cell, states, Pulse(-1.3, 1000.0), 300.0).log_C < states.log_C)


def test_pulses_join(cell, states):
    # the ODE is autonomous: 10 pulses of 100 ns are one of 1 us, to the error of a step
    split = states
    for _ in range(10):
        split = apply(cell, split, Pulse(1.35, 100.0), 300.0)
    np.testing.assert_allclose(split.log_C, apply(cell, states, Pulse(1.35, 1000.0), 300.0).log_C, atol=3e-5)


def test_more_substeps_converge(cell, states):
    # second order: from 4 to 8 sub-steps the change falls by about 4
    fine = apply(dataclasses.replace(cell, substeps=64), states, Pulse(-1.3, 5000.0), 300.0).log_C
    errors = [
        np.abs(apply(dataclasses.replace(cell, substeps=n), states, Pulse(-1.3, 5000.0), 300.0).log_C - fine).max()
        for n in (4, 8, 16)
    ]
    assert errors[0] > 3 * errors[1] > 6 * errors[2]


def test_the_operating_point_closes_the_loop(cell, states):
    # hopping written out at the current, field and temperature found: I = A q C a nu_e exp(-E/kT) 2 sinh(q F a/2kT)
    for V, R, T_0 in ((1.35, 0.3, 293.0), (-1.3, 0.1, 320.0), (0.4, 0.3, 300.0)):
        I, T, _ = (np.asarray(x, np.float64) for x in point(cell, states, V, T_0))
        C, U = np.exp(np.asarray(states.log_C, np.float64)), abs(V) - 1e-3 * np.abs(I) * (R + 0.2232217)
        a, E = np.maximum(2.0, 3.6369 - 30.738 * C), 0.07961471 - 0.2307672 * C
        hopping = Q * 547.39 * C * a * 2e4 * np.exp(-E / (K * T)) * 2 * np.sinh(U / 12 * a / (2 * K * T))
        np.testing.assert_allclose(np.abs(I), hopping, rtol=2e-5)
        np.testing.assert_allclose(T, T_0 + 1.4 * np.abs(I) * (abs(V) - 1e-3 * np.abs(I) * R), rtol=1e-5)


def test_the_field_never_opposes_the_voltage(cell, states):
    # clip of F to the sign of V: |I| stays below |V|/(R_s + R), for small and large voltages alike
    for V in (1e-3, 0.2, 2.0, 10.0, -10.0):
        I = np.asarray(point(cell, states, V, 300.0)[0])
        limit = abs(V) / (0.2232217 + (0.3 if V > 0 else 0.1)) * 1e3
        assert np.all(np.sign(I) == np.sign(V)) and np.all(np.abs(I) < limit)


def test_the_temperature_is_the_ambient(cell, states):
    # without a voltage the dome is at the ambient itself, 300 K where none is given; heat speeds drift and hopping
    np.testing.assert_array_equal(point(cell, states, 0.0, 311.0)[1], 311.0)
    np.testing.assert_array_equal(cell.operating_point(states, 0.0)[1], 300.0)
    cool, warm = (apply(cell, states, Pulse(1.35, 1000.0), kelvin).log_C for kelvin in (293.0, 300.0))
    assert np.all(warm > cool)
    np.testing.assert_array_equal(cell.apply(states, Pulse(1.35, 1000.0)).log_C, warm)
    # a population may lie in a gradient of temperature
    kelvins = jnp.array([293.0, 300.0, 320.0])
    G = cell.conductance(states, temperature=kelvins)
    for n, kelvin in enumerate(kelvins):
        np.testing.assert_allclose(G[n], cell.conductance(states, temperature=kelvin)[n], rtol=1e-6)
    np.testing.assert_allclose(cell.at_conductance(G, temperature=kelvins).log_C, states.log_C, atol=2e-5)


def test_transistor_and_cell_carry_one_current(one_transistor, states):
    transistor, bare = one_transistor.series.transistor, dataclasses.replace(one_transistor, series=NoSeries())
    for V in (1.35, -1.3):
        I, T, rate = point(one_transistor, states, V, 300.0)

        def mismatch(V_cell, V=V):
            over_cell = point(bare, states, V_cell, 300.0)[0]
            if V > 0:
                return over_cell - transistor.current(1.4, 0.0, V - V_cell, temperature=300.0)
            return over_cell + transistor.current(3.3, -V_cell, -V, temperature=300.0)

        low, high = jnp.zeros(3), jnp.full(3, V)  # bisection, written here: mismatch rises with |V_cell|
        for _ in range(30):
            middle = (low + high) / 2
            outside = mismatch(middle) * jnp.sign(V) > 0
            low, high = jnp.where(outside, low, middle), jnp.where(outside, middle, high)
        same_I, same_T, same_rate = point(bare, states, low, 300.0)
        np.testing.assert_allclose(I, same_I, rtol=2e-5)
        np.testing.assert_allclose(T, same_T, rtol=2e-5)
        np.testing.assert_allclose(rate, same_rate, rtol=5e-4)


def test_a_wide_transistor_is_no_resistance(one_transistor, states):
    wide = dataclasses.replace(one_transistor.series.transistor, W=1000.0)
    series = dataclasses.replace(one_transistor.series, transistor=wide)
    bare = dataclasses.replace(one_transistor, series=NoSeries())
    for V in (1.35, -1.3):
        through = point(dataclasses.replace(one_transistor, series=series), states, V, 300.0)[0]
        np.testing.assert_allclose(through, point(bare, states, V, 300.0)[0], rtol=2e-3)


def test_a_closed_gate_writes_nothing(one_transistor, states):
    shut = dataclasses.replace(one_transistor.series, V_G_set=0.0, V_G_reset=0.0)
    after = apply(dataclasses.replace(one_transistor, series=shut), states, Pulse(1.35, 1e5), 300.0)
    np.testing.assert_allclose(after.log_C, states.log_C, atol=1e-6)


def test_the_gate_limits_the_current(one_transistor, states):
    # a gate of 0.7 V: the saturation current KP/2n W/L (V_G - V_T)^2/(1 + ..) of about 57 uA bounds it
    low = dataclasses.replace(one_transistor, series=dataclasses.replace(one_transistor.series, V_G_set=0.7))
    saturated = one_transistor.series.transistor.current(0.7, 0.0, 1.3)
    assert np.all(point(low, states, 1.35, 300.0)[0] <= 1.05 * saturated)


def test_a_conductance_is_found_again(cell):
    G = jnp.array([1.0, 9.0, 26.5, 55.0, 90.0, 93.0])
    np.testing.assert_allclose(cell.conductance(cell.at_conductance(G)), G, rtol=1e-5)
    highest = cell.at_conductance(200.0, temperature=293.0)
    assert float(cell.conductance(highest, temperature=293.0)) == pytest.approx(93.75, abs=0.05)  # the nearer end
    slope = jax.jit(jax.vmap(jax.grad(lambda g: cell.conductance(cell.at_conductance(g)))))(G)
    np.testing.assert_allclose(slope, 1.0, rtol=1e-3)


def test_an_array_is_its_devices(cell):
    log_C = jnp.log(jnp.linspace(0.007, 0.03, 6).reshape(2, 3))
    V = jnp.array([1.35, -1.3, 1.2])  # a pulse for each column
    array = apply(cell, CMOState(log_C), Pulse(V, 1000.0), 300.0).log_C
    for place in ((0, 0), (1, 1), (1, 2)):
        alone = apply(cell, CMOState(log_C[place]), Pulse(V[place[1]], 1000.0), 300.0).log_C
        np.testing.assert_allclose(array[place], alone, rtol=1e-6)


def test_the_gradient_of_a_train_reaches_its_pulses(cell, x64):
    # d ln C/d amplitude and d/d width of a train of 6 through the checkpointed scan, against central differences
    with_x64 = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), cell)
    start = CMOState(jnp.log(jnp.array(0.0164)))

    @jax.jit
    def end(V, width):
        return apply_train(with_x64, start, Pulse(V, width))[0].log_C

    V, width = jnp.array([1.35, 1.3, -1.3, 1.35, -1.25, 1.3]), jnp.full(6, 1000.0)
    slopes = jax.jit(jax.grad(end, argnums=(0, 1)))(V, width)
    for n in (0, 2, 5):
        for which, scale in ((0, 1e-5), (1, 1e-2)):
            up, down = ([V, width] for _ in range(2))
            up[which], down[which] = up[which].at[n].add(scale), down[which].at[n].add(-scale)
            expected = (end(*up) - end(*down)) / (2 * scale)
            assert float(slopes[which][n]) == pytest.approx(float(expected), rel=1e-5)


def test_the_second_derivative(cell, x64):
    # the solved current carries derivatives of any order: d2 G/dV2 through one pulse, against differences of d G/dV
    double = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), cell)
    start = CMOState(jnp.log(jnp.array(0.012)))
    slope = jax.grad(lambda V: double.apply(start, Pulse(V, 1000.0)).log_C)
    at, expected = jax.jit(jax.grad(slope))(1.35), jax.jit(lambda h: (slope(1.35 + h) - slope(1.35 - h)) / (2 * h))
    assert float(at) == pytest.approx(float(expected(1e-5)), rel=1e-5)


def test_what_is_refused(card, cell):
    with pytest.raises(InputError, match="substeps"):
        card.build(CMOCell, "cell", substeps=0)
    with pytest.raises(InputError, match="`seconds` must be a finite time"):
        cell.wait(cell.init(()), -1.0)
    with pytest.raises(InputError, match="R_set"):
        SelectResistance(R_set=-0.1, R_reset=0.0)
