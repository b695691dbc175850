"""The hybrid memory as an optimiser: updates, masks, transfers, time, and the ways to use it."""

import dataclasses
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import hfsim
from hfsim import hybrid
from hfsim.hybrid import WORD_MAX
from hfsim.learning import Nearest, Stochastic, Truncate
from tests.hybrid_memories import (
    DAY,
    HOUR,
    SHAPES,
    STEP,
    absorb,
    assert_same,
    conductances,
    counts,
    learn,
    learn_block,
    make,
    normal,
    outer_products,
    read,
    start,
    wait,
    words,
)

pytestmark = pytest.mark.optimised

# Storing


def test_starting_stores_the_weights_as_words_and_transfers_once(params):
    memory = make("linear")
    read_out, state = start(memory, params)
    for name, stored in zip(params, words(state), strict=True):
        expected = np.clip(np.round(512 * np.asarray(params[name])), -WORD_MAX, WORD_MAX)
        np.testing.assert_array_equal(stored, expected)
        np.testing.assert_allclose(read_out[name], hybrid.truncate(jnp.asarray(expected)) / 8, atol=1e-6)
    assert int(state.transfers) == 1 and int(state.samples) == 0


def test_weights_beyond_the_range_are_clipped():
    _, state = start(make(), {"a": jnp.asarray([[5.0, -5.0]])})
    np.testing.assert_array_equal(words(state)[0], [[WORD_MAX, -WORD_MAX]])


def test_what_was_just_transferred_reads_as_programmed(params):
    memory = make()
    read_out, state = start(memory, params)
    assert_same(read(memory, params, state), read_out)


# Dense, factored, chunked


@pytest.mark.parametrize("rounding", [Nearest(), Stochastic()], ids=lambda r: type(r).__name__)
def test_dense_and_factored_updates_are_the_same_to_the_bit(rounding, params, factors):
    memory = make(rounding=rounding)
    began = start(make(), params)
    (dense_params, dense), _ = learn(memory, *began, outer_products(factors))
    block_params, block = learn_block(memory, *began, factors)
    assert_same(words(dense), words(block))
    assert_same(counts(dense), counts(block))
    assert int(dense.samples) == int(block.samples) == 20
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6), dense_params, block_params)


def test_chunks_of_a_block_give_the_same_words_to_the_bit(params, factors):
    memory = make()
    began = start(memory, params)
    ends = []
    for size in (1, 5, 10, 20):
        chip = began
        for first in range(0, 20, size):
            chunk = jax.tree.map(lambda f, first=first, size=size: f[first : first + size], factors)
            chip = learn_block(memory, *chip, chunk)
        ends.append(chip)
    for params_, state in ends[:-1]:
        assert_same(words(state), words(ends[-1][1]))
        assert_same(counts(state), counts(ends[-1][1]))
        assert int(state.transfers) == 2
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6), params_, ends[-1][0])


# Transfers


@pytest.mark.parametrize("period", [1, 7])
def test_transfers_come_at_multiples_of_the_period_and_nowhere_else(period, params, factors):
    memory = make(period=period, probability=1.0)
    began = start(make(), params)
    _, (history, transfers) = learn(memory, *began, outer_products(factors))
    np.testing.assert_array_equal(transfers, 1 + np.arange(1, 21) // period)
    before = jax.tree.map(lambda first, later: np.concatenate([first[None], later]), began[0], history)
    for values in before.values():
        changed = np.any(values[1:] != values[:-1], axis=(1, 2))
        np.testing.assert_array_equal(changed, np.arange(1, 21) % period == 0)


def test_a_block_transfers_when_it_reaches_a_multiple_of_the_period(params, factors):
    memory = make()
    chip = start(memory, params)
    seen = []
    for first in (*range(0, 20, 5), *range(0, 20, 5)):
        chip = learn_block(memory, *chip, jax.tree.map(lambda f, first=first: f[first : first + 5], factors))
        seen.append(int(chip[1].transfers))
    assert seen == [1, 1, 1, 2, 2, 2, 2, 3]


def test_after_a_transfer_the_weights_are_the_read_out(params, factors):
    memory = make()
    chip = learn_block(memory, *start(memory, params), factors)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6), chip[0], read(memory, *chip))


# Masks, counts and the range of words


MASKED = (80, 100)  # two such arrays see ten samples


def masked(probability):
    """(params, state) before and after ten samples in which each hit lowers a word by one; none saturates."""
    memory = make(probability=probability, period=1000)
    began = start(memory, {name: jnp.zeros(MASKED) for name in "ab"})
    gradient = {name: jnp.full((10, *MASKED), STEP) for name in "ab"}
    first, _ = learn(memory, *began, gradient)
    second, _ = learn(memory, *first, gradient)
    return first[1], second[1]


