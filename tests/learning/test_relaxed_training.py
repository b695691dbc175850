"""Meta-gradients through online training against differences of the run; its exact form against the memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hfsim import InputError
from hfsim.estimators import Exact, ScoreFunction, Soft, SoftGradient
from hfsim.learning import (
    ChangeSchedule,
    ConstantSchedule,
    KnotSchedule,
    Nearest,
    RandomisedSchedule,
    RandomSchedule,
    Training,
    train,
)
from tests.finite_differences import Unrounded, check_parameter_gradients
from tests.hybrid_memories import make

SHAPE = (4, 3)
RELAXES_LATER = tuple(
    f"memory.memristor.{n}" for n in ("V_C", "G_reset", "sigma_reset", "sigma_set", "nu", "sigma_u", "t_0", "E_relax")
)
"""Nothing waits in a training."""


def loss(params, sample):
    x, y = sample
    return jnp.mean((jnp.tanh(x @ params["a"]) - y) ** 2)


def task(samples, seed=0):
    rng = np.random.default_rng(seed)
    params = {"a": jnp.asarray(0.3 * rng.normal(size=SHAPE), float)}
    x = rng.normal(size=(samples, 4))
    return params, (jnp.asarray(x, float), jnp.asarray(np.tanh(x[:, :3]), float))


def final(training, params, samples, **how):
    found = train(training, loss, params, samples, **how)
    return jnp.mean(jax.vmap(lambda *s: loss(found.params, s))(*samples)) + 0.01 * found.transfers


def smooth(schedule, **changes):
    """Without any decision that is not soft."""
    memory = make(
        rounding=Nearest(Unrounded()), estimator=Unrounded(), mask=Soft(width=0.2), key=jax.random.key(3), **changes
    )
    return Training(memory, schedule, Soft(width=0.1))


@pytest.mark.parametrize("estimator", [Exact(), SoftGradient(width=0.1)])
def test_a_constant_schedule_is_the_memory_of_that_period(estimator):
    params, samples = task(50)
    memory = make(period=7)
    found = jax.jit(lambda: train(Training(memory, ConstantSchedule(period=7.0), estimator), loss, params, samples))()

    @jax.jit
    def by_hand():
        def sample(carry, sample):
            params, state = carry
            change, state = memory.update(jax.grad(loss)(params, sample), state, params)
            return (optax.apply_updates(params, change), state), None

        state = memory.init(params)
        return jax.lax.scan(sample, (memory.programmed(params, state), state), samples)[0]

    _, state = by_hand()
    assert found.transfers == 50 // 7 == state.transfers - 1
    for mine, theirs in zip(found.state.weights, state.weights, strict=True):
        np.testing.assert_array_equal(mine.words, theirs.words)
        np.testing.assert_array_equal(mine.minus_targets, theirs.minus_targets)
        np.testing.assert_array_equal(mine.plus.event, theirs.plus.event)
        np.testing.assert_allclose(mine.plus.programmed, theirs.plus.programmed, rtol=1e-6)
        np.testing.assert_allclose(mine.minus.programmed, theirs.minus.programmed, rtol=1e-6)


@pytest.mark.parametrize(
    "schedule",
    [
        lambda: KnotSchedule(periods=jnp.array([4.0, 6.0, 3.0]), shares=(0.0, 0.5, 1.0), phase=0.3),
        lambda: ChangeSchedule(threshold=9.0, phase=0.3),
        lambda: RandomSchedule(probability=0.2),
    ],
    ids=["knots", "change", "random"],
)
def test_meta_gradients_are_the_differences_of_the_whole_run(x64, schedule):
    # common random numbers: every draw is at an address; all parameters of memory, schedule and estimators at once
    params, samples = task(20)
    training = smooth(schedule())
    check_parameter_gradients(
        training, lambda t: final(t, params, samples, chunk=8), insensitive=RELAXES_LATER, tolerance=1e-4
    )


def test_all_ways_through_a_training_give_one_gradient(x64):
    params, samples = task(20)
    start = smooth(ConstantSchedule(period=4.0, phase=0.3))

    def at(place, **how):
        training = eqx.tree_at(lambda t: (t.schedule.period, t.memory.learning_rate), start, tuple(place))
        return final(training, params, samples, **how)

    place = jnp.array([4.0, 0.1])
    reference = jax.grad(at)(place)
    for way in (
        jax.grad(lambda p: at(p, chunk=7)),  # with a shorter chunk
        jax.jacfwd(at),
    ):
        np.testing.assert_allclose(way(place), reference, rtol=1e-8)


def test_a_truncated_gradient_takes_what_came_before_as_given(x64):
    params, samples = task(20)
    start = smooth(KnotSchedule(periods=jnp.array([4.0, 4.0]), phase=0.3))

    def at(rate, **how):
        training = eqx.tree_at(lambda t: t.memory.learning_rate, start, rate)
        return train(training, loss, params, samples, **how)

    whole, truncated = (
        jax.value_and_grad(lambda r, h=how: loss(at(r, **h).params, (samples[0][0], samples[1][0])))(0.1)
        for how in ({}, {"chunk": 10, "last": 1})
    )
    assert truncated[0] == pytest.approx(float(whole[0]), rel=1e-12)
    assert truncated[1] != pytest.approx(float(whole[1]), rel=1e-3)

    def expected(periods):
        training = eqx.tree_at(lambda t: t.schedule.periods, start, periods)
        return train(training, loss, params, samples, chunk=5, last=1).expected_transfers

    # energy sees all of the schedule all the same: half of -N/k^2 for each of two equal knots
    np.testing.assert_allclose(jax.grad(expected)(jnp.full(2, 4.0)), -20 / 16 / 2, rtol=1e-9)


def test_the_score_function_finds_the_slope_of_the_mean():
    params, samples = task(8, seed=1)
    keys = jax.random.split(jax.random.key(5), 2048)
    chosen = Training(make(learning_rate=0.3), RandomSchedule(probability=0.3), ScoreFunction())

    @jax.jit
    def judged(logarithm):
        def one(key):
            training = eqx.tree_at(lambda t: (t.memory.key, t.schedule.probability), chosen, (key, jnp.exp(logarithm)))
            found = train(training, loss, params, samples)
            # one transfer more costs a tenth: a slope that is known beside the loss's
            return final(training, params, samples) + 0.1 * found.transfers, found.log_probability

        return jax.vmap(one)(keys)

    place = jnp.log(0.3)
    values, scores = jax.jacfwd(judged)(place)
    assert not np.any(values), "exact gates have no slope of their own"
    losses, _ = judged(place)
    runs = np.asarray(scores) * (np.asarray(losses) - np.asarray(losses).mean())
    up, down = (np.asarray(judged(place + h)[0], float) for h in (0.2, -0.2))
    difference, error = ((up - down) / 0.4).mean(), np.hypot(((up - down) / 0.4).std(), runs.std()) / np.sqrt(len(keys))
    assert difference > 0.1 and abs(runs.mean() - difference) < 4 * error


def test_wrong_ways_are_refused():
    params, samples = task(5)
    training = Training(make(), ConstantSchedule(period=2.0))
    for how, name in (({"chunk": 0}, "chunk"), ({"last": 1}, "last"), ({"chunk": 2, "last": 0}, "last")):
        with pytest.raises(InputError, match=name):
            train(training, loss, params, samples, **how)
    score = Training(make(), ConstantSchedule(period=2.0), ScoreFunction())
    with pytest.raises(InputError, match="RandomisedSchedule"):
        train(score, loss, params, samples)
    drawn = Training(make(), RandomisedSchedule(clock=ConstantSchedule(period=2.0)), ScoreFunction())
    assert train(drawn, loss, params, samples).log_probability < 0
    with pytest.raises(InputError, match="mask"):
        make(mask=0.1)
