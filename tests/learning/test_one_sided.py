"""One-sided pairs: they only go up, are the difference, and are refreshed in their turn."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.devices.pulsed import ConstantStep, SoftBounds
from hfsim.learning import (
    Factors,
    MeanCount,
    OneSided,
    PulsedSynapse,
)
from tests.pulsed_rules import DW, IDEAL, KEY, QUIET, WINDOW, factors, gradients, learned, started, updated, zeros


def pair_of(rule, plus, minus):
    """A state whose devices read `plus` and `minus`, next batch due."""
    state = started(rule, jnp.zeros_like(plus))

    def put(side, w):
        return side._replace(devices=rule.synapse.place(side.devices, w))

    pair = state.arrays[0]
    pair = pair._replace(plus=put(pair.plus, plus), minus=put(pair.minus, minus))
    return state._replace(arrays=(pair,))


def test_a_pair_only_goes_up_and_is_the_difference():
    rule = OneSided(IDEAL, key=KEY, learning_rate=0.02, full=1.0, train=MeanCount())
    state, weights = learned(rule, started(rule, zeros(0.25)), factors(64), 4)
    pair = state.arrays[0]
    plus, minus = (IDEAL.weight(side.devices) for side in (pair.plus, pair.minus))
    np.testing.assert_allclose(plus, -8 + 0.25 + DW * np.asarray(pair.plus.pulses), atol=1e-5)
    np.testing.assert_allclose(minus, -8 + DW * np.asarray(pair.minus.pulses), atol=1e-5)
    np.testing.assert_allclose(weights[-1], plus - minus, atol=1e-6)
    # the mean of SGD, to the rounding of mean counts: at most 1/4 of a pulse squared a sample
    np.testing.assert_allclose(weights[-1], 0.25 - 0.02 * gradients(factors(64))[-1], atol=4 * np.sqrt(64 / 4) * DW)
    assert np.all(np.asarray(pair.plus.pulses) > 0) and np.all(np.asarray(pair.minus.pulses) > 0)
    np.testing.assert_array_equal(pair.refreshes, 0)


@pytest.mark.parametrize(
    ("device", "below", "above"),
    [
        (ConstantStep(dw_min=0.01, up_down=0.0, **WINDOW, noise=QUIET), 1.0, 0.0),
        # a step is up to twice dw_min at the lower bound and vanishes at the upper one
        (SoftBounds(dw_min=0.02, up_down=0.0, **WINDOW, noise=QUIET), 1.0, 1.0),
        (SoftBounds(dw_min=0.02, up_down=0.5, **WINDOW, noise=QUIET), 1.0, 2.0),
    ],
    ids=["constant", "soft bounds", "steep"],
)
def test_a_refresh_keeps_the_difference_and_lowers_both(device, below, above):
    rng = np.random.default_rng(0)
    shape = (20, 25)
    plus, minus = (jnp.asarray(rng.uniform(-0.9, 0.3, shape), jnp.float32) for _ in range(2))
    synapse = PulsedSynapse(device)
    rule = OneSided(synapse, key=KEY, learning_rate=0.1, full=0.5, rounds=12)
    nothing = Factors(jnp.zeros((1, 20)), jnp.zeros((1, 25)))
    state = pair_of(rule, plus, minus)
    before = rule.weight(state.arrays[0])
    (after,), state = updated(rule, state, (before,), nothing)
    pair, due = state.arrays[0], np.maximum(plus, minus) > 0.0
    np.testing.assert_array_equal(pair.refreshes, due.astype(int))
    assert 0.2 < due.mean() < 0.6
    off = np.asarray((after - before) * jnp.sign(before) / device.dw_min)[due]
    assert off.min() > -below - 1e-3 and off.max() < above + 1e-3
    lower, higher = (
        f(*(np.asarray(synapse.weight(side.devices)) for side in pair[:2])) for f in (np.minimum, np.maximum)
    )
    np.testing.assert_allclose(lower[due], -1.0, atol=1e-6)
    assert np.all(higher[due] <= np.maximum(plus, minus)[due] + 2 * 0.03)
    # the others are left alone, to the bit
    for side, w in ((pair.plus, plus), (pair.minus, minus)):
        np.testing.assert_array_equal(np.asarray(synapse.weight(side.devices))[~due], np.asarray(w)[~due])


def test_a_refresh_in_its_turn_leaves_the_write_noise_of_others_alone():
    synapse = eqx.tree_at(
        lambda s: s.device.sigma_write,
        PulsedSynapse(SoftBounds(dw_min=0.02, up_down=0.0, **WINDOW, noise=QUIET)),
        jnp.float32(0.05),
    )
    rule = OneSided(synapse, key=KEY, learning_rate=0.3, full=0.6, refresh_every=4, train=MeanCount())
    state, weights = learned(rule, started(rule, zeros(-0.1)), factors(15), 1)
    kept = state.arrays[0]
    assert np.all(np.asarray(kept.refreshes) <= 3) and np.any(np.asarray(kept.plus.devices.device.error))
    # batch 16 is due; nothing is pulsed, so what is not refreshed stays as it was, error and all
    nothing = jax.tree.map(lambda f: 0 * f[:1], factors(15))
    _, after = updated(rule, state, (weights[-1],), nothing)
    same = np.asarray(after.arrays[0].refreshes == kept.refreshes)
    assert 0.1 < same.mean() < 1.0
    for one, two in ((kept.plus, after.arrays[0].plus), (kept.minus, after.arrays[0].minus)):
        np.testing.assert_array_equal(one.devices.device.w[same], two.devices.device.w[same])
        np.testing.assert_array_equal(one.devices.device.error[same], two.devices.device.error[same])