@pytest.mark.parametrize("probability", [0.0, 0.2, 0.75, 1.0])
def test_masks_have_their_probability_and_counts_are_their_hits(probability):
    first, _ = masked(probability)
    for stored, hits in zip(words(first), counts(first), strict=True):
        np.testing.assert_array_equal(stored, -hits)
        draws = 10 * hits.size
        assert abs(hits.sum() - probability * draws) <= 4 * np.sqrt(probability * (1 - probability) * draws)


def test_layers_and_samples_have_masks_of_their_own():
    first, second = masked(0.5)
    hits = [*counts(first), *(b - a for a, b in zip(counts(first), counts(second), strict=True))]
    # in ten independent samples a word is hit 5 times, with a variance of 2.5 that shared masks would raise;
    # the variance of a sample variance of n such sums is 2 v^2/n, nearly
    n = hits[0].size
    for ten in hits:
        assert abs(ten.var() / 2.5 - 1) < 4 * np.sqrt(2 / n)
    correlation = np.corrcoef([ten.ravel() for ten in hits])
    assert np.all(np.abs(correlation[np.triu_indices(4, 1)]) < 4 / np.sqrt(n))


def test_words_whose_step_rounds_to_zero_are_rewritten_and_counted_only_if_asked(params):
    gradient = {"a": jnp.full((20, 7, 5), 3 * STEP).at[:, :, :2].set(0.3 * STEP), "b": jnp.zeros((20, 5, 3))}
    always, changes = make(), make(rewrite_unchanged=False)
    (_, a), _ = learn(always, *start(always, params), gradient)
    (_, b), _ = learn(changes, *start(always, params), gradient)
    assert_same(words(a), words(b))
    np.testing.assert_array_equal(counts(a)[0][:, 2:], counts(b)[0][:, 2:])
    assert counts(a)[0][:, :2].min() > 0 and counts(a)[1].min() > 0
    assert not np.any(counts(b)[0][:, :2]) and not np.any(counts(b)[1])


@pytest.mark.parametrize("rounding", [Nearest(), Stochastic(), Truncate()], ids=lambda r: type(r).__name__)
def test_words_stay_integers_and_saturate(rounding, params):
    memory = make(rounding=rounding)
    gradient = normal(2, {name: (20, *shape) for name, shape in SHAPES.items()}, 20.0)
    gradient["a"] = jnp.abs(gradient["a"]) * jnp.asarray([1.0, -1.0, 1.0, -1.0, 0.01])  # columns with a drift
    (_, state), _ = learn(memory, *start(make(), params), gradient)
    for stored in words(state):
        np.testing.assert_array_equal(stored, np.round(stored))
    np.testing.assert_array_equal(words(state)[0][:, [0, 2]], -WORD_MAX)
    np.testing.assert_array_equal(words(state)[0][:, [1, 3]], WORD_MAX)
    assert np.abs(words(state)[0]).max() == WORD_MAX


def test_a_step_is_the_rounded_product_of_rate_scale_and_gradient():
    memory = make(probability=1.0, step_scale=256.0, learning_rate=0.5, period=1000)
    gradient = jnp.asarray([[0.01, -0.02, 0.0039, 0.0040]])
    (_, state), _ = learn(memory, *start(memory, {"a": jnp.zeros((1, 4))}), {"a": gradient[None]})
    np.testing.assert_array_equal(words(state)[0], [[-1, 3, 0, -1]])  # 1.28, -2.56, 0.4992, 0.512


def test_a_word_of_minus_zero_keeps_its_sign_when_it_is_rewritten():
    memory = make(probability=1.0, step_scale=256.0, learning_rate=0.5, period=1000)
    gradient = jnp.asarray([[0.001, -0.001, 0.0, -0.0]])  # steps of +0 and -0
    params, state = start(memory, {"a": jnp.zeros((1, 4))})
    state = state._replace(weights=(state.weights[0]._replace(words=jnp.full((1, 4), -0.0)),))
    (_, state), _ = learn(memory, params, state, {"a": gradient[None]})
    np.testing.assert_array_equal(np.signbit(words(state)[0]), True)
    np.testing.assert_array_equal(state.weights[0].updates, 1)


# Padding


