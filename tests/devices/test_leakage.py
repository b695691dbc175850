"""Leakage: the published equations in SI, symmetry, monotony, and zero field."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.devices.ferroelectric.leakage import FowlerNordheim, OhmicLeakage, ParallelLeakage, PooleFrenkel

q, k, h, m_e, eps0 = 1.602176634e-19, 1.380649e-23, 6.62607015e-34, 9.1093837e-31, 8.8541878128e-12
EMISSION = dict(phi=0.68, N_c=1e-3, mu=15.0, eps_r=70.0)
MODELS = {
    "ohmic": OhmicLeakage(sigma=0.3, E_A=0.4),
    "tunnelling": FowlerNordheim(a=10.0, b=20.0),
    "emission": PooleFrenkel(**EMISSION),
    "shallow traps": PooleFrenkel(phi=0.1, N_c=1.0, mu=1.0, eps_r=2.0),
}
MODELS["all"] = ParallelLeakage(tuple(MODELS.values()))
every = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


@every
def test_currents_are_odd_and_increase_with_the_field(model, x64):
    # over 8 decades of field, at 250 and 400 K; tunnelling underflows to 0 below b/700
    E = jnp.geomspace(1e-7, 10.0, 200)
    for temperature in (250.0, 400.0):
        J = np.asarray(model.current_density(E, temperature))
        np.testing.assert_allclose(J, -np.asarray(model.current_density(-E, temperature)), rtol=1e-12)
        assert np.all(np.diff(J) >= 0) and np.all(np.diff(J[E > 0.05]) > 0) and J[0] >= 0


@every
def test_zero_field_has_no_current_and_a_finite_slope(model):
    for E in (0.0, 1e-12, -1e-12, 1e-20, 100.0, -100.0):
        J, slope = jax.value_and_grad(lambda x: model.current_density(x, 300.0))(jnp.float32(E))
        assert np.isfinite(J) and np.isfinite(slope) and slope >= 0
    assert float(model.current_density(jnp.float32(0.0), 300.0)) == 0.0


@every
def test_the_slope_is_that_of_differences(model, x64):
    for E in (-2.0, 0.3, 3.0):
        slope = jax.grad(lambda x: model.current_density(x, 320.0))(jnp.float64(E))
        d = 1e-5
        above, below = (float(model.current_density(jnp.float64(E + x), 320.0)) for x in (d, -d))
        assert float(slope) == pytest.approx((above - below) / (2 * d), rel=1e-6)


@pytest.mark.parametrize(("phi", "m_eff"), [(2.0, 0.4), (0.65, 1.0)])
def test_tunnelling_constants_are_those_of_a_barrier(phi, m_eff, x64):
    model, E = FowlerNordheim.of_barrier(phi, m_eff), 6e8  # V/m
    a = q**2 / (8 * np.pi * h * phi)
    b = 8 * np.pi / 3 * np.sqrt(2 * m_eff * m_e * (q * phi) ** 3) / (h * q)
    expected = a * E**2 * np.exp(-b / E) * 1e6 / 1e12  # A/m2 to uA/um2
    assert float(model.current_density(jnp.float64(6.0), 300.0)) == pytest.approx(expected, rel=1e-5)


def test_emission_is_the_published_equation(x64):
    E, T = 2e8, 350.0  # V/m
    lowered = 0.68 * q - q * np.sqrt(q * E / (np.pi * 70.0 * eps0))
    expected = q * 15e-4 * 1e24 * E * np.exp(-lowered / (k * T)) * 1e6 / 1e12
    got = PooleFrenkel(**EMISSION).current_density(jnp.float64(2.0), T)
    assert float(got) == pytest.approx(expected, rel=1e-6)


def test_conduction_is_activated(x64):
    J = [float(MODELS["ohmic"].current_density(jnp.float64(2.0), T)) for T in (300.0, 350.0)]
    assert J[0] == pytest.approx(0.6, rel=1e-6)
    assert J[1] / J[0] == pytest.approx(np.exp(0.4 * q / k * (1 / 300 - 1 / 350)), rel=1e-6)


def test_paths_add_up():
    E = jnp.linspace(-3, 3, 7)
    parts = sum(m.current_density(E, 300.0) for n, m in MODELS.items() if n != "all")
    np.testing.assert_allclose(MODELS["all"].current_density(E, 300.0), parts, rtol=1e-6)
