"""The Stanford gap model: exact properties, refusals."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.devices import Pulse, apply_train
from hfsim.devices.memristor.stanford import Stanford, StanfordState
from hfsim.errors import InputError
from hfsim.units import thermal_voltage

APPLY = eqx.filter_jit(lambda memristor, state, pulse: memristor.apply(state, pulse))


@pytest.fixture
def memristor():
    return hfsim.load_card("stanford-gap-2014").build(Stanford, "stanford")


def at(gap):
    return StanfordState(jnp.asarray(gap, jnp.result_type(float)))


def test_the_current_is_its_equation(memristor, x64):
    memristor = hfsim.load_card("stanford-gap-2014").build(Stanford, "stanford")
    g, V = np.meshgrid([0.2, 0.9, 1.7], [-1.5, -0.1, 0.0, 0.3, 2.0])
    expected = 1e3 * np.exp(-g / 0.25) * np.sinh(V / 0.25)
    np.testing.assert_allclose(memristor.current(at(g), jnp.asarray(V)), expected, rtol=1e-12)


def test_the_speed_is_its_equation(memristor):
    # 1.2 V over 1 nm, with the heat of 2.22 mA exp(...)...: each factor by hand
    g, V = 1.0, 1.2
    I = 1e3 * np.exp(-4.0) * np.sinh(4.8)  # uA
    kT = float(thermal_voltage(300.0 + 2.1e-3 * V * I))
    expected = 10.0 * np.exp(-0.6 / kT) * np.sinh((16 - 0.8) * 0.25 * V / (12.0 * kT))  # m/s = nm/ns
    assert float(jnp.exp(memristor.ln_rate(g, V, 300.0))) == pytest.approx(expected, rel=1e-5)


def test_polarities_and_bounds(memristor):
    voltages = jnp.array([3.0, 1.3, 0.0, -1.3, -4.0])
    after = np.asarray(APPLY(memristor, at(jnp.full(5, 1.0)), Pulse(voltages, 100.0)).g)
    assert np.all(np.diff(after) >= 0) and after[1] < 1.0 < after[3]
    assert after[2] == 1.0
    assert after[0] == pytest.approx(0.2, abs=1e-6) and after[4] == pytest.approx(1.7, rel=1e-2)


def test_a_gap_outside_the_bounds_is_left_alone_from_that_side(memristor):
    # 0.1 nm is below g_min: a SET does not open it
    assert float(APPLY(memristor, at(0.1), Pulse(2.0, 1e3)).g) == pytest.approx(0.1)
    assert float(APPLY(memristor, at(0.1), Pulse(-1.3, 1e3)).g) > 0.2


@pytest.mark.parametrize(("gap", "voltage", "width"), [(1.7, 1.2, 1e4), (0.2, -1.2, 30.0)])
def test_two_pulses_are_one_of_twice_the_width(memristor, gap, voltage, width):
    half = APPLY(memristor, APPLY(memristor, at(gap), Pulse(voltage, width)), Pulse(voltage, width))
    whole = APPLY(memristor, at(gap), Pulse(voltage, 2 * width))
    assert abs(float(whole.g) - gap) > 0.02
    assert float(half.g) == pytest.approx(float(whole.g), abs=2e-3)


def test_a_hotter_chip_switches_sooner(memristor):
    def gap(temperature):
        return memristor.apply(memristor.init(()), Pulse(1.2, 1e3), temperature=temperature).g

    cold, hot = jax.jit(gap)(300.0), jax.jit(gap)(340.0)
    assert float(hot) < float(cold) - 0.05


def test_a_train_is_its_pulses_one_by_one(memristor):
    train = Pulse(jnp.array([1.6, -1.2, 1.1, -1.6]), jnp.array([1e3, 50.0, 20.0, 10.0]))
    end, record = eqx.filter_jit(lambda m: apply_train(m, m.init((2,)), train, record=lambda s, _: m.conductance(s)))(
        memristor
    )
    state = memristor.init((2,))
    for i in range(4):
        state = APPLY(memristor, state, jax.tree.map(lambda x, i=i: x[i], train))
        np.testing.assert_allclose(record[i], memristor.conductance(state), rtol=1e-3)
    np.testing.assert_allclose(end.g, state.g, rtol=1e-4)


def test_waiting_changes_nothing(memristor):
    state = at(0.7)
    assert memristor.wait(state, 1e8, 400.0) is state
    with pytest.raises(InputError, match="`seconds` must be a finite time"):
        memristor.wait(state, -1.0)


def test_where_the_enhancement_ends_nothing_moves(memristor):
    # gamma = 0 at g = 20^(1/3) nm = 2.71 nm
    open_wide = dataclasses.replace(memristor, g_max=jnp.float32(3.0))
    for voltage in (-1.5, 1.5):
        assert float(APPLY(open_wide, at(2.8), Pulse(voltage, 1e6)).g) == pytest.approx(2.8, abs=1e-3)


@pytest.mark.parametrize("nodes", [3, 4.0, 10_000])
def test_a_wrong_number_of_places_is_refused(memristor, nodes):
    with pytest.raises(InputError, match="`nodes` must be an integer from 4 to 4096"):
        dataclasses.replace(memristor, nodes=nodes)


@pytest.mark.parametrize(("name", "value"), [("g_0", 0.0), ("E_a", np.nan), ("g_min", -0.1), ("R_th", -1.0)])
def test_a_wrong_parameter_is_refused(memristor, name, value):
    with pytest.raises(InputError, match=f"`Stanford.{name}` must"):
        dataclasses.replace(memristor, **{name: value})