def test_padding_leaves_no_trace_wherever_it_is(params, factors):
    memory = make(rounding=Stochastic())  # two draws a word and sample, which padding must not shift
    _, state = start(make(), params)
    six = jax.tree.map(lambda f: f[:6], factors)
    expected = absorb(memory, state, six, jnp.ones(6, bool))
    for places in ([0, 1, 2, 3, 4, 5], [4, 5, 6, 7, 8, 9], [0, 2, 3, 6, 7, 9]):
        valid = jnp.zeros(10, bool).at[jnp.asarray(places)].set(True)
        padded = jax.tree.map(lambda f, p=places: jnp.full((10, *f.shape[1:]), 7.0).at[jnp.asarray(p)].set(f), six)
        assert_same(absorb(memory, state, padded, valid), expected)


def test_padding_alone_changes_nothing(params, factors):
    memory = make()
    _, state = start(memory, params)
    assert_same(absorb(memory, state, factors, jnp.zeros(20, bool)), state)


# Time


def test_waiting_ages_both_memristors_and_leaves_the_words(params):
    memory = make()
    began, state = start(memory, params)
    weights, after = wait(memory, began, state, DAY)
    assert_same(words(after), words(state))
    assert_same(read(memory, began, after), weights)
    u = np.log1p(DAY / float(memory.memristor.t_0))
    pairs = [conductances(memory, m) for m in after.weights]
    moved = []
    for side, fresh in (("plus", [m.plus for m in state.weights]), ("minus", [m.minus for m in state.weights])):
        before = np.concatenate([m.programmed.ravel() for m in fresh])
        now = np.concatenate([getattr(pair, side).ravel() for pair in pairs])
        diffused = now - before + float(memory.memristor.nu) * u * np.maximum(before, 0)
        np.testing.assert_allclose(
            diffused.std(), float(memory.memristor.sigma_u) * np.sqrt(u), rtol=4 / np.sqrt(2 * now.size)
        )
        moved.append(diffused)
    assert abs(np.corrcoef(moved)[0, 1]) < 4 / np.sqrt(now.size)  # each memristor has a path of its own


def test_waits_compose_in_value(params):
    memory = make()
    began = start(memory, params)
    once = wait(memory, *began, DAY)
    twice = wait(memory, *wait(memory, *began, HOUR), 23 * HOUR)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-5), once[0], twice[0])
    assert np.abs(once[0]["a"] - wait(memory, *began, HOUR)[0]["a"]).max() > 1e-3  # or the above says nothing


def test_no_time_changes_nothing(params):
    memory = make()
    began = start(memory, params)
    assert_same(wait(memory, *began, 0.0), began)


def test_heat_ages_faster(params):
    memory = make()
    began = start(memory, params)
    hot, long = (
        wait(memory, *began, HOUR, 360.0),
        wait(memory, *began, HOUR * np.exp(1.0 / 8.617333e-5 / 1800), 300.0),
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-4), hot[0], long[0])


def test_a_transfer_refreshes_aged_memristors(params, factors):
    memory = make()
    began = start(memory, params)
    fresh = learn_block(memory, *began, factors)
    late = learn_block(memory, *wait(memory, *began, DAY), factors)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6), fresh[0], late[0])


# Keys and chips


def test_the_same_key_gives_the_same_run_and_another_key_another(params, factors):
    gradients = outer_products(factors)

    def run(seed):
        memory = make(key=jax.random.key(seed), rounding=Stochastic())
        return learn(memory, *start(memory, params), gradients)[0]

    assert_same(run(3), run(3))
    one, other = run(3), run(4)
    assert np.mean(words(one[1])[0] != words(other[1])[0]) > 0.5
    assert not np.any(one[0]["a"] == other[0]["a"])


def test_chips_side_by_side_are_chips_one_at_a_time(params, factors):
    memory, gradients = make(), outer_products(factors)

    @eqx.filter_jit
    def chip(memory, key):
        own = eqx.tree_at(lambda m: m.key, memory, key)
        return learn(own, *start(own, params), gradients)[0]

    keys = jax.random.split(jax.random.key(5), 3)
    together = eqx.filter_vmap(chip, in_axes=(None, 0))(memory, keys)
    for index, key in enumerate(keys):
        alone = chip(memory, key)
        one = jax.tree.map(lambda x, index=index: x[index], together)
        assert_same(words(one[1]), words(alone[1]))
        assert_same(counts(one[1]), counts(alone[1]))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-5), one[0], alone[0])


