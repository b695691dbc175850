"""The Stanford gap model against the reference resistances and an independent integration in time."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

import hfsim
from hfsim.devices import Pulse
from hfsim.devices.memristor.stanford import Stanford, StanfordState

P = dict(I_0=1e-3, g_0=0.25, V_0=0.25, v_0=10.0, E_a=0.6, a_0=0.25, t_ox=12.0, gamma_0=16.0, beta=0.8, R_th=2.1e3)
APPLY = eqx.filter_jit(lambda memristor, state, pulse: memristor.apply(state, pulse))


@pytest.fixture
def memristor():
    return hfsim.load_card("stanford-gap-2014").build(Stanford, "stanford")


@pytest.mark.parametrize(("gap", "ohm"), [(0.2, 541.8), (0.5, 1.799e3), (1.0, 13.29e3), (1.7, 218.6e3)])
def test_resistances_at_a_tenth_of_a_volt(memristor, gap, ohm):
    # four digits are given
    state = StanfordState(jnp.float32(gap))
    assert 1e6 / float(memristor.conductance(state)) == pytest.approx(ohm, rel=5e-4)
    assert 1e6 * 0.1 / float(memristor.current(state, 0.1)) == pytest.approx(ohm, rel=5e-4)


def rate(g, V):
    """dg/dt [nm/ns] in SI numbers, as published."""
    k = 8.617333262e-5
    I = P["I_0"] * np.exp(-g / P["g_0"]) * np.sinh(V / P["V_0"])
    kT = k * (300.0 + P["R_th"] * abs(V * I))
    gamma = P["gamma_0"] - P["beta"] * g**3
    return -P["v_0"] * np.exp(-P["E_a"] / kT) * np.sinh(gamma * P["a_0"] * V / (P["t_ox"] * kT))


@pytest.mark.parametrize(
    ("gap", "voltage", "width"),
    [(1.7, 1.3, 3e4), (1.7, 1.6, 500.0), (1.2, 1.0, 1e5), (0.2, -1.1, 100.0), (0.5, -1.3, 100.0), (0.2, -1.5, 3.0)],
)
def test_a_pulse_ends_where_an_integration_in_time_ends(memristor, gap, voltage, width):
    # LSODA at 1e-9 in double against 48 places in single precision: 0.002 nm is 0.8 % of the current
    stop = lambda _, g: min(g[0] - 0.2 + 1e-9, 1.7 + 1e-9 - g[0])  # noqa: E731
    stop.terminal = True
    found = solve_ivp(lambda _, g: [rate(g[0], voltage)], (0, width), [gap], events=stop, method="LSODA", rtol=1e-9)
    expected = np.clip(found.y[0, -1], 0.2, 1.7)
    after = APPLY(memristor, StanfordState(jnp.float32(gap)), Pulse(voltage, width))
    assert abs(expected - gap) > 0.05  # the pulse does something
    assert float(after.g) == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize("voltage", [1.1, 1.4, 1.8])
def test_the_time_to_set_is_the_integral_over_the_gap(memristor, voltage):
    # g from 1.7 to 0.5 nm takes integral dg/|dg/dt|; the model is asked for the gap after that time
    seconds = quad(lambda g: 1 / abs(rate(g, voltage)), 0.5, 1.7, epsrel=1e-9)[0]
    after = APPLY(memristor, memristor.init(()), Pulse(voltage, seconds))
    # the gap runs away at the end: 1 % of the time is up to 0.1 nm there
    early, late = (APPLY(memristor, memristor.init(()), Pulse(voltage, seconds * s)) for s in (0.995, 1.005))
    assert float(late.g) < 0.5 < float(early.g) and float(late.g) <= float(after.g) <= float(early.g)
