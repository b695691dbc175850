"""Conductances at several times at once: the law of a trajectory, drawn by its increments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from hfsim.cards import load_card
from hfsim.devices.retention import CMORetention
from hfsim.draws import coarse_normals
from hfsim.errors import InputError

TIMES = np.array([0.0, 1e-3, 1.0, 3600.0, 86400.0, 315576000.0])
DEVICES = 40_000


@pytest.fixture(scope="module")
def retention():
    return CMORetention.from_card(load_card("cmo-hfox-2025"), clip=False)


@pytest.fixture(scope="module")
def programmed(retention):
    return retention.program(retention.init((DEVICES,), jax.random.key(0)), 50.0)


@pytest.mark.parametrize("coarse", [False, True])
def test_each_time_has_the_published_mean_and_spread(retention, programmed, coarse):
    G = np.asarray(retention.snapshots(programmed, TIMES, coarse=coarse)) - np.asarray(programmed.programmed)
    assert np.all(G[0] == 0)
    for seconds, change in zip(TIMES[1:], G[1:], strict=True):
        state = retention.wait(programmed, seconds)
        mean = float(np.mean(np.asarray(retention.mean(state) - state.programmed)))
        sigma = float(retention.sigma(state)[0])
        assert np.mean(change) == pytest.approx(mean, abs=4 * sigma / DEVICES**0.5)
        assert np.std(change) == pytest.approx(sigma, rel=0.015)
        assert abs(stats.skew(change)) < 0.06


def test_times_are_correlated_as_a_path_is(retention, programmed):
    # Brownian motion at the time sigma^2: corr(s, t) = sigma(s)/sigma(t); the trajectory itself is the reference
    G = np.asarray(retention.snapshots(programmed, TIMES[1:]))
    path = [np.asarray(retention.conductance(retention.wait(programmed, t))) for t in TIMES[1:]]
    np.testing.assert_allclose(np.corrcoef(G), np.corrcoef(np.stack(path)), atol=0.02)
    sigma = [float(retention.sigma(retention.wait(programmed, t))[0]) for t in TIMES[1:]]
    assert np.corrcoef(G)[1, 4] == pytest.approx(sigma[1] / sigma[4], abs=0.02)


def test_a_bake_is_a_longer_rest(retention, programmed):
    hot = retention.snapshots(programmed, np.array([10.0, 1e3]), 358.0)
    acceleration = float(retention.wait(programmed, 1.0, 358.0).clock.seconds)
    np.testing.assert_allclose(hot, retention.snapshots(programmed, np.array([10.0, 1e3]) * acceleration), rtol=1e-5)


def test_snapshots_have_gradients(retention, programmed):
    slope = jax.grad(lambda r: jnp.mean(r.snapshots(programmed, TIMES)[-1]))(retention)
    assert float(slope.drift) == pytest.approx(np.log(TIMES[-1]), rel=1e-5)
    spread = jax.grad(lambda r: jnp.std(r.snapshots(programmed, TIMES)[-1]))(retention)
    assert float(spread.sigma_0) == pytest.approx(1.0, abs=0.02)


def test_the_window_holds(programmed):
    clipped = CMORetention.from_card(load_card("cmo-hfox-2025")).snapshots(programmed, TIMES * 0 + 1e8)
    assert np.max(clipped) <= 88.2 and np.min(clipped) >= 9.0


def test_times_that_fall_are_refused(retention, programmed):
    for wrong in (np.array([10.0, 1.0]), np.array([-1.0, 1.0]), np.array(3.0)):
        with pytest.raises(InputError, match="`seconds` must be one axis of times that rise"):
            retention.snapshots(programmed, wrong)


def test_coarse_normals_are_normal_up_to_their_end():
    z = np.asarray(coarse_normals(jax.random.key(3), (400, 5000), jnp.float32), np.float64)
    assert abs(z.mean()) < 4e-3 and z.var() == pytest.approx(1, abs=5e-3)
    assert stats.kurtosis(z.ravel()) == pytest.approx(0, abs=0.02) and np.abs(z).max() < 4.33
    assert stats.kstest(z.ravel()[::20], "norm").pvalue > 1e-3
    # the two numbers of a word are independent
    assert abs(np.corrcoef(z[:200].ravel(), z[200:].ravel())[0, 1]) < 4e-3
    with pytest.raises(InputError, match="`shape` must have an even first axis"):
        coarse_normals(jax.random.key(0), (3, 2), jnp.float32)
