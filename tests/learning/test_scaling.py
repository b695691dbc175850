"""Scales of a gradient: fixed and automatic, whatever the split of a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.learning import (
    AutoScale,
    Factors,
    FixedScale,
    MeanCount,
    TikiTaka,
)
from tests.pulsed_rules import IDEAL, INPUTS, KEY, factors, learned, started, zeros


def test_a_fixed_scale_is_a_learning_rate_over_the_granularity():
    memory, strength = FixedScale(0.3).strengths(FixedScale(0.3).start(), factors(7), 0.02, 10)
    np.testing.assert_allclose(strength.now, np.full(7, 15.0), rtol=1e-6)
    np.testing.assert_allclose(strength.walk, np.arange(1, 8) / 10 / 15.0**2, rtol=1e-5)
    assert memory[0] == strength.walk[-1]


def test_an_auto_scale_gives_its_pulses_between_two_reads():
    scale, given = AutoScale(pulses=4.0, memory=6.0), factors(30)
    memory, strength = jax.jit(lambda f: scale.strengths(scale.start(), f, 0.02, 8))(given)
    total, wanted = np.zeros(3), []
    for x, delta in zip(*map(np.asarray, given), strict=True):
        total = total * (1 - 1 / 6) + [1.0, np.abs(x).mean(), np.abs(delta).mean()]
        wanted.append(4.0 / (8 * total[1] / total[0] * total[2] / total[0]))
    np.testing.assert_allclose(strength.now, wanted, rtol=1e-5)
    np.testing.assert_allclose(memory[:3], total, rtol=1e-5)
    # a memory of one sample: each gives a half of a pulse in the mean over devices, from the first on, at any size
    for size in (1e-4, 1.0, 1e3):
        sized = jax.tree.map(lambda f, s=size: s * f, given)
        own = AutoScale(pulses=4.0, memory=1.0).strengths(scale.start(), sized, 1.0, 8)[1].now
        product = np.abs(sized.x).mean(axis=1) * np.abs(sized.delta).mean(axis=1)
        np.testing.assert_allclose(own * product, 0.5, rtol=1e-4)


def test_a_rule_pulses_its_fast_array_as_often_as_its_scale_says():
    # n pulses for a device from one read of its row to the next, transfers being every second sample
    rule = TikiTaka(
        IDEAL, IDEAL, key=KEY, learning_rate=0.0, scale=AutoScale(pulses=6.0), train=MeanCount(), transfer_every=2
    )
    state, _ = learned(rule, started(rule, zeros()), factors(200), 10)
    reads = 200 / 2 / INPUTS
    assert float(jnp.mean(state.arrays[0].fast.pulses)) == pytest.approx(6.0 * reads, rel=0.03)


def test_a_scale_does_not_depend_on_the_split_of_a_batch():
    scale, given = AutoScale(memory=5.0), factors(12)
    run = jax.jit(lambda m, f: scale.strengths(m, f, 1.0, 5))
    memory, whole = run(scale.start(), given)
    parts, kept = [], scale.start()
    for first in range(0, 12, 3):
        kept, part = run(kept, jax.tree.map(lambda f, a=first: f[a : a + 3], given))
        parts.append(part)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    np.testing.assert_array_equal(kept, memory)


def test_a_scale_survives_samples_without_a_gradient():
    scale, none = AutoScale(), Factors(jnp.ones((2, 3)), jnp.zeros((2, 4)))
    memory, strength = scale.strengths(scale.start(), none, 1.0, 5)
    assert np.all(np.isfinite(strength)) and np.all(np.isfinite(strength.now)) and np.all(np.isfinite(memory))

    def walk(pulses):
        own = AutoScale(pulses=pulses, memory=scale.memory)
        return own.strengths(scale.start(), none, 1.0, 5)[1].walk

    assert np.all(jax.jvp(walk, (jnp.asarray(5.0),), (jnp.asarray(1.0),))[1] == 0)


@pytest.mark.parametrize("broken", [jnp.inf, jnp.nan])
def test_a_sample_that_is_not_finite_is_left_out_of_a_scale(broken):
    scale, given = AutoScale(memory=5.0), factors(12)
    spoilt = given._replace(delta=given.delta.at[6, 2].set(broken))
    memory, strength = scale.strengths(scale.start(), spoilt, 1.0, 5)
    assert np.all(np.isfinite(memory)) and np.all(np.isfinite(strength))
    np.testing.assert_array_equal(strength.inverse[:6], scale.strengths(scale.start(), given, 1.0, 5)[1].inverse[:6])
    assert strength.inverse[6] == pytest.approx(float(strength.inverse[5]), rel=1e-6)


def test_no_sample_is_too_small_for_the_walk():
    # a hundredth of what a float32 of this size resolves, a hundred thousand times
    scale, interval = FixedScale(1.0), 10
    begun = jnp.asarray([1.0, 0.0])
    share = np.float32(6e-10)
    given = Factors(jnp.ones((100_000, 1)), jnp.ones((100_000, 1)))
    memory, strength = jax.jit(lambda m, f: scale.strengths(m, f, np.sqrt(share * interval), interval))(begun, given)
    assert float(memory[0]) - 1 == pytest.approx(6e-5, rel=1e-2)
    assert np.all(np.diff(strength.walk) >= 0)
