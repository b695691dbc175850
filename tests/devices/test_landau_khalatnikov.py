"""Landau-Khalatnikov: closed solutions, equilibria, long times, and its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from hfsim.devices.ferroelectric.landau_khalatnikov import LandauKhalatnikovKinetics, LandauKhalatnikovState

P_R, E_C, RHO = 20.0, 1.0, 0.1
BLOCK = 8  # devices


@pytest.fixture
def kinetics(x64):
    return LandauKhalatnikovKinetics.of_loop(P_R, E_C, RHO)


@jax.jit
def exposed(kinetics, start, field, width, temperature=300.0):
    """p after one constant field."""
    shape = jnp.broadcast_shapes(*map(jnp.shape, (start, field, width)))
    state = LandauKhalatnikovState(jnp.broadcast_to(jnp.asarray(start, kinetics.alpha.dtype), shape))
    return kinetics.polarisation(kinetics.expose(state, field, width, temperature))


def after(kinetics, start, field, width, temperature=300.0):
    """The same of known numbers, filled up to one shape, which compiles once."""
    numbers = np.broadcast_arrays(start, field, width)
    size = numbers[0].size
    filled = (jnp.asarray(np.resize(x, BLOCK), kinetics.alpha.dtype) for x in numbers)
    p = exposed(kinetics, *filled, jnp.asarray(temperature, kinetics.alpha.dtype))
    return p[:size].reshape(numbers[0].shape)


def test_without_field_it_is_bernoulli_s_equation(kinetics):
    # dp/dt = (p - p^3)/t_c: p^-2 = 1 + (p_0^-2 - 1) exp(-2 t/t_c)
    start, width = np.array([0.02, -0.3, 0.9, -1.7]), np.array([1.0, 2.0, 0.3, 0.1])
    t_c = P_R * RHO / (2 * (3 * np.sqrt(3) / 4) * E_C)
    assert float(kinetics.time_scale) == pytest.approx(t_c, rel=1e-12)
    expected = np.sign(start) / np.sqrt(1 + (start**-2 - 1) * np.exp(-2 * width / t_c))
    np.testing.assert_allclose(after(kinetics, start, 0.0, width), expected, atol=1e-9)


@pytest.mark.parametrize(("field", "gamma"), [(1.4, 0.0), (-2.5, 0.0), (1.4, 0.03), (0.7, 0.1)])
def test_it_is_the_equation_in_si(field, gamma, x64):
    # rho dP/dt = E - (2 alpha P + 4 beta P^3 + 6 gamma P^5) in SI by scipy, from the remanent state against the field
    kinetics = LandauKhalatnikovKinetics(alpha=-0.065, beta=81.0, rho=RHO, gamma=gamma)
    alpha, beta, rho = -0.065 * 1e10, 81e-6 * 1e14, RHO * 10.0  # m/F, m5/(F C2), ohm m
    gamma_si = gamma * 1e-6 * 1e18
    P_r = 1e-2 * float(kinetics.remanent_polarisation)
    assert 2 * alpha + 4 * beta * P_r**2 + 6 * gamma_si * P_r**4 == pytest.approx(0, abs=1e-6 * abs(alpha))

    def rate(_, P):
        return (field * 1e8 - (2 * alpha * P + 4 * beta * P**3 + 6 * gamma_si * P**5)) / rho

    times = np.array([0.5e-9, 2e-9, 8e-9])
    found = scipy.integrate.solve_ivp(
        rate, (0, times[-1]), [-np.sign(field) * P_r], t_eval=times, method="LSODA", rtol=1e-10, atol=1e-14
    )
    got = after(kinetics, -np.sign(field), field, 1e9 * times)
    np.testing.assert_allclose(got, found.y[0] / P_r, atol=1e-7)


@pytest.mark.parametrize("ratio", [0.98, 1.02])
def test_it_switches_above_the_coercive_field_alone(ratio, kinetics):
    p = after(kinetics, np.array([-1.0, 1.0]), ratio * E_C * np.array([1.0, -1.0]), 1e4)
    assert np.all(np.sign(p) == (np.array([1, -1]) if ratio > 1 else np.array([-1, 1])))


@pytest.mark.parametrize("width", [1e3, 3.156e17])
def test_long_pulses_leave_an_equilibrium(width, kinetics):
    # ten years too: roots of E/E_c = (3 sqrt3/2) (p^3 - p)
    fields = np.array([-1.5, -0.9, -0.2, 0.0, 0.6, 0.99, 1.1, 3.0])
    got = np.asarray(after(kinetics, -1.0, fields, width))
    for field, p in zip(fields, got, strict=True):
        roots = np.roots([1, 0, -1, -field / E_C * 2 / (3 * np.sqrt(3))])
        expected = min(roots[np.abs(roots.imag) < 1e-9].real)  # the lowest is the one reached from below
        assert p == pytest.approx(expected, abs=1e-7)


def test_rest_is_seen_in_single_precision():
    # The solver stops at rest and a Newton step ends on the root: within 2e-6. Were rest not seen, it would step on
    # through all of the time at the edge of stability, 1e-5 off.
    kinetics = LandauKhalatnikovKinetics.of_loop(P_R, E_C, RHO)
    fields = np.linspace(-0.95, 3.0, 80)
    got = np.asarray(exposed(kinetics, jnp.float32(1.0), jnp.asarray(fields, jnp.float32), jnp.float32(1e3)))
    assert got.dtype == np.float32
    residual = fields / E_C * 2 / (3 * np.sqrt(3)) - (got.astype(np.float64) ** 3 - got)
    np.testing.assert_allclose(residual / (3 * got**2 - 1), 0.0, atol=2e-6)


def test_two_steps_are_one(kinetics):
    half = after(kinetics, -1.0, 1.3, 1.5)
    np.testing.assert_allclose(after(kinetics, half, 1.3, 1.5), after(kinetics, -1.0, 1.3, 3.0), atol=1e-9)


def test_curie_and_weiss(x64):
    # alpha(T) = alpha (T_0 - T)/(T_0 - 300): remanence falls as the root of that, and is none above T_0
    kinetics = LandauKhalatnikovKinetics.of_loop(P_R, E_C, RHO, T_0=700.0)
    p = after(kinetics, 1.0, 0.0, 1e5, jnp.asarray([300.0, 500.0, 800.0])[0])
    assert float(p) == pytest.approx(1.0, abs=1e-9)
    assert float(after(kinetics, 1.0, 0.0, 1e5, 500.0)) == pytest.approx(np.sqrt(0.5), abs=1e-8)
    assert float(after(kinetics, 1.0, 0.0, 1e5, 800.0)) == pytest.approx(0.0, abs=1e-8)


def test_sensitivities_have_their_closed_forms(kinetics):
    # an autonomous equation: dp(t)/dp_0 = f(p_t)/f(p_0), dp(t)/dt = f(p_t)
    start, field, width = 0.3, 0.8, 1.2
    p = float(after(kinetics, start, field, width))

    def rate(p):
        return (field - (3 * np.sqrt(3) / 2) * E_C * (p**3 - p)) / (RHO * P_R)

    slopes = jax.jit(jax.grad(lambda s, w: exposed(kinetics, s, field, w), argnums=(0, 1)))(start, width)
    assert float(slopes[0]) == pytest.approx(rate(p) / rate(start), rel=1e-8)
    assert float(slopes[1]) == pytest.approx(rate(p), rel=1e-8)


def test_second_derivatives_by_forward_over_reverse(kinetics):
    slope = jax.jit(jax.grad(lambda E: exposed(kinetics, -1.0, E, 3.0)))
    curvature = jax.jit(jax.jacfwd(jax.grad(lambda E: exposed(kinetics, -1.0, E, 3.0))))(1.4)
    expected = (slope(1.4 + 1e-4) - slope(1.4 - 1e-4)) / 2e-4
    assert float(curvature) == pytest.approx(float(expected), rel=1e-4)


def test_single_precision_is_enough_over_the_whole_plane():
    # against float64; within 1e-3 but where E is within 1 % of E_c, where the time to switch diverges
    kinetics = LandauKhalatnikovKinetics.of_loop(P_R, E_C, RHO)
    fields = np.delete(np.linspace(-3, 3, 61), [20, 40])[:, None]
    widths = np.geomspace(0.01, 1e12, 15)
    assert kinetics.alpha.dtype == jnp.float32
    single = exposed(kinetics, jnp.float32(-1.0), jnp.asarray(fields, jnp.float32), jnp.asarray(widths, jnp.float32))
    with jax.enable_x64(True):
        double = exposed(LandauKhalatnikovKinetics.of_loop(P_R, E_C, RHO), -1.0, fields, widths)
    np.testing.assert_allclose(single, double, atol=1e-3)


def test_each_device_steps_on_its_own(kinetics):
    # the result of a device does not depend on its neighbours, to the bit
    fields = np.array([0.3, 1.2, -2.0])
    together = exposed(kinetics, -1.0, fields, 2.0)
    np.testing.assert_array_equal(together[:2], exposed(kinetics, -1.0, fields[:2], 2.0))
