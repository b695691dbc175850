"""Estimators of discrete decisions: what they decide, and what they differentiate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfsim.errors import InputError
from hfsim.estimators import Exact, Perturbation, Soft, StraightThrough

DECISIONS = ("step", "round", "floor")
TRUTH = {"step": lambda x: (x >= 0).astype(float), "round": np.round, "floor": np.floor}
X = np.array([-7.3, -2.5, -1.0, -0.5, -0.2, 0.0, 0.3, 0.5, 1.0, 1.49, 2.5, 6.99])
NUMBERS = st.floats(-1e4, 1e4, width=32)


def derivative(decide, x):
    return jax.vmap(jax.grad(decide))(jnp.asarray(x))


@pytest.mark.parametrize("estimator", [Exact(), StraightThrough(), StraightThrough(width=0.01)])
@pytest.mark.parametrize("decision", DECISIONS)
def test_the_decision_itself_is_exact(estimator, decision):
    x = jnp.asarray(X)
    decided = getattr(estimator, decision)(x)
    np.testing.assert_array_equal(decided, TRUTH[decision](np.asarray(x)))
    assert decided.dtype == x.dtype


@given(NUMBERS)
def test_straight_through_decides_as_exact_does(x):
    for decision in DECISIONS:
        exact = getattr(Exact(), decision)(jnp.float32(x))
        assert getattr(StraightThrough(), decision)(jnp.float32(x)) == exact


@pytest.mark.parametrize("decision", DECISIONS)
def test_exact_has_zero_gradient(decision):
    np.testing.assert_array_equal(derivative(getattr(Exact(), decision), X), 0.0)


@pytest.mark.parametrize("decision", ["round", "floor"])
def test_straight_through_differentiates_rounding_as_the_identity(decision):
    np.testing.assert_array_equal(derivative(getattr(StraightThrough(), decision), X), 1.0)


def test_straight_through_differentiates_a_step_as_a_logistic():
    share = 1 / (1 + np.exp(-X / 0.5))
    slope = derivative(StraightThrough(width=0.5).step, X)
    np.testing.assert_allclose(slope, share * (1 - share) / 0.5, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("estimator", [Exact(), StraightThrough(width=0.3), Soft(width=0.3)])
@pytest.mark.parametrize("decision", DECISIONS)
def test_forward_and_reverse_mode_agree(estimator, decision):
    decide = getattr(estimator, decision)
    _, forward = jax.jvp(decide, (jnp.asarray(X),), (jnp.ones(X.shape),))
    np.testing.assert_allclose(forward, derivative(decide, X), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("decision", DECISIONS)
def test_soft_becomes_exact_as_its_width_goes_to_zero(decision):
    # away from the jumps (integers, half-integers, zero) by d, the error is below exp(-d/width)
    x = np.array([-2.8, -1.3, -0.2, 0.2, 0.7, 1.3, 4.8])
    errors = []
    for width in (0.1, 0.05, 0.02, 1e-3):
        soft = getattr(Soft(width=width), decision)(jnp.asarray(x))
        errors.append(np.max(np.abs(soft - TRUTH[decision](x))))
        assert errors[-1] <= np.exp(-0.2 / width) + 1e-6
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("decision", DECISIONS)
def test_soft_differentiates_what_it_computes(decision, x64):
    decide, x, step = getattr(Soft(width=0.2), decision), X + 0.111, 1e-6
    slope = (decide(jnp.asarray(x + step)) - decide(jnp.asarray(x - step))) / (2 * step)
    np.testing.assert_allclose(derivative(decide, x), slope, rtol=1e-6, atol=1e-8)


def test_soft_steps_climb_one_each_integer():
    # the middle of the jump is at the integer, and a whole period adds exactly one
    soft = Soft(width=0.1)
    np.testing.assert_allclose(soft.floor(jnp.arange(-3.0, 4.0)), np.arange(-3, 4) - 0.5, atol=1e-6)
    np.testing.assert_allclose(soft.floor(jnp.float32(1.3)) - soft.floor(jnp.float32(0.3)), 1.0, atol=1e-6)


@pytest.mark.parametrize("decision", DECISIONS)
def test_gradients_are_finite_far_from_every_jump(decision):
    x = jnp.array([-1e30, -1e4, 1e4, 1e30])
    for estimator in (StraightThrough(width=1e-6), Soft(width=1e-6)):
        assert np.all(np.isfinite(derivative(getattr(estimator, decision), x)))


@pytest.mark.parametrize("kind", [StraightThrough, Soft])
@pytest.mark.parametrize("width", [0.0, -1.0, np.nan])
def test_a_width_that_is_not_positive_is_refused(kind, width):
    with pytest.raises(InputError, match=rf"`{kind.__name__}.width` must"):
        kind(width=width)


def test_the_width_is_differentiable():
    slope = jax.grad(lambda width: Soft(width=width).step(jnp.float32(0.3)))(0.5)
    share = 1 / (1 + np.exp(-0.6))
    assert float(slope) == pytest.approx(-share * (1 - share) * 0.3 / 0.25, rel=1e-5)


def test_a_perturbation_has_the_gradient_of_the_smoothed_mean(x64, key):
    # E[(z + w e)^3] = z^3 + 3 z w^2, whose slope is 3 z^2 + 3 w^2; a product has no such bias
    place, estimator = jnp.array([0.7, -1.2]), Perturbation(width=0.3)
    normals = jax.random.normal(key, (400_000, 2))

    def mean(z):
        runs = estimator.places(z, normals)
        return estimator.mean(runs[:, 0] ** 3 + runs[:, 0] * runs[:, 1], z, normals)

    value, slope = jax.value_and_grad(mean)(place)
    assert float(value) == pytest.approx(0.7**3 + 3 * 0.7 * 0.3**2 - 0.7 * 1.2, abs=0.005)
    np.testing.assert_allclose(slope, [3 * 0.7**2 + 3 * 0.3**2 - 1.2, 0.7], atol=0.02)


def test_a_perturbation_takes_two_runs_for_each_pair():
    with pytest.raises(InputError, match="losses"):
        Perturbation(width=0.3).mean(jnp.zeros(3), jnp.zeros(2), jnp.zeros((2, 2)))
