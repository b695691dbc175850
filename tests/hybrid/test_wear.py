"""Wear: counts against the pulsed array's, first failures against drawn lives, dead memristors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim import InputError, hybrid
from hfsim.hybrid import Endurance, HybridArray, StuckTransfer, count_wear
from tests.finite_differences import check_parameter_gradients
from tests.hybrid_memories import SHAPES, make, normal, start

DRAWS = 20_000


def test_every_device_is_counted_as_by_the_pulsed_array():
    array = HybridArray.from_card(hfsim.load_card("cea-leti-2025-hybrid"), lines=2)
    rng = np.random.default_rng(0)
    shape = (array.lines, array.synapses_per_line)

    @jax.jit
    def live(words, steps):
        state = array.write(array.init(jax.random.key(0)), words)
        state = state._replace(fecap_operations=0 * state.fecap_operations)
        signs = []
        for number, step in enumerate(steps):
            state = array.update(state, step, jax.random.key(number))
            state = array.transfer(state, jax.random.key(100 + number))
            moved = array.sense(state, jax.random.key(200 + number))[1]
            signs.append(jnp.signbit(moved))
        return state, jnp.stack(signs)

    words, steps = (jnp.asarray(rng.integers(-300, 300, (*n, *shape)), float) for n in ((), (3,)))
    state, signs = live(words, steps)
    updates = np.full(shape, 3)
    wear = count_wear([updates], [np.sum(signs, axis=0)], transfers=3)
    for found, counted in (
        (wear.fecaps, state.fecap_operations),
        (wear.memristors, state.memristor_operations),
    ):
        cycles, devices = np.unique(np.asarray(counted) / 2, return_counts=True)
        np.testing.assert_array_equal(found.cycles, cycles)
        np.testing.assert_array_equal(found.devices, devices)


def test_the_memory_counts_which_memristor_was_set():
    memory = make("linear", period=10)
    params = normal(0, SHAPES, 0.3)
    state = start(memory, params)[1]
    for weight, leaf in zip(state.weights, params.values(), strict=True):
        np.testing.assert_array_equal(weight.minus_targets, np.signbit(np.round(512 * leaf)))
    moved = eqx.filter_jit(lambda m, s: m.transfer_now(s))(memory, state)
    for weight, before in zip(moved.weights, state.weights, strict=True):
        np.testing.assert_array_equal(weight.minus_targets, 2 * before.minus_targets)


@pytest.mark.parametrize("slope_of_lives", [1.5, 4.0])
def test_the_first_failure_is_the_least_of_all_lives(slope_of_lives):
    endurance = Endurance(cycles=1e5, slope=slope_of_lives)
    cycles, devices = np.array([0.0, 10.0, 100.0]), np.array([50, 40, 3])
    rng = np.random.default_rng(0)
    lives = 1e5 * rng.weibull(slope_of_lives, (DRAWS, 43)) / np.repeat(cycles[1:], devices[1:])
    expected = lives.min(axis=1)
    found = float(endurance.first_failure(cycles, devices))
    assert found == pytest.approx(expected.mean(), abs=4 * expected.std() / np.sqrt(DRAWS))
    share = float(jnp.sum(endurance.dead(300.0 * cycles) * devices) / devices.sum())
    dead = (lives < 300).sum(axis=1) / devices.sum()
    assert share == pytest.approx(dead.mean(), abs=4 * dead.std() / np.sqrt(DRAWS))
    assert float(endurance.first_failure(np.zeros(2), np.ones(2))) == np.inf


def test_the_first_failure_and_the_dead_have_gradients(x64):
    cycles, devices = jnp.array([0.0, 10.0, 100.0]), jnp.array([5.0, 40.0, 3.0])
    endurance = Endurance(cycles=1e5, slope=2.5)
    check_parameter_gradients(endurance, lambda e: jnp.log(e.first_failure(cycles, devices)))
    check_parameter_gradients(endurance, lambda e: jnp.log(jnp.sum(e.dead(300 * cycles))))
    assert np.isfinite(jax.grad(lambda c: jnp.sum(Endurance(cycles=1e5, slope=20.0).dead(c)))(1e7))
    by_counts = jax.grad(lambda c: endurance.first_failure(c, devices))(cycles)
    assert np.all(np.isfinite(by_counts)) and by_counts[0] == 0 and np.all(by_counts[1:] < 0)


def test_dead_memristors_stay_where_they_are():
    working = hybrid.transfer(hfsim.load_card("cea-leti-2025-hybrid"), "linear")
    transfer = StuckTransfer(working=working, dead=0.25, G_dead=50.0)
    words = jnp.full((4000,), 511.0)
    devices = transfer.fabricate(words.shape, jax.random.key(0))
    pair = transfer.program(words, devices, jax.random.key(1))
    healthy = working.program(words, None, jax.random.key(1))
    for side in ("plus", "minus"):
        dead = np.asarray(getattr(devices, side))
        assert dead.mean() == pytest.approx(0.25, abs=0.03)
        np.testing.assert_array_equal(np.asarray(getattr(pair, side))[dead], 50.0)
        np.testing.assert_array_equal(np.asarray(getattr(pair, side))[~dead], np.asarray(getattr(healthy, side))[~dead])
    assert not np.array_equal(devices.plus, devices.minus)
    assert transfer.twin_noise is False and float(transfer.weight_per_uS) == float(working.weight_per_uS)


def test_wrong_counts_are_named():
    with pytest.raises(InputError, match="minus_targets"):
        count_wear([np.zeros(3, int)], [np.zeros(2, int)], 1)
    with pytest.raises(InputError, match="minus_targets"):
        count_wear([np.zeros(3, int)], [np.full(3, 2)], 1)
    with pytest.raises(InputError, match="working"):
        StuckTransfer(working=None, dead=0.1, G_dead=1.0)
