"""The EKV transistor: its limits in closed form, its symmetry, its mismatch, its gradients."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.devices import Transistor
from hfsim.errors import InputError
from hfsim.units import thermal_voltage
from tests.finite_differences import check_parameter_gradients

VALUES = dict(V_T0=0.8, n=1.3, KP=125.0, W=1.0, L=0.5, E_sat=1e6, A_VT=7.0)
U_T = thermal_voltage(300.0)
BIASES = eqx.filter_jit(lambda t, V_G, V_S, V_D: t.current(V_G, V_S, V_D))


@pytest.fixture
def transistor():
    """A thick-oxide transistor without velocity saturation."""
    return Transistor(**VALUES)


def square_law(V_G, V_S=0.0):
    """KP/(2 n) (W/L) (V_G - V_T0 - n V_S)^2 [uA]."""
    overdrive = V_G - VALUES["V_T0"] - VALUES["n"] * V_S
    return VALUES["KP"] / (2 * VALUES["n"]) * VALUES["W"] / VALUES["L"] * overdrive**2


@pytest.mark.parametrize("V_S", [0.0, 0.4])
def test_saturated_strong_inversion_is_the_square_law(transistor, V_S):
    # 1.5 V of overdrive are 45 n U_T: ln(1 + e^x) is x to 1e-9 there; E_sat = 1e6 V/um takes off 2e-6
    V_G = jnp.array([2.3, 3.0, 4.5]) + VALUES["n"] * V_S
    np.testing.assert_allclose(BIASES(transistor, V_G, V_S, 10.0), square_law(V_G, V_S), rtol=1e-5)


def test_weak_inversion_changes_a_decade_in_n_u_t_ln_10(transistor, x64):
    # 0.6 to 0.7 V below threshold, the neglected term of ln^2(1 + e^x) is e^x < 1e-7
    V_G = jnp.array([0.1, 0.2])
    low, high = BIASES(Transistor(**VALUES), V_G, 0.0, 1.0)
    slope = 0.1 / np.log10(high / low)
    assert slope == pytest.approx(VALUES["n"] * U_T * np.log(10), rel=1e-3)


def test_weak_inversion_saturates_within_the_thermal_voltage(x64):
    # I ~ 1 - exp(-V_DS/U_T)
    V_DS = jnp.array([0.01, 0.05, 0.2])
    current = BIASES(Transistor(**VALUES), 0.2, 0.0, V_DS)
    np.testing.assert_allclose(current / current[-1], 1 - np.exp(-V_DS / U_T), rtol=1e-3)


def test_the_linear_region_is_a_resistor(transistor):
    # dI/dV_DS at 0 is KP (W/L) (V_G - V_T0): far from saturation to the second order in V_DS
    V_DS = 1e-3
    conductance = BIASES(transistor, 3.0, 0.0, V_DS) / V_DS
    expected = VALUES["KP"] * VALUES["W"] / VALUES["L"] * (3.0 - VALUES["V_T0"])
    assert float(conductance) == pytest.approx(expected, rel=2e-3)


def test_source_and_drain_exchange(transistor):
    V_S, V_D = jnp.meshgrid(jnp.linspace(0, 2, 9), jnp.linspace(0, 2, 9))
    np.testing.assert_allclose(BIASES(transistor, 2.0, V_S, V_D), -BIASES(transistor, 2.0, V_D, V_S), rtol=1e-6)


def test_the_current_rises_with_gate_and_drain(transistor):
    V_G, V_D = jnp.meshgrid(jnp.linspace(-1, 4, 26), jnp.linspace(0, 4, 21), indexing="ij")
    current = np.asarray(BIASES(transistor, V_G, 0.0, V_D))
    assert np.all(np.diff(current, axis=0) >= 0) and np.all(np.diff(current, axis=1) >= -1e-6 * current.max())


def test_velocity_saturation_takes_off_its_factor():
    # saturated: V_eff = (V_G - V_T0)/n, so that the current falls by 1 + V_eff/(L E_sat)
    slow = Transistor(**{**VALUES, "E_sat": 4.0})
    V_eff = (3.0 - VALUES["V_T0"]) / VALUES["n"]
    expected = square_law(3.0) / (1 + V_eff / (VALUES["L"] * 4.0))
    assert float(slow.current(3.0, 0.0, 10.0)) == pytest.approx(expected, rel=1e-4)


def test_voltages_may_be_huge_without_overflow(transistor):
    current = BIASES(transistor, jnp.array([-20.0, 20.0, 20.0]), 0.0, jnp.array([20.0, -20.0, 20.0]))
    assert np.all(np.isfinite(current))


def test_the_mismatch_is_pelgrom_s(transistor, key):
    # sigma = A_VT/sqrt(W L) = 9.9 mV; standard error of a deviation of n draws 1/sqrt(2 n)
    n = 20_000
    threshold = np.asarray(transistor.sample((n,), key).V_T0)
    sigma = 7e-3 / np.sqrt(0.5)
    assert threshold.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * n))
    assert abs(threshold.mean() - 0.8) < 4 * sigma / np.sqrt(n)


# --------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("V_G", [0.3, 1.0, 3.0], ids=["weak", "moderate", "strong"])
@pytest.mark.parametrize("V_D", [0.05, 3.0], ids=["linear", "saturated"])
def test_every_parameter_has_the_right_gradient(V_G, V_D, x64):
    model = Transistor(**{**VALUES, "E_sat": 5.0})
    check_parameter_gradients(model, lambda t: t.current(V_G, 0.1, V_D), insensitive=("A_VT",))


def test_the_mismatch_has_the_right_gradient(key, x64):
    model = Transistor(**{**VALUES, "E_sat": 5.0})
    check_parameter_gradients(model, lambda t: jnp.sum(t.sample((4,), key).current(2.0, 0.0, 1.0)))


def test_the_terminals_have_the_right_gradients(x64):
    t = Transistor(**{**VALUES, "E_sat": 5.0})

    def current(bias):
        return t.current(*bias[:3], temperature=bias[3])

    bias = jnp.array([2.0, 0.1, 0.7, 320.0])
    slopes = jax.grad(current)(bias)
    for index in range(4):
        step = 1e-5 * jnp.eye(4)[index] * bias[index]
        expected = (current(bias + step) - current(bias - step)) / (2 * float(step[index]))
        assert float(slopes[index]) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
def test_gradients_are_finite_where_no_voltage_drives_the_channel(double):
    with jax.enable_x64(double):
        slopes = jax.grad(lambda t, V_G, V_D: t.current(V_G, 0.0, V_D), argnums=(0, 1, 2))
        for V_G in (-20.0, 0.8, 20.0):
            for V_D in (0.0, 1e-30, 20.0):
                leaves = jax.tree.leaves(slopes(Transistor(**VALUES), V_G, V_D))
                assert all(np.all(np.isfinite(leaf)) for leaf in leaves), (V_G, V_D)
    assert float(Transistor(**VALUES).current(2.0, 0.3, 0.3)) == 0.0


# --------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("name", "value"),
    [("V_T0", np.nan), ("n", 0.9), ("KP", -1.0), ("W", 0.0), ("L", "min"), ("E_sat", np.inf), ("A_VT", -1.0)],
)
def test_a_wrong_parameter_is_refused(name, value):
    with pytest.raises(InputError, match=f"`Transistor.{name}` must"):
        Transistor(**{**VALUES, name: value})


def test_shapes_that_do_not_make_a_population_are_refused(transistor):
    with pytest.raises(InputError, match="`Transistor.W` must be a scalar or of the devices' shape"):
        dataclasses.replace(transistor, V_T0=jnp.ones(3), W=jnp.ones(2))


def test_a_raw_key_is_refused(transistor):
    with pytest.raises(InputError, match="`key` must be a typed key"):
        transistor.sample((3,), jax.random.PRNGKey(0))
