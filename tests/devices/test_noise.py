"""Read noise: exact transition probabilities and Lorentzians, 1/f from sums, amplitudes, addresses."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.signal

from hfsim.devices.noise import FlickerNoise, RandomTelegraph
from hfsim.draws import address
from hfsim.errors import InputError
from hfsim.estimators import Exact, Soft

LEVELS = dict(A_HRS=1.0, A_LRS=1e-3, G_HRS=1.0, G_LRS=100.0)
TELEGRAPH = dict(tau_c=3e-3, tau_e=1e-3, **LEVELS)
DEVICES = 256


def trace(noise, dt, steps, shape=(DEVICES,), seed=0, **options):
    """Fillings (or processes) of `steps` steps of dt, time leading."""
    key = jax.random.key(seed)

    def step(state, i):
        state = noise.step(state, dt, address(key, 1, i), **options)
        return state, state

    start = noise.init(shape, address(key, 0))
    return np.asarray(eqx.filter_jit(lambda: jax.lax.scan(step, start, jnp.arange(steps))[1])())


@pytest.fixture
def telegraph():
    return RandomTelegraph(**TELEGRAPH)


# ----------------------------------------------------------------------------------------- random telegraph


@pytest.mark.parametrize("seconds", [0.0, 1e-5, 1e-3, 0.1])
def test_transition_probabilities_solve_the_master_equation(seconds, x64):
    # expm of the generator matrix
    noise = RandomTelegraph(**TELEGRAPH)
    generator = np.array([[-1 / 3e-3, 1 / 3e-3], [1 / 1e-3, -1 / 1e-3]])
    matrix = scipy.linalg.expm(generator * seconds)
    found = [float(noise.probability(s, seconds)) for s in (0.0, 1.0)]
    np.testing.assert_allclose(found, matrix[:, 1], atol=1e-14)


def test_steps_compose_exactly(x64):
    # Chapman-Kolmogorov: the probability after two steps is that of the probability after one
    noise = RandomTelegraph(**TELEGRAPH)
    for a, b in ((1e-4, 2e-3), (1e-9, 5e-2)):
        for s in (0.0, 1.0):
            once = noise.probability(s, a + b)
            assert float(noise.probability(noise.probability(s, a), b)) == pytest.approx(float(once), abs=1e-15)


def test_a_trace_has_the_exact_autocorrelation(telegraph):
    # 256 devices x 4,096 steps; the error of a covariance is about var sqrt(2 tau/(n T)), here 0.0032
    dt, steps = 2e-4, 4096
    x = trace(telegraph, dt, steps, estimator=Exact())[:, 0]
    assert set(np.unique(x)) == {0.0, 1.0}
    assert x.mean() == pytest.approx(0.25, abs=4 * np.sqrt(2 * 0.1875 * 7.5e-4 / (dt * steps * DEVICES)))
    x = x - 0.25
    error = 4 * 0.1875 * np.sqrt(2 * 7.5e-4 / (dt * steps * DEVICES))
    for lag in (0, 1, 3, 8, 20):
        found = np.mean(x[lag:] * x[: steps - lag])
        assert found == pytest.approx(float(telegraph.autocorrelation(lag * dt)), abs=error), lag


def test_a_trace_has_the_lorentzian_spectrum(telegraph):
    # Periodograms of 256 devices, averaged over 16 neighbouring frequencies: 1/sqrt(256 x 16) = 1.6 % each. The
    # sampled spectrum is the Lorentzian with its aliases, which the exact discrete autocorrelation sums in closed form.
    dt, steps = 1e-4, 4096
    x = trace(telegraph, dt, steps, estimator=Exact())[:, 0]
    f, S = scipy.signal.periodogram(x, 1 / dt, axis=0, detrend="constant", window="hann")
    S, f = S.mean(axis=1)[17:1985].reshape(-1, 16).mean(axis=1), f[17:1985].reshape(-1, 16).mean(axis=1)
    r = np.exp(-dt / 7.5e-4)
    aliased = 2 * dt * 0.1875 * (1 - r**2) / (1 - 2 * r * np.cos(2 * np.pi * f * dt) + r**2)
    # 123 bands; the Hann window correlates neighbours, so that a band's error is 1.5 x 1.6 %
    assert np.max(np.abs(S / aliased - 1)) < 0.12 and abs(np.mean(S / aliased) - 1) < 0.01
    low = f < 300
    np.testing.assert_allclose(S[low], telegraph.spectrum(f[low]), rtol=0.1)


def test_the_spectrum_holds_the_variance(telegraph):
    f = np.logspace(-3, 8, 20_001)
    S = np.asarray(telegraph.spectrum(jnp.asarray(f)))
    assert np.trapezoid(S, f) == pytest.approx(float(telegraph.variance()), rel=1e-3)


def test_traps_with_spread_time_constants_give_one_over_f():
    # 40 traps over 8 decades, 5 a decade: f S is flat within 2 % over the middle five decades
    tau = jnp.logspace(-8, 0, 40)
    noise = RandomTelegraph(2 * tau, 2 * tau, **LEVELS, traps=40)
    f = np.logspace(0, 6, 121)
    fS = f * np.sum(np.asarray(noise.spectrum(jnp.asarray(f)[:, None])), axis=1)
    middle = (f > 10) & (f < 1e6)
    assert np.ptp(fS[middle]) / fS[middle].mean() < 0.04
    # p (1 - p) over the spacing of ln(tau), 0.25/0.472
    assert fS[middle].mean() == pytest.approx(0.25 / (8 * np.log(10) / 39), rel=0.02)


def test_a_trace_of_spread_traps_is_one_over_f():
    # simulated: 12 traps over 4 decades in each of 64 devices; slope of ln S over ln f within 0.1 of -1
    tau = jnp.logspace(-5, -1, 12)[:, None]
    noise = RandomTelegraph(2 * tau, 2 * tau, **LEVELS, traps=12)
    x = trace(noise, 1e-5, 16_384, (64,), estimator=Exact()).sum(axis=1)
    f, S = scipy.signal.periodogram(x, 1e5, axis=0, detrend="constant")
    bands = np.logspace(np.log10(30), np.log10(3e3), 13)
    means = [S[(f >= a) & (f < b)].mean() for a, b in zip(bands[:-1], bands[1:], strict=True)]
    slope = np.polyfit(np.log(np.sqrt(bands[:-1] * bands[1:])), np.log(means), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.1)


def test_steps_of_any_length_have_the_same_statistics(telegraph):
    # one step of 1e6 tau forgets: half of 20,000 devices in equilibrium, whatever they were
    state = jnp.ones((1, 20_000))
    after = telegraph.step(state, 1e3, jax.random.key(3), estimator=Exact())
    assert float(after.mean()) == pytest.approx(0.25, abs=4 * np.sqrt(0.1875 / 20_000))
    np.testing.assert_array_equal(telegraph.step(state, 0.0, jax.random.key(3), estimator=Exact()), state)


def test_the_amplitude_joins_the_two_states_by_a_power_law(telegraph):
    # dR/R 1 at 1 uS, 1e-3 at 100 uS: exponent -1.5, constant outside
    G = jnp.array([0.01, 1.0, 10.0, 100.0, 1e4])
    np.testing.assert_allclose(telegraph.amplitude(G), [1.0, 1.0, 10**-1.5, 1e-3, 1e-3], rtol=1e-5)


def test_a_filled_trap_raises_the_resistance(telegraph):
    state = jnp.array([[0.0, 1.0, 1.0]])
    G = telegraph.conductance(state, jnp.array([1.0, 1.0, 100.0]))
    np.testing.assert_allclose(G, [1.0, 0.5, 100 / 1.001], rtol=1e-6)


def test_the_key_addresses_each_step(telegraph):
    state = telegraph.init((1000,), jax.random.key(0))
    one, same, other = (telegraph.step(state, 1e-3, jax.random.key(k), estimator=Exact()) for k in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.any(np.asarray(one) != np.asarray(other))


def test_a_decision_is_differentiated_by_its_estimator(telegraph):
    # mean of many devices: d/d tau_e of the mean filling p, where the steps forget the start
    def mean(tau_e, estimator):
        noise = dataclasses.replace(telegraph, tau_e=tau_e)
        return jnp.mean(noise.step(jnp.ones((1, 20_000)), 1.0, jax.random.key(0), estimator=estimator))

    assert float(jax.grad(mean)(1e-3, Exact())) == 0.0
    expected = 3e-3 / (4e-3) ** 2  # d/d tau_e of tau_e/(tau_c + tau_e)
    assert float(jax.grad(mean)(1e-3, Soft(0.02))) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("traps", [0, 1.0, "2"])
def test_a_wrong_number_of_traps_is_refused(traps):
    with pytest.raises(InputError, match="`traps` must be an integer >= 1"):
        RandomTelegraph(**TELEGRAPH, traps=traps)


# ------------------------------------------------------------------------------------------------- 1/f

FLICKER = dict(K_0=0.5, G_0=50.0, power=0.5, tau_min=1e-7, tau_max=10.0)


@pytest.fixture
def flicker():
    return FlickerNoise(**FLICKER)


def test_the_spectrum_is_k_squared_over_f(flicker):
    # two components a decade: within 4 % one decade from either end
    f = np.logspace(0, 5, 101)
    fS = f * np.asarray(flicker.spectrum(jnp.asarray(f), 50.0))
    np.testing.assert_allclose(fS, 0.25, rtol=0.04)
    fine = FlickerNoise(**FLICKER, components=32)
    middle = f[20:-20]
    np.testing.assert_allclose(middle * np.asarray(fine.spectrum(jnp.asarray(middle), 50.0)), 0.25, rtol=0.005)


def test_a_path_has_the_variance_and_correlation_of_its_components(flicker):
    # each component's variance is d ln(tau), after any steps; its correlation exp(-t/tau)
    n = 20_000
    state = flicker.init((n,), jax.random.key(0))
    after = flicker.step(flicker.step(state, 1e-3, jax.random.key(1)), 2e-3, jax.random.key(2))
    tau, part = flicker.time_constants()
    np.testing.assert_allclose(np.var(after, axis=1), float(part), rtol=4 * np.sqrt(2 / n))
    found = np.mean(np.asarray(after) * np.asarray(state), axis=1) / float(part)
    np.testing.assert_allclose(found, np.exp(-3e-3 / np.asarray(tau)), atol=4 * np.sqrt(2 / n))


def test_a_path_is_one_over_f():
    # simulated at 10 us steps: slope -1 and height K^2/f over a decade in which aliases are below 1 %
    noise = FlickerNoise(**{**FLICKER, "tau_max": 1.0})
    x = trace(noise, 1e-5, 16_384, (64,))
    G = np.asarray(noise.conductance(jnp.moveaxis(jnp.asarray(x), 1, 0), 50.0))
    f, S = scipy.signal.periodogram(G, 1e5, axis=0, detrend="constant", window="hann")
    band = (f > 40) & (f < 400)
    # 59 frequencies of 64 devices, 1.5 correlated neighbours: 2 %
    assert np.mean(f[band, None] * S[band]) == pytest.approx(0.25, rel=0.08)
    slope = np.polyfit(np.log(f[band]), np.log(S[band].mean(axis=1)), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.1)


def test_variance_grows_with_the_logarithm_of_the_record(flicker):
    # the published sigma^2 = K^2 ln[(t + t_r)/(2 t_r)]: ten times the time adds K^2 ln 10. A path agrees: the
    # variance of records of length t about their own mean grows by K^2 ln 10 a decade.
    sigma = np.asarray(flicker.sigma(50.0, jnp.array([1e-3, 1e-2, 1e-1]), 1e-6))
    np.testing.assert_allclose(np.diff(sigma**2), 0.25 * np.log(10), rtol=2e-3)
    x = trace(flicker, 1e-5, 10_000, (128,)).sum(axis=1) * 0.5
    short = x.reshape(100, 100, 128).var(axis=1).mean()
    long = x.var(axis=0).mean()
    # 128 records, whose slowest components dominate the error
    assert long - short == pytest.approx(0.25 * np.log(100), rel=0.15)


def test_the_deviation_starts_at_zero(flicker):
    # the published formula is 0 at t = t_r and undefined before
    slope = jax.grad(lambda t: flicker.sigma(50.0, t, 1e-6))
    for t in (0.0, 5e-7, 1e-6):
        assert float(flicker.sigma(50.0, t, 1e-6)) == pytest.approx(0.0, abs=1e-3) and np.isfinite(slope(t))


def test_the_noise_grows_with_its_power_of_the_conductance(flicker):
    np.testing.assert_allclose(flicker.K(jnp.array([50.0, 200.0])), [0.5, 1.0], rtol=1e-6)


def test_a_path_s_gradient_is_exact(x64):
    noise = FlickerNoise(**FLICKER)

    def end(values):
        noise = FlickerNoise(*values)
        state = noise.step(noise.init((3,), jax.random.key(0)), values[3] * 50, jax.random.key(1))
        return jnp.sum(noise.conductance(state, 30.0))

    values = [getattr(noise, name) for name in FLICKER]
    gradients = jax.grad(end)(values)
    for i, value in enumerate(values):
        step = 1e-5 * value
        high, low = (end([*values[:i], value + s, *values[i + 1 :]]) for s in (step, -step))
        assert float(gradients[i]) == pytest.approx(float(high - low) / (2 * float(step)), rel=1e-6)


@pytest.mark.parametrize("components", [1, 2.0, "16"])
def test_a_wrong_number_of_components_is_refused(components):
    with pytest.raises(InputError, match="`components` must be an integer >= 2"):
        FlickerNoise(**FLICKER, components=components)


def test_a_raw_key_is_refused(telegraph, flicker):
    for noise in (telegraph, flicker):
        with pytest.raises(InputError, match="`key` must be a typed key"):
            noise.init((2,), jax.random.PRNGKey(0))
