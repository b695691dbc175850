"""Spreads of devices and of cycles against the analysis of variance, direct likelihoods, and known populations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.studies.calibration.random_effects import Curves, Shape, estimate, posterior, spreads

POSTERIOR = jax.jit(posterior, static_argnums=3)


@pytest.fixture(autouse=True)
def double(x64):
    """All of it in double precision."""


def one_parameter(y, error, devices):
    """Curves that tell one parameter y with this standard error."""
    y = jnp.asarray(y, float)
    device = jnp.repeat(jnp.arange(devices), len(y) // devices)
    return Curves(jnp.full((len(y), 1, 1), error**-2), (y / error**2)[:, None], device)


def test_balanced_data_give_the_analysis_of_variance():
    rng, devices, cycles, error = np.random.default_rng(0), 12, 5, 0.3
    y = (2.0 + rng.normal(size=(devices, 1)) + 0.5 * rng.normal(size=(devices, cycles))).round(3)
    within = np.sum((y - y.mean(1, keepdims=True)) ** 2) / (devices * (cycles - 1))
    between = cycles * np.var(y.mean(1), ddof=1)
    curves, shape = one_parameter(y.ravel(), error, devices), Shape(1, devices, (0,), (0,))
    theta = estimate(curves, shape, shape.start(0.7))
    found = spreads(curves, shape, theta)
    assert found.C[0, 0] == pytest.approx(within - error**2, rel=1e-4)
    assert found.D[0, 0] == pytest.approx((between - within) / cycles, rel=1e-4)
    after = POSTERIOR(jnp.asarray(found.D), jnp.asarray(found.C), curves, devices)
    assert float(after.mean[0]) == pytest.approx(y.mean())
    assert float(after.mean_covariance[0, 0]) == pytest.approx(between / (devices * cycles), rel=1e-4)
    # each device is drawn towards the mean by the reliability of its own mean
    drawn = (after.devices[:, 0] - y.mean()) / (y.mean(1) - y.mean())
    np.testing.assert_allclose(drawn, 1 - within / between, rtol=1e-4)
    # variance of a mean square of n degrees of freedom: 2 MS^2/n
    assert 2 * np.sqrt(found.C[0, 0]) * found.cycle_errors[0] == pytest.approx(
        np.sqrt(2 * within**2 / (devices * (cycles - 1))), rel=0.02
    )


def test_the_likelihood_is_that_of_the_joint_normal_distribution():
    rng, curves_of = np.random.default_rng(1), np.array([0, 0, 1, 2, 2, 2])
    number, p = len(curves_of), 2
    roots = rng.normal(size=(number, p, p))
    errors = 0.1 * roots @ roots.transpose(0, 2, 1) + 0.05 * np.eye(p)  # covariance of each curve's estimate
    D, C = np.array([[1.0, 0.4], [0.4, 0.5]]), np.array([[0.2, -0.1], [-0.1, 0.3]])

    def both(D, C, y):
        H = np.linalg.inv(errors)
        curves = Curves(
            jnp.asarray(H), jnp.einsum("tij,tj->ti", jnp.asarray(H), jnp.asarray(y)), jnp.asarray(curves_of)
        )
        ours = float(POSTERIOR(jnp.asarray(D), jnp.asarray(C), curves, 3).log_likelihood)
        same = curves_of[:, None] == curves_of[None]
        V = np.kron(same, D) + np.kron(np.eye(number), C)
        V[np.kron(np.eye(number), np.ones((p, p))) > 0] += errors.ravel()
        Z, flat = np.tile(np.eye(p), (number, 1)), y.ravel()
        W = np.linalg.inv(V)
        B = Z.T @ W @ Z
        mean = np.linalg.solve(B, Z.T @ W @ flat)
        left = flat - Z @ mean
        theirs = -0.5 * (left @ W @ left + np.linalg.slogdet(V)[1] + np.linalg.slogdet(B)[1])
        return ours, theirs

    y = rng.normal(size=(number, p))
    first, second = both(D, C, y), both(2 * D, 0.5 * C, y)
    assert first[0] - second[0] == pytest.approx(first[1] - second[1], rel=1e-9)  # a constant of the data apart
    none = both(np.zeros((2, 2)), C, y)
    assert first[0] - none[0] == pytest.approx(first[1] - none[1], rel=1e-9)


def test_curves_that_tell_half_each_are_enough():
    """One curve tells only the first parameter, the next only the second: no inverse of H exists."""
    rng, devices = np.random.default_rng(2), 400
    L = np.linalg.cholesky([[1.0, 0.6], [0.6, 1.0]])
    truth = np.array([3.0, -1.0]) + rng.normal(size=(devices, 2)) @ L.T
    y = truth + 0.2 * rng.normal(size=(devices, 2))
    H = np.zeros((2 * devices, 2, 2))
    h = np.zeros((2 * devices, 2))
    for k in (0, 1):
        H[k::2, k, k] = 0.2**-2
        h[k::2, k] = y[:, k] / 0.2**2
    curves = Curves(jnp.asarray(H), jnp.asarray(h), jnp.repeat(jnp.arange(devices), 2))
    shape = Shape(2, devices, (0, 1), ())
    found = spreads(curves, shape, estimate(curves, shape, shape.start(0.7)))
    assert found.D[0, 1] / np.sqrt(found.D[0, 0] * found.D[1, 1]) == pytest.approx(0.6, abs=0.1)
    assert np.all(np.abs(np.sqrt(np.diag(found.D)) - 1) < 3 * found.device_errors)
    assert np.all(found.C == 0) and np.all(found.device_errors < 0.05)


def test_parameters_that_are_shared_are_pooled():
    """The variance of a parameter without a spread is that of all its estimates together."""
    errors = np.array([0.1, 0.2, 0.4])
    H = jnp.asarray(errors**-2)[:, None, None]
    y = jnp.asarray([1.0, 1.3, 2.0])
    curves = Curves(H, H[:, :, 0] * y[:, None], jnp.arange(3))
    nothing = jnp.zeros((1, 1))
    after = POSTERIOR(nothing, nothing, curves, 3)
    weight = errors**-2 / np.sum(errors**-2)
    assert float(after.mean[0]) == pytest.approx(weight @ y) and np.ptp(after.devices) < 1e-12
    assert float(after.mean_covariance[0, 0]) == pytest.approx(1 / np.sum(errors**-2))
