"""The two-state model: its rates, its exact steps and its equilibrium."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.devices.ferroelectric.heracles import HeraclesKinetics

SET = dict(w_b=1.05, d_E=7.5, E_off=0.2)
expose = jax.jit(lambda kinetics, state, field, width, T: kinetics.expose(state, field, width, T))


def rates(field, temperature):
    """k_+ and k_- [1/s] in SI."""
    k, h, q = 1.380649e-23, 6.62607015e-34, 1.602176634e-19
    w_b, d_E, E_off = 1.05 * q, 7.5e-9, 2e7
    shift = (field * 1e8 - E_off) * d_E * q
    return tuple(k * temperature / h * np.exp(-(w_b - s * shift) / (k * temperature)) for s in (1, -1))


@pytest.mark.parametrize(("field", "temperature"), [(0.0, 300.0), (0.7, 300.0), (-0.5, 380.0)])
def test_rates_are_those_of_the_article(field, temperature, x64):
    got = HeraclesKinetics(**SET).log_rates(field, temperature)
    np.testing.assert_allclose(got, np.log(np.array(rates(field, temperature)) * 1e-9), atol=1e-6)


@pytest.mark.parametrize(("field", "width", "up"), [(0.7, 3e8, 0.0), (-0.3, 1e7, 0.8), (0.1, 1e12, 1.0)])
def test_a_step_solves_the_rate_equation(field, width, up, x64):
    plus, minus = rates(field, 300.0)
    settled = plus / (plus + minus)
    expected = settled + (up - settled) * np.exp(-(plus + minus) * width * 1e-9)
    kinetics = HeraclesKinetics(**SET)
    got = expose(kinetics, kinetics.init((), up=up), field, width, 300.0)
    assert float(got.p) == pytest.approx(expected, rel=1e-5)  # 4e-7 of kT/h in the exponent's 40
    assert float(kinetics.polarisation(got)) == pytest.approx(2 * expected - 1, rel=1e-4)


def test_steps_compose(x64):
    kinetics = HeraclesKinetics(**SET)
    once = expose(kinetics, kinetics.init(()), 0.6, 1e8, 300.0)
    state = kinetics.init(())
    for _ in range(10):
        state = expose(kinetics, state, 0.6, 1e7, 300.0)
    assert 0.1 < float(once.p) < 0.9 and float(state.p) == pytest.approx(float(once.p), rel=1e-12)


def test_no_width_no_change_and_ten_years_the_equilibrium():
    kinetics = HeraclesKinetics(**SET)
    state = expose(kinetics, kinetics.init((), up=0.7), 0.6, 0.0, 300.0)
    assert float(state.p) == pytest.approx(0.7, rel=1e-6)
    for field in (0.2, 0.15):
        plus, minus = rates(field, 300.0)
        got = expose(kinetics, kinetics.init((), up=1.0), field, 3.156e17, 300.0)
        assert float(got.p) == pytest.approx(plus / (plus + minus), rel=1e-4)


def test_rest_erases_as_the_page_says(x64):
    # 1/(k_+ + k_-): 9.7 h without field from the offset, 3.5 min at E = 0
    kinetics = HeraclesKinetics(**SET)
    lives = [1e-9 / float(jnp.exp(jnp.logaddexp(*kinetics.log_rates(E, 300.0)))) for E in (0.2, 0.0)]
    assert lives[0] / 3600 == pytest.approx(9.7, abs=0.05) and lives[1] / 60 == pytest.approx(3.5, abs=0.05)


def test_strong_fields_and_cold_saturate_without_overflow():
    kinetics = HeraclesKinetics(**SET)
    field = jnp.asarray([-20.0, 20.0])
    state = expose(kinetics, kinetics.init((2,), up=0.5), field, 1e-3, 77.0)
    np.testing.assert_allclose(kinetics.polarisation(state), [-1.0, 1.0], atol=1e-6)
