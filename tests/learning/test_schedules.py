"""Schedules of transfers, their relaxed gates and estimators, by closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim import InputError
from hfsim.estimators import Exact, ScoreFunction, Soft, SoftGradient, relaxed_bernoulli
from hfsim.learning import ChangeSchedule, ConstantSchedule, KnotSchedule, RandomisedSchedule, RandomSchedule


def ticks(schedule, total, estimator=None, changes=None, key=None):
    """Gates, events, log probabilities of a training, and the clock after it."""
    changes = jnp.zeros(total) if changes is None else jnp.asarray(changes)
    estimator, key = estimator or Exact(), jax.random.key(0) if key is None else key

    def step(clock, change):
        tick, clock = schedule.tick(clock, change, total, estimator, key)
        return clock, tick

    clock, found = jax.lax.scan(step, schedule.start(), changes)
    return found, clock


@pytest.mark.parametrize("period", [1, 7, 100, 600])
def test_a_constant_period_transfers_at_its_multiples(period):
    found, clock = ticks(ConstantSchedule(period=float(period)), 1300)
    samples = np.arange(1, 1301)
    np.testing.assert_array_equal(found.gate, samples % period == 0)
    due = samples % period == 0
    np.testing.assert_array_equal(found.event[due], samples[due] // period)  # the number of the transfer
    np.testing.assert_allclose(clock.turns, 1300 / period, rtol=1e-6)


def test_a_phase_moves_all_transfers():
    found, _ = ticks(ConstantSchedule(period=10.0, phase=0.25), 100)
    np.testing.assert_array_equal(np.flatnonzero(found.gate), np.arange(7, 100, 10))  # 7.5, 17.5, ... after the start


def test_knots_turn_by_the_integral_of_the_rate(x64):
    schedule = KnotSchedule(periods=jnp.array([4.0, 40.0, 40.0, 8.0]), shares=(0.0, 0.3, 0.6, 0.9))
    total = 1000
    _, clock = ticks(schedule, total)
    progress = (np.arange(100_000) + 0.5) / 100_000
    quadrature = total * np.mean(1 / np.asarray(schedule.period(jnp.asarray(progress))))
    np.testing.assert_allclose(schedule.expected(clock), quadrature, rtol=1e-7)
    slope = jax.grad(lambda k: ticks(KnotSchedule(periods=k, shares=(0.0, 1.0)), total)[1].turns)(jnp.full(2, 20.0))
    # of equal knots: each has half of -N/k^2
    np.testing.assert_allclose(slope, -total / 20.0**2 / 2, rtol=1e-9)


def test_equal_knots_are_a_constant_period():
    knots, _ = ticks(KnotSchedule(periods=jnp.full(3, 13.7), shares=(0.0, 0.2, 1.0), phase=0.4), 500)
    constant, _ = ticks(ConstantSchedule(period=13.7, phase=0.4), 500)
    np.testing.assert_array_equal(knots.gate, constant.gate)


def test_a_change_transfers_where_its_sum_passes_the_threshold():
    changes = np.random.default_rng(0).uniform(0, 1, 200)
    found, _ = ticks(ChangeSchedule(threshold=3.0), 200, changes=changes)
    np.testing.assert_array_equal(found.gate, np.diff(np.floor(np.cumsum([0, *changes]) / 3)))
    often, _ = ticks(ChangeSchedule(threshold=0.01), 20, changes=np.ones(20))
    np.testing.assert_array_equal(often.gate, 1)  # one a sample at most


def test_random_gates_have_their_probability_and_its_logarithm(x64):
    p, total = 0.03, 20_000
    found, clock = ticks(RandomSchedule(probability=p), total)
    count = float(found.gate.sum())
    assert abs(count - p * total) < 4 * np.sqrt(total * p * (1 - p))
    assert RandomSchedule(probability=p).expected(clock) == pytest.approx(p * total)
    # the score of Bernoulli draws: (n - p N)/(p (1 - p))
    score = jax.grad(lambda p: ticks(RandomSchedule(probability=p), total, ScoreFunction())[0].log_probability.sum())(p)
    assert score == pytest.approx((count - p * total) / (p * (1 - p)), rel=1e-9)


def test_a_randomised_clock_draws_with_its_rate():
    clock = KnotSchedule(periods=jnp.array([2.0, 50.0]))
    keys = jax.random.split(jax.random.key(1), 400)
    gates = jax.vmap(lambda key: ticks(RandomisedSchedule(clock=clock), 100, key=key)[0].gate)(keys)
    expected = np.diff([0.0, *_turns(clock, 100)])
    error = np.sqrt(expected * (1 - expected) / 400)
    assert np.all(np.abs(np.asarray(gates.mean(axis=0)) - expected) < 4.5 * error + 1e-6)


def _turns(schedule, total):
    def step(clock, _):
        _, clock = schedule.tick(clock, jnp.zeros(()), total, Exact(), None)
        return clock, clock.turns

    return np.asarray(jax.lax.scan(step, schedule.start(), None, total)[1])


def test_soft_gates_add_up_and_straight_through_ones_have_their_slope(x64):
    width = jnp.asarray(0.05)

    def gates(period, estimator):
        return ticks(ConstantSchedule(period=period, phase=0.5), 100, estimator)[0].gate

    soft = gates(8.0, Soft(width))
    # c runs from 0.5 to 13.0: twelve whole jumps and half of the thirteenth
    assert soft.sum() == pytest.approx(12.5, abs=1e-3)
    assert np.all(soft >= 0)
    np.testing.assert_array_equal(gates(8.0, SoftGradient(width)), gates(8.0, Exact()))
    weights = jnp.asarray(np.random.default_rng(0).normal(size=100))
    slopes = [jax.grad(lambda k, e=e: weights @ gates(k, e))(8.0) for e in (SoftGradient(width), Soft(width))]
    assert slopes[0] == slopes[1] != 0
    assert jax.grad(lambda k: weights @ gates(k, Exact()))(8.0) == 0


def test_relaxed_draws_keep_mean_and_slope(x64):
    uniform = (jnp.arange(200_000) + 0.5) / 200_000
    for estimator in (Soft(width=0.1), SoftGradient(width=0.1)):
        mean, slope = jax.value_and_grad(lambda p, e=estimator: relaxed_bernoulli(uniform, p, e).mean())(0.2)
        assert mean == pytest.approx(0.2, rel=1e-4)
        assert slope == pytest.approx(1.0, rel=1e-3)


def test_the_score_function_is_unbiased_with_its_baseline(x64):
    # all outcomes of three independent draws, each with its probability
    loss = jnp.array([0.7, -1.3])
    outcomes = np.array(np.meshgrid(*[[0, 1]] * 3, indexing="ij")).reshape(3, -1).T

    def estimate(p, drawn):
        log_probabilities = jnp.where(drawn == 1, jnp.log(p), jnp.log1p(-p))
        return ScoreFunction().mean(loss[drawn], log_probabilities)

    p = 0.3
    slopes = [float(jax.grad(estimate)(p, jnp.asarray(drawn))) for drawn in outcomes]
    chances = np.prod(np.where(outcomes == 1, p, 1 - p), axis=1)
    assert np.dot(chances, slopes) == pytest.approx(float(loss[1] - loss[0]))
    assert estimate(p, jnp.asarray(outcomes[1])) == pytest.approx(float(loss[outcomes[1]].mean()))


def test_wrong_schedules_are_refused():
    for wrong, name in (
        (lambda: ConstantSchedule(period=0.5), "period"),
        (lambda: ConstantSchedule(period=5.0, phase=1.5), "phase"),
        (lambda: RandomSchedule(probability=0.0), "probability"),
        (lambda: ChangeSchedule(threshold=0.0), "threshold"),
        (lambda: KnotSchedule(periods=jnp.ones(3)), "periods"),
        (lambda: KnotSchedule(periods=jnp.ones(2), shares=(0.1, 1.0)), "shares"),
        (lambda: ticks(ConstantSchedule(period=5.0), 10, ScoreFunction()), "estimator"),
        (lambda: ScoreFunction().mean(jnp.zeros(1), jnp.zeros(1)), "losses"),
    ):
        with pytest.raises(InputError, match=name):
            wrong()
