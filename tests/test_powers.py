"""Powers of the inner loop: against numpy in double precision, with their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.powers import exponential, power, switched

pytestmark = pytest.mark.optimised


def test_power_is_right_to_single_precision():
    # |y log2 x| up to 60, each rounding of which is a relative error of 60 x 6e-8 in the result
    rng = np.random.default_rng(0)
    x = np.float32(2.0 ** rng.uniform(-30, 30, 100_000))
    y = np.float32(rng.uniform(0, 2, x.size))
    expected = np.power(x.astype(np.float64), y)
    np.testing.assert_allclose(power(jnp.asarray(x), jnp.asarray(y)), expected, rtol=60 * 6e-8 + 1e-6)
    near_one = np.float32(1 + np.linspace(-1e-3, 1e-3, 101))
    np.testing.assert_allclose(power(near_one, np.float32(2.0)), near_one.astype(float) ** 2, rtol=2e-7)


def test_the_exponential_is_right_to_single_precision():
    x = np.linspace(-80, 80, 20_001, dtype=np.float32)
    np.testing.assert_allclose(exponential(jnp.asarray(x)), np.exp(x.astype(np.float64)), rtol=80 * 1.5e-7)


@pytest.mark.parametrize("x", [-1e4, -200.0, 0.0, 200.0])
def test_the_ends_are_finite(x):
    assert np.isfinite(exponential(jnp.float32(x))) and np.isfinite(power(jnp.float32(1e-30), jnp.float32(6.0)))


def test_the_switched_share_does_not_cancel():
    x = np.float32(np.geomspace(1e-30, 80, 4001))
    np.testing.assert_allclose(switched(jnp.asarray(x)), -np.expm1(-x.astype(np.float64)), rtol=1e-6)


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
def test_derivatives_are_those_of_the_function(double):
    with jax.enable_x64(double):
        x, y = jnp.asarray(1.7), jnp.asarray(1.9)
        by_x, by_y = jax.jit(jax.grad(power, argnums=(0, 1)))(x, y)
        assert float(by_x) == pytest.approx(1.9 * 1.7**0.9, rel=1e-5)
        assert float(by_y) == pytest.approx(1.7**1.9 * np.log(1.7), rel=1e-5)
        assert float(jax.jvp(exponential, (-x,), (y,))[1]) == pytest.approx(1.9 * np.exp(-1.7), rel=1e-5)
        for at in (0.1, 0.5):  # either side of the change of formula
            assert float(jax.grad(switched)(jnp.asarray(at))) == pytest.approx(np.exp(-at), rel=1e-5)


@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
def test_second_derivatives_are_those_of_the_function(double):
    with jax.enable_x64(double):
        x, y = jnp.asarray(1.7), jnp.asarray(1.9)
        (by_xx, by_xy), (_, by_yy) = jax.jit(jax.hessian(power, argnums=(0, 1)))(x, y)
        assert float(by_xx) == pytest.approx(1.9 * 0.9 * 1.7**-0.1, rel=1e-5)
        assert float(by_xy) == pytest.approx(1.7**0.9 * (1 + 1.9 * np.log(1.7)), rel=1e-5)
        assert float(by_yy) == pytest.approx(1.7**1.9 * np.log(1.7) ** 2, rel=1e-5)
        assert float(jax.hessian(exponential)(-x)) == pytest.approx(np.exp(-1.7), rel=1e-5)
        assert float(jax.hessian(switched)(x)) == pytest.approx(-np.exp(-1.7), rel=1e-5)


@pytest.mark.parametrize("x", [1e-30, 1e-12])
def test_second_derivatives_of_the_least_histories_are_finite(x):
    found = jax.hessian(lambda z: power(jnp.float32(x) * jnp.exp(z), jnp.float32(2.0)))(jnp.float32(0.0))
    assert float(found) == pytest.approx(4 * x**2, rel=1e-4, abs=1e-36)


def test_double_precision_is_the_plain_expression(x64):
    assert float(power(jnp.float64(1.7), jnp.float64(33.3))) == pytest.approx(1.7**33.3, rel=1e-14)
