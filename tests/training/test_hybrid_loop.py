"""The compiled loop does what the optax transformation does, sample by sample."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hfsim.hybrid import memristor, transfer
from hfsim.learning import HybridMemory
from models import MLP
from training.hybrid.loop import chip_epoch, float_epoch, loss_factors, sample_order, schedule, start_chip

SIZES, SAMPLES = (6, 5, 3), 17


@pytest.fixture
def task(card):
    """A tiny network, its memory and random data."""
    graph, params = nnx.split(MLP(SIZES, rngs=nnx.Rngs(1)))
    memory = HybridMemory(
        transfer=transfer(card, "measured"),
        memristor=memristor(card),
        learning_rate=0.1,
        probability=0.5,
        period=5,
        key=jax.random.key(3),
    )
    generator = np.random.default_rng(0)
    images = jnp.asarray(generator.uniform(-1, 1, (SAMPLES, SIZES[0])), jnp.float32)
    labels = jnp.asarray(generator.integers(0, SIZES[-1], SAMPLES), jnp.int32)
    return graph, params, memory, images, labels


@pytest.mark.parametrize(
    ("first", "samples", "period"),
    [(0, 17, 5), (17, 17, 5), (34, 17, 5), (3, 4, 10), (0, 10, 1), (5, 900, 700), (1149, 1149, 10**9)],
)
def test_schedule_visits_every_sample_once_and_transfers_at_multiples_of_the_period(first, samples, period):
    blocks = schedule(first, samples, period)
    np.testing.assert_array_equal(blocks.place[blocks.valid], np.arange(samples))
    reached = first + np.cumsum(blocks.valid.sum(axis=1))
    np.testing.assert_array_equal(reached[blocks.due] % period, 0)
    assert blocks.due.sum() == (first + samples) // period - first // period
    # no block holds a transfer in its middle, and one program serves all epochs
    begins = reached - blocks.valid.sum(axis=1)
    used = blocks.valid.any(axis=1)
    assert np.all((reached[used] - 1) // period == begins[used] // period)
    assert blocks.place.shape == schedule(first + samples, samples, period).place.shape
    assert blocks.place.shape[1] <= 256


def test_epochs_equal_one_sample_at_a_time_through_optax(task):
    graph, params, memory, images, labels = task
    start = eqx.filter_jit(lambda m, p: start_chip(m, p))(memory, params)
    run = jax.jit(lambda chip, order, blocks: chip_epoch(memory, graph, chip, images, labels, order, blocks))
    chip = start
    orders = [sample_order(memory.key, epoch, SAMPLES) for epoch in range(2)]
    for epoch, order in enumerate(orders):
        chip, _ = run(chip, order, schedule(epoch * SAMPLES, SAMPLES, memory.period))

    def loss(params, index):
        logits = nnx.merge(graph, params)(images[index])
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels[index])

    optimiser = memory.transformation()

    @jax.jit
    def step(params, state, index):
        updates, state = optimiser.update(jax.grad(loss)(params, index), state, params)
        return optax.apply_updates(params, updates), state

    params, state = start.params, start.memory
    for index in np.concatenate(orders):
        params, state = step(params, state, index)
    assert int(state.transfers) == int(chip.memory.transfers) == 1 + 2 * SAMPLES // memory.period
    for ours, theirs in zip(chip.memory.weights, state.weights, strict=True):
        # a batched product may round a gradient to the other side of a half: one hidden step at most, rarely
        assert np.mean(np.asarray(ours.words) != np.asarray(theirs.words)) < 0.05
        np.testing.assert_array_equal(ours.updates, theirs.updates)
        np.testing.assert_array_equal(ours.plus.event, theirs.plus.event)


def test_taps_give_the_dense_gradient_without_making_it(task):
    graph, params, _, images, labels = task
    factors, _ = loss_factors(graph, params, images, labels)

    def loss(params):
        logits = nnx.merge(graph, params)(images)
        return jnp.sum(optax.softmax_cross_entropy_with_integer_labels(logits, labels))

    for factor, dense in zip(factors, jax.tree.leaves(jax.grad(loss)(params)), strict=True):
        np.testing.assert_allclose(factor.x.T @ factor.delta, dense, rtol=1e-4, atol=1e-5)


def test_floating_point_epochs_learn(task):
    graph, params, _, images, labels = task
    run = jax.jit(lambda p: float_epoch(graph, p, images, labels, jnp.arange(SAMPLES), learning_rate=0.1))
    shares = []
    for _ in range(60):
        params, share = run(params)
        shares.append(float(share))
    assert shares[0] < 0.7 and np.mean(shares[40:]) > 0.8


def test_bounds_hold_in_floating_point(task):
    graph, params, _, images, labels = task
    run = jax.jit(lambda p: float_epoch(graph, p, images, labels, jnp.arange(SAMPLES), learning_rate=30.0, bound=0.25))
    assert all(float(jnp.max(jnp.abs(leaf))) == 0.25 for leaf in jax.tree.leaves(run(params)[0]))


def test_a_batch_is_one_step_of_its_mean_gradient(task, card):
    graph, params, memory, images, labels = task
    whole = dataclasses.replace(memory, probability=jnp.asarray(1.0), period=SAMPLES)
    start = eqx.filter_jit(lambda m, p: start_chip(m, p))(whole, params)
    order = sample_order(memory.key, 0, SAMPLES, 8)
    assert order.shape == (2, 8)
    blocks = schedule(0, 2, 1000)
    run = jax.jit(lambda chip, order, blocks: chip_epoch(whole, graph, chip, images, labels, order, blocks))
    chip, right = run(start, order, blocks)
    assert int(chip.memory.samples) == 16 and 0 <= float(right) <= 1

    def loss(params, chosen):
        logits = nnx.merge(graph, params)(images[chosen])
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels[chosen]))

    words = [np.asarray(weight.words) for weight in start.memory.weights]
    for chosen in order:  # no transfer in between: at the weights of the start
        slopes = jax.tree.leaves(jax.grad(loss)(start.params, chosen))
        words = [np.clip(w - np.round(51.2 * np.asarray(g)), -511, 511) for w, g in zip(words, slopes, strict=True)]
    for expected, weight in zip(words, chip.memory.weights, strict=True):
        # a step that falls between two integers may be rounded either way
        assert np.mean(expected != np.asarray(weight.words)) < 0.02
        np.testing.assert_array_equal(weight.updates, 2)


def test_padding_does_not_change_draws(task):
    """The same samples cut at other places by the epochs give the same words."""
    graph, params, memory, images, labels = task
    start = eqx.filter_jit(lambda m, p: start_chip(m, p))(memory, params)
    run = jax.jit(lambda chip, order, blocks: chip_epoch(memory, graph, chip, images, labels, order, blocks))
    whole, _ = run(start, jnp.arange(SAMPLES), schedule(0, SAMPLES, memory.period))
    cut = start
    for low, high in ((0, 7), (7, 12), (12, SAMPLES)):
        cut, _ = run(cut, jnp.arange(low, high), schedule(low, high - low, memory.period))
    for one, other in zip(whole.memory.weights, cut.memory.weights, strict=True):
        np.testing.assert_array_equal(one.updates, other.updates)
        np.testing.assert_array_equal(one.words, other.words)
