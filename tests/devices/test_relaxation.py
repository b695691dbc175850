"""Time at rest and the Brownian path in its logarithm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from hfsim.devices.relaxation import LOG_TIME_MAX, Clock, arrhenius_acceleration, brownian_path, log_time
from hfsim.units import BOLTZMANN

DEVICES = 40_000
TIMES = (0.0, 0.004, 0.3, 1.0, 1.5, 6.0, 19.6, 60.0)  # u = ln(1 + t/t_0); ten years from 1 s are 19.6


@pytest.fixture(scope="module")
def paths():
    """W at TIMES for many devices, as float64 for the moments."""
    path = jax.jit(lambda u: brownian_path(jax.random.key(4), u, (DEVICES,)))
    return {u: np.asarray(path(jnp.float32(u)), np.float64) for u in TIMES}


# ------------------------------------------------------------------------------------------------- clock


def test_a_million_short_waits_are_not_lost_in_single_precision():
    # 1e6 waits of 0.1 s: plain float32 addition ends 1 % off, since 0.1 s is below half an ulp of 1e6 s long before
    tenth = jnp.float32(0.1)

    @jax.jit
    def wait(start):
        return jax.lax.fori_loop(0, 1_000_000, lambda _, clock: clock.advance(tenth), start)

    clock = wait(Clock.start())
    assert float(clock.seconds) == pytest.approx(1e6 * float(tenth), rel=1e-7)

    plain = jax.jit(lambda s: jax.lax.fori_loop(0, 1_000_000, lambda _, t: t + tenth, s))(jnp.float32(0))
    assert abs(float(plain) / 1e5 - 1) > 1e-3  # what the remainder is for


def test_a_short_wait_after_a_long_one_is_kept():
    clock = Clock.start().advance(jnp.float32(3.156e8)).advance(jnp.float32(1.0))
    assert float(clock.remainder) == 1.0  # ten years have an ulp of 32 s in float32
    for _ in range(40):
        clock = clock.advance(jnp.float32(1.0))
    assert float(clock.seconds) + float(clock.remainder) == pytest.approx(float(np.float32(3.156e8)) + 41, abs=0.1)


def test_the_clock_starts_at_zero_in_the_precision_asked_for(x64):
    assert Clock.start().seconds.dtype == jnp.float64
    assert Clock.start(jnp.float32).seconds.dtype == jnp.float32
    assert float(Clock.start().seconds) == 0.0


# -------------------------------------------------------------------------------------------- temperature


def test_time_runs_by_arrhenius(x64):
    for energy, kelvin in ((1.0, 398.15), (1.98, 473.15), (0.5, 250.0)):
        expected = np.exp(-energy / (BOLTZMANN * kelvin) + energy / (BOLTZMANN * 300))
        assert float(arrhenius_acceleration(energy, kelvin)) == pytest.approx(expected, rel=1e-9)


def test_time_runs_as_it_is_at_the_reference_temperature():
    assert float(arrhenius_acceleration(1.3, 300.0)) == 1.0
    assert float(arrhenius_acceleration(0.0, 500.0)) == 1.0


def test_log_time_is_its_law(x64):
    assert float(log_time(jnp.float64(3.156e8), 1.0)) == pytest.approx(19.57, abs=5e-3)
    assert float(log_time(jnp.float64(1e-12), 1.0)) == pytest.approx(1e-12, rel=1e-6)
    assert float(log_time(jnp.float64(0.0), 1.0)) == 0.0


# -------------------------------------------------------------------------------------------------- path


def test_the_path_starts_at_zero(paths):
    np.testing.assert_array_equal(paths[0.0], 0.0)


@pytest.mark.parametrize("u", TIMES[1:])
def test_the_path_is_normal_with_variance_u(paths, u):
    z = paths[u] / np.sqrt(u)
    assert abs(z.mean()) * np.sqrt(DEVICES) < 4
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / DEVICES)
    assert scipy.stats.kstest(z, "norm").pvalue > 1e-3


@pytest.mark.parametrize(("early", "late"), [(0.3, 1.0), (1.0, 1.5), (1.5, 6.0), (0.004, 19.6), (19.6, 60.0)])
def test_increments_are_independent_of_the_past(paths, early, late):
    # one trajectory per device: W(late) - W(early) has variance late - early and no memory of W(early)
    step = (paths[late] - paths[early]) / np.sqrt(late - early)
    assert abs(step.var() - 1) < 4 * np.sqrt(2 / DEVICES)
    assert abs(np.corrcoef(step, paths[early])[0, 1]) * np.sqrt(DEVICES) < 4


def test_devices_are_independent(paths):
    w = paths[6.0] / np.sqrt(6.0)
    for lag in (1, 2, 200):
        assert abs((w[lag:] * w[:-lag]).mean()) * np.sqrt(DEVICES) < 4


def test_the_path_is_continuous():
    # |dW| over du is below 6 sqrt(du) in 100 devices, down to float32's own resolution of u
    path = jax.jit(lambda u: brownian_path(jax.random.key(4), u, (100,)))
    for du in (1e-1, 1e-3, 1e-5):
        step = np.abs(np.asarray(path(jnp.float32(3.0 + du)) - path(jnp.float32(3.0))))
        assert step.max() < 6 * np.sqrt(du)


def test_the_path_is_the_same_eagerly_compiled_and_in_double_precision():
    def path():
        return np.asarray(brownian_path(jax.random.key(4), jnp.asarray(2.5), (8,)))

    eager = path()
    np.testing.assert_allclose(
        jax.jit(lambda: brownian_path(jax.random.key(4), jnp.float32(2.5), (8,)))(), eager, rtol=1e-5
    )
    with jax.enable_x64(True):
        np.testing.assert_allclose(path(), eager, rtol=1e-6)


def test_beyond_its_end_the_path_stands_still():
    # u = 64 is 6e27 s from 1 s
    path = jax.jit(lambda u: brownian_path(jax.random.key(4), u, (8,)))
    np.testing.assert_allclose(path(jnp.float32(70.0)), path(jnp.float32(LOG_TIME_MAX)), rtol=1e-6)


def test_the_gradient_in_u_is_that_of_the_square_root():
    # documented: d W/d u = W/(2 u), that of sqrt(u) Z at fixed Z; zero at the start, where it would diverge
    path, slope = jax.jvp(lambda u: brownian_path(jax.random.key(4), u, (8,)), (jnp.float32(3.0),), (jnp.float32(1.0),))
    np.testing.assert_allclose(slope, path / 6.0, rtol=1e-5)
    at_start = jax.jacfwd(lambda u: brownian_path(jax.random.key(4), u, (8,)))(jnp.float32(0.0))
    np.testing.assert_array_equal(at_start, 0.0)
