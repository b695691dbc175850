"""Read curves: odd, of slope one at zero, increasing, inverted exactly, finite at the corners of their bounds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.circuits.read_curve import STEEPEST, CubicCurve, SinhCurve
from hfsim.errors import InputError
from hfsim.parameters import specifications
from tests.finite_differences import check_parameter_gradients

CURVES = [CubicCurve(0.4), SinhCurve(0.2)]
NAMES = ["cubic", "sinh"]
each = pytest.mark.parametrize("index", [0, 1], ids=NAMES)


def make(index, scale):
    return type(CURVES[index])(scale)


@each
def test_it_is_odd_and_ohmic_at_zero(index, x64):
    curve = make(index, 0.3)
    V = jnp.linspace(0.0, 2.0, 41)
    np.testing.assert_allclose(curve.effective(-V), -curve.effective(V), rtol=1e-15)
    assert float(jax.grad(curve.effective)(0.0)) == 1.0
    assert float(curve.effective(0.0)) == 0.0


def test_the_published_shapes(x64):
    V = np.linspace(-1.5, 1.5, 31)
    np.testing.assert_allclose(CubicCurve(0.4).effective(V), V + V**3 / 0.16, rtol=1e-14)
    np.testing.assert_allclose(SinhCurve(0.2).effective(V), 0.2 * np.sinh(V / 0.2), rtol=1e-12)


def test_the_series_joins_the_quotient(x64):
    # both sides of 0.5 V_0, value and slope
    near = 0.5 * np.array([1 - 1e-9, 1 + 1e-9])
    values, slopes = jax.vmap(jax.value_and_grad(SinhCurve(1.0).effective))(near)
    np.testing.assert_allclose(values, np.sinh(near), rtol=1e-12)
    np.testing.assert_allclose(slopes, np.cosh(near), rtol=1e-10)


def test_the_slope_keeps_its_digits_in_single_precision():
    # the tangent's steepness, 5e12, must not reach the gradient below it, in either mode
    V = np.array([0.0, 1e-3, 0.1, 0.3, 0.6], np.float32)
    curve = SinhCurve(0.2)
    expected = np.cosh(V / 0.2)
    np.testing.assert_allclose(jax.vmap(jax.grad(curve.effective))(V), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jvp(curve.effective, (V,), (np.ones_like(V),))[1], expected, rtol=1e-6)


def test_the_tangent_goes_on_where_the_exponential_ends(x64):
    curve = SinhCurve(0.1)
    slope = jax.grad(curve.effective)
    assert float(slope(0.1 * (STEEPEST + 5))) == pytest.approx(np.cosh(STEEPEST), rel=1e-12)
    step = float(curve.effective(0.1 * (STEEPEST + 1)) - curve.effective(0.1 * STEEPEST))
    assert step == pytest.approx(0.1 * np.cosh(STEEPEST), rel=1e-12)


@each
def test_the_inverse_undoes_it(index, x64):
    V = np.concatenate([-np.geomspace(10, 1e-9, 40), [0.0], np.geomspace(1e-9, 10, 40)])
    curve = make(index, 0.25)  # 10 V is 40 V_0: also on the tangent
    np.testing.assert_allclose(curve.voltage(curve.effective(V)), V, rtol=1e-12)


@each
def test_single_precision_is_finite_at_the_corners_of_the_bounds(index):
    spec = next(iter(specifications(type(CURVES[index])).values()))
    for scale in (spec.lower, 1.0, spec.upper):
        for V in (0.0, 1e-30, 1e-3, 0.2, 20.0, -20.0):
            value, slopes = jax.value_and_grad(lambda c, V: c.effective(V), argnums=(0, 1))(make(index, scale), V)
            leaves = [value, *jax.tree.leaves(slopes)]
            assert all(np.all(np.isfinite(leaf)) and leaf.dtype == jnp.float32 for leaf in leaves), (scale, V)
            back = make(index, scale).voltage(value)
            assert float(back) == pytest.approx(V, rel=1e-5, abs=1e-30)


@each
def test_its_scale_has_the_right_gradient(index, x64):
    V = jnp.array([0.01, 0.1, 0.4, 1.1])
    check_parameter_gradients(make(index, 0.3), lambda c: jnp.sum(c.effective(V)), tolerance=1e-8)
    check_parameter_gradients(make(index, 0.3), lambda c: jnp.sum(c.voltage(V)), tolerance=1e-8)


def test_a_scale_of_zero_is_refused():
    with pytest.raises(InputError, match=r"SinhCurve.V_0"):
        SinhCurve(0.0)