def test_a_circuits_devices_are_fabricated_once_and_stay(params, factors):
    line = hybrid.transfer_line(hfsim.load_card("cea-leti-2025-hybrid"))
    kinetics = dataclasses.replace(line.capacitor.kinetics, nodes=16)  # few nodes and steps: quick
    capacitor = dataclasses.replace(line.capacitor, kinetics=kinetics)
    line = dataclasses.replace(line, line=dataclasses.replace(line.line, steps=4), capacitor=capacitor)
    memory = make(transfer=hybrid.CircuitTransfer.from_line(line))
    began, first = start(memory, {"a": params["a"]})
    (weights, last), _ = learn(memory, began, first, {"a": outer_products(factors)["a"]})
    assert int(last.transfers) == 2 and not np.any(weights["a"] == began["a"])
    assert_same(last.weights[0].devices, first.weights[0].devices)
    tables = np.asarray(first.weights[0].devices.table)
    assert np.unique(tables[4]).size == tables[4].size  # no two devices alike


# Any network by a change of optimiser


def test_in_a_chain_of_optax(params, factors):
    memory, halved = make(), make(learning_rate=0.05)
    tx = optax.chain(optax.scale(0.5), memory.transformation())
    params_, _ = start(memory, params)
    state = tx.init(params)
    step = jax.jit(tx.update)
    gradients = outer_products(factors)
    for sample in range(20):
        _, state = step(jax.tree.map(lambda g, sample=sample: g[sample], gradients), state, params_)
    (_, expected), _ = learn(halved, *start(halved, params), gradients)
    assert_same(words(state[1]), words(expected))


def test_factors_pass_through_a_chain(params, factors):
    memory = make()
    tx = optax.chain(optax.identity(), memory.transformation())
    params_, began = start(memory, params)
    change, state = jax.jit(tx.update)(params_, tx.init(params), params_, factors=factors)
    expected_params, expected = learn_block(memory, params_, began, factors)
    assert_same(words(state[1]), words(expected))
    moved = optax.apply_updates(params_, change)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6), moved, expected_params)


def test_beside_another_optimiser(params):
    memory = make("linear", period=1, probability=1.0)
    tree = {"kernel": params["a"], "bias": jnp.zeros(5)}
    labels = {"kernel": "chip", "bias": "float"}
    tx = optax.partition({"chip": memory.transformation(), "float": optax.sgd(0.5)}, labels)
    change, _ = jax.jit(tx.update)({"kernel": jnp.zeros((7, 5)), "bias": jnp.ones(5)}, tx.init(tree), tree)
    after = optax.apply_updates(tree, change)
    np.testing.assert_array_equal(after["bias"], -0.5)
    np.testing.assert_allclose(after["kernel"], hybrid.truncate(jnp.round(512 * params["a"])) / 8, atol=1e-6)


class LinearNetwork(nnx.Module):
    """Two of flax's own linear layers; knows nothing of any chip."""

    def __init__(self, rngs):
        self.first = nnx.Linear(4, 8, use_bias=False, rngs=rngs)
        self.second = nnx.Linear(8, 2, use_bias=False, rngs=rngs)

    def __call__(self, x):
        return self.second(jax.nn.relu(self.first(x)))


def test_a_flax_network_learns_on_chip_by_a_change_of_optimiser():
    network = LinearNetwork(nnx.Rngs(0))
    memory = make("linear", period=5, probability=1.0)
    optimizer = nnx.Optimizer(network, memory.transformation(), wrt=nnx.Param)
    x = jax.random.normal(jax.random.key(1), (32, 4))
    y = x[:, :2] * 0.5

    @nnx.jit
    def step(network, optimizer):
        loss, gradients = nnx.value_and_grad(lambda n: jnp.mean((n(x) - y) ** 2))(network)
        optimizer.update(network, gradients)
        return loss

    losses, kernels = [], []
    for _ in range(100):
        losses.append(float(step(network, optimizer)))
        kernels.append(np.asarray(network.first.kernel.get_value()))
    assert losses[-1] < losses[0] / 20
    changed = np.any(np.diff(kernels, axis=0) != 0, axis=(1, 2))
    assert set(np.flatnonzero(changed) + 2) <= set(range(5, 101, 5))
    # the weights lie on the fifteen levels of the memory
    np.testing.assert_allclose(8 * kernels[-1], np.round(8 * kernels[-1]), atol=1e-4)


def test_it_needs_no_compilation_around_it(params, factors):
    memory = make(period=1)
    tx = memory.transformation()
    arguments = jax.tree.map(lambda g: g[0], outer_products(factors)), tx.init(params), params
    eager, compiled = tx.update(*arguments), jax.jit(tx.update)(*arguments)
    assert_same(words(eager[1]), words(compiled[1]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6), eager[0], compiled[0])


def test_importing_it_starts_no_backend():
    # jax.distributed must be set up before the first array, so an import must make none
    check = "import hfsim.learning, jax._src.xla_bridge as b; assert not b.backends_are_initialized()"
    subprocess.run([sys.executable, "-c", check], check=True, timeout=120)
