"""The latch sense amplifier: its probability, its decisions, its offset."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from hfsim.circuits import SenseAmplifier
from hfsim.errors import InputError
from hfsim.estimators import Exact, Soft, StraightThrough
from tests.finite_differences import check_parameter_gradients

VALUES = dict(V_ref=0.32, sigma_os=10.0, sigma_n=2.0)
DECISIONS = 40_000


@pytest.fixture
def amplifier():
    """The card's amplifier."""
    return SenseAmplifier(**VALUES)


def test_the_probability_is_a_normal_of_the_margin(amplifier):
    voltage = np.array([0.310, 0.316, 0.319, 0.320, 0.321, 0.324, 0.330])
    expected = scipy.stats.norm.cdf((voltage - 0.32) / 2e-3)
    np.testing.assert_allclose(amplifier.probability(jnp.asarray(voltage)), expected, rtol=2e-4, atol=1e-6)


def test_an_offset_moves_the_threshold(amplifier):
    shifted = dataclasses.replace(amplifier, V_os=0.01)
    assert float(shifted.probability(0.33)) == pytest.approx(0.5, abs=1e-4)
    assert float(shifted.probability(0.32)) < 1e-5


@pytest.mark.parametrize("voltage", [0.316, 0.319, 0.320, 0.3235])
def test_decisions_come_with_their_probability(amplifier, key, voltage):
    # standard error of a frequency of n decisions: sqrt(p (1 - p)/n)
    decisions = np.asarray(amplifier.decide(jnp.full(DECISIONS, voltage), key, Exact()))
    p = float(amplifier.probability(voltage))
    assert set(np.unique(decisions)) <= {0.0, 1.0}
    assert abs(decisions.mean() - p) < 4 * np.sqrt(p * (1 - p) / DECISIONS)


def test_far_from_the_threshold_there_is_no_doubt(amplifier, key):
    # the chip's read: 0.14 V for a 0, 0.50 V for a 1, 90 sigma away
    voltage = jnp.array([0.14, 0.50])
    np.testing.assert_array_equal(amplifier.decide(voltage, key, Exact()), [0.0, 1.0])


def test_the_same_key_decides_the_same(amplifier, key):
    voltage = jnp.full(1000, 0.32)
    one, two = (amplifier.decide(voltage, key, Exact()) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(jax.jit(lambda v: amplifier.decide(v, key, Exact()))(voltage), one)
    assert np.any(np.asarray(amplifier.decide(voltage, jax.random.key(1), Exact())) != np.asarray(one))


def test_offsets_scatter_by_their_spread(amplifier, key):
    # 10 mV; standard error of a deviation of n draws 1/sqrt(2 n)
    offsets = np.asarray(amplifier.sample((DECISIONS,), key).V_os)
    assert offsets.std() == pytest.approx(10e-3, rel=4 / np.sqrt(2 * DECISIONS))
    assert abs(offsets.mean()) < 4 * 10e-3 / np.sqrt(DECISIONS)


def test_offset_and_noise_add_in_squares_over_a_population(amplifier, key):
    one, two = jax.random.split(key)
    decisions = amplifier.sample((DECISIONS,), one).decide(jnp.full(DECISIONS, 0.33), two, Exact())
    p = scipy.stats.norm.cdf(10 / np.hypot(10, 2))
    assert abs(float(decisions.mean()) - p) < 4 * np.sqrt(p * (1 - p) / DECISIONS)


# --------------------------------------------------------------------------------------------- gradients


def test_the_probability_has_the_right_gradients(x64):
    model = SenseAmplifier(**VALUES, V_os=1e-3)
    check_parameter_gradients(model, lambda a: a.probability(0.3195), insensitive=("sigma_os",))


def test_the_line_s_voltage_has_the_density_as_gradient(amplifier):
    slope = float(jax.grad(amplifier.probability)(0.319))
    assert slope == pytest.approx(scipy.stats.norm.pdf(-0.5) / 2e-3, rel=1e-3)


def test_a_sampled_population_is_differentiable_in_its_spread(key, x64):
    def mean_probability(amplifier):
        return jnp.mean(amplifier.sample((8,), key).probability(0.3195))

    check_parameter_gradients(SenseAmplifier(**VALUES), mean_probability, insensitive=("V_os",))


def test_the_estimator_says_how_a_decision_is_differentiated(amplifier, key):
    def slope(estimator):
        return float(jax.grad(lambda v: amplifier.decide(v, key, estimator))(0.3195))

    assert slope(Exact()) == 0.0
    margin = float(amplifier.margin(0.3195)) + float(jax.random.normal(key, (), jnp.float32))
    logistic = 1 / (1 + np.exp(-margin))
    for estimator in (StraightThrough(width=1.0), Soft(width=1.0)):
        assert slope(estimator) == pytest.approx(logistic * (1 - logistic) / 2e-3, rel=1e-3)


def test_gradients_are_finite_far_from_the_threshold(amplifier):
    slopes = jax.vmap(jax.grad(amplifier.probability))(jnp.array([-20.0, 0.0, 20.0]))
    assert np.all(np.isfinite(slopes))


# --------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("name", "value"), [("V_ref", np.nan), ("sigma_os", -1.0), ("sigma_n", 0.0), ("V_os", 6.0), ("V_os", "none")]
)
def test_a_wrong_parameter_is_refused(name, value):
    with pytest.raises(InputError, match=f"`SenseAmplifier.{name}` must"):
        SenseAmplifier(**{**VALUES, name: value})


def test_a_raw_key_is_refused(amplifier):
    with pytest.raises(InputError, match="`key` must be a typed key"):
        amplifier.sample((2,), jax.random.PRNGKey(0))
    with pytest.raises(InputError, match="`key` must be a typed key"):
        amplifier.decide(0.3, jax.random.PRNGKey(0), Exact())
