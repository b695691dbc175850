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
from hfsim import InputError, hybrid
from hfsim.estimators import AbstractEstimator, Exact, Soft, StraightThrough
from hfsim.hybrid import WORD_MAX
from hfsim.learning import Factors, HybridMemory, Nearest, Stochastic, Truncate
from tests.finite_differences import check_parameter_gradients

HOUR, DAY = 3600.0, 86400.0  # s
SHAPES = {"a": (7, 5), "b": (5, 3)}
STEP = 1 / 0.1 / 512  # the gradient that moves a word by one at a learning rate of 0.1


def make(kind="measured", **changes):
    card = hfsim.load_card("cea-leti-2025-hybrid")
    arguments = {
        "transfer": hybrid.transfer(card, kind),
        "memristor": hybrid.memristor(card),
        "learning_rate": 0.1,
        "probability": 0.4,
        "period": 20,
        "key": jax.random.key(0),
    }
    return HybridMemory(**(arguments | changes))


def normal(seed, shapes, spread=1.0):
    rng = np.random.default_rng(seed)
    return {name: jnp.asarray(spread * rng.normal(size=shape), float) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def params():
    return normal(0, SHAPES, 0.2)


@pytest.fixture(scope="module")
def factors():
    """Factors of twenty samples of both matrices."""
    rng = np.random.default_rng(1)
    return tuple(
        Factors(jnp.asarray(rng.normal(size=(20, a)), float), jnp.asarray(0.1 * rng.normal(size=(20, b)), float))
        for a, b in SHAPES.values()
    )


def outer_products(factors):
    """Dense gradients of each sample, leading axis samples."""
    return {name: f.x[:, :, None] * f.delta[:, None, :] for name, f in zip(SHAPES, factors, strict=True)}


@eqx.filter_jit
def start(memory, params):
    """(params, state); period, rounding and counting have no part in it, so that one memory may start another."""
    state = memory.init(params)
    return memory.programmed(params, state), state


@eqx.filter_jit
def learn(memory, params, state, gradients):
    """One update a sample: (params, state) at the end, and the params and transfers after each sample."""

    def sample(carry, gradient):
        params, state = carry
        change, state = memory.update(gradient, state, params)
        params = optax.apply_updates(params, change)
        return (params, state), (params, state.transfers)

    return jax.lax.scan(sample, (params, state), gradients)


@eqx.filter_jit
def learn_block(memory, params, state, factors):
    change, state = memory.update(None, state, params, factors=factors)
    return optax.apply_updates(params, change), state


absorb = eqx.filter_jit(lambda memory, state, factors, valid: memory.absorb(state, factors, valid))
conductances = eqx.filter_jit(lambda memory, weights: memory.conductances(weights))
read = eqx.filter_jit(lambda memory, params, state: memory.read(params, state))
aged = eqx.filter_jit(lambda memory, params, state, seconds, kelvin: memory.wait(params, state, seconds, kelvin))


def wait(memory, params, state, seconds, temperature=300.0):
    return aged(memory, params, state, jnp.float32(seconds), jnp.float32(temperature))


def words(state):
    return [np.asarray(memory.words) for memory in state.weights]


def counts(state):
    return [np.asarray(memory.updates) for memory in state.weights]


def assert_same(a, b):
    """Equal to the bit: words, counts and everything else of two trees."""
    leaves = [
        [jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in jax.tree.leaves(t)]
        for t in (a, b)
    ]
    jax.tree.map(np.testing.assert_array_equal, *leaves)


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


# Gradients


class Unrounded(AbstractEstimator):
    """What straight-through estimators differentiate: no decision at all."""

    def step(self, x):
        return x

    def round(self, x):
        return x

    def floor(self, x):
        return x


UNTOUCHED = tuple(
    # a mask is drawn, and which words it hits has no gradient in its probability; nothing relaxes here
    ["probability"]
    + [f"memristor.{n}" for n in ("V_C", "G_reset", "sigma_reset", "sigma_set", "nu", "sigma_u", "t_0", "E_relax")]
)


@pytest.fixture
def weight_space(x64):
    """A memory, words in the middle of their codes, and a loss of the weights after four samples and two
    transfers. The gradients of the samples are given, so that only the memory is differentiated."""
    rng = np.random.default_rng(0)
    shape = (4, 3)
    stored = (64 * rng.integers(0, 7, shape) + 32.0) * rng.choice([-1.0, 1.0], shape)
    gradients = jnp.asarray(rng.normal(size=(4, *shape))) * 3 * STEP
    factors = jnp.asarray(rng.normal(size=shape))

    def problem(loss, **changes):
        memory = make(period=2, key=jax.random.key(1), **changes)
        params = {"a": jnp.asarray(stored) / 512}
        state = memory.init(params)
        began = memory.programmed(params, state)

        def scalar(memory):
            (weights, _), _ = learn.__wrapped__(memory, began, state, {"a": gradients})
            return loss(weights["a"], factors)

        return memory, scalar

    return problem


def quadratic(weights, factors):
    return jnp.sum((weights - 0.3 * factors) ** 2)


def linear(weights, factors):
    return jnp.sum(weights * factors)


def test_with_soft_decisions_every_gradient_is_that_of_the_differences(weight_space):
    # soft estimators are smooth forwards, so differences of the very same function are the reference
    memory, scalar = weight_space(
        quadratic, rounding=Nearest(Soft(width=0.2)), estimator=Soft(width=0.2), learning_rate=0.1
    )
    check_parameter_gradients(memory, scalar, insensitive=UNTOUCHED)


def test_straight_through_gradients_are_those_of_the_unrounded_memory(weight_space):
    # Straight-through is exact forwards, a staircase that has no useful differences. What it promises is the
    # slope of the same memory without its decisions; a loss linear in the weights makes the two comparable,
    # since words in the middle of their codes stay on one straight stretch of the level curve either way.
    _, scalar = weight_space(linear, rounding=Nearest(StraightThrough()), estimator=StraightThrough())
    _, smooth = weight_space(linear, rounding=Nearest(Unrounded()), estimator=Unrounded())
    memory = make(period=2, key=jax.random.key(1))

    def of(function, estimator):
        def at(rate, scale):
            return function(
                dataclasses.replace(
                    memory,
                    learning_rate=rate,
                    step_scale=scale,
                    rounding=Nearest(estimator),
                    estimator=estimator,
                )
            )

        return jax.jit(at)

    rate, scale = memory.learning_rate, memory.step_scale
    gradients = jax.grad(of(scalar, StraightThrough()), argnums=(0, 1))(rate, scale)
    reference = of(smooth, Unrounded())
    differences = (
        (reference(1.001 * rate, scale) - reference(0.999 * rate, scale)) / (0.002 * rate),
        (reference(rate, 1.001 * scale) - reference(rate, 0.999 * scale)) / (0.002 * scale),
    )
    assert all(difference != 0 for difference in differences)
    np.testing.assert_allclose(gradients, differences, rtol=1e-6)


def test_level_gradients_need_no_estimator(weight_space):
    # the levels enter smoothly whatever the decisions: differences of the exact staircase are the reference
    memory, scalar = weight_space(quadratic, rounding=Nearest(StraightThrough()), estimator=StraightThrough())
    untouched = (*UNTOUCHED, "rounding.estimator.width", "estimator.width")

    def of_transfer(transfer):
        return scalar(eqx.tree_at(lambda m: m.transfer, memory, transfer))

    check_parameter_gradients(memory.transfer, of_transfer, insensitive=untouched)


def test_with_exact_decisions_the_rate_has_no_gradient(weight_space):
    memory, scalar = weight_space(linear)

    def slope(memory):
        return jax.grad(lambda v: scalar(eqx.tree_at(lambda m: m.learning_rate, memory, v)))(memory.learning_rate)

    assert slope(eqx.tree_at(lambda m: m.estimator, memory, Exact())) == 0
    assert slope(memory) != 0  # straight-through is the default, in rounding and in truncation


def test_a_block_longer_than_the_period_is_refused():
    memory = make(period=3)
    params = {"a": jnp.zeros((4, 2))}
    state = memory.init(params)
    factors = (Factors(jnp.ones((4, 4)), jnp.ones((4, 2))),)
    with pytest.raises(InputError, match="hold at most 3 samples"):
        memory.update(None, state, params, factors=factors)


@pytest.mark.parametrize("name", ["transfer", "memristor", "rounding", "estimator"])
def test_parts_of_another_kind_are_refused(name):
    with pytest.raises(InputError, match=name):
        make(**{name: "measured"})


# Refusals


@pytest.mark.parametrize("period", [0, -3, True, 2.5, "100", None])
def test_periods_that_are_no_counts_are_refused(period):
    with pytest.raises(InputError, match="`period` must be an integer >= 1"):
        make(period=period)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("probability", 1.2),
        ("probability", -0.1),
        ("learning_rate", -0.1),
        ("step_scale", 0.0),
        ("learning_rate", float("nan")),
    ],
)
def test_parameters_out_of_their_bounds_are_refused(name, value):
    with pytest.raises(InputError, match=name):
        make(**{name: value})


@pytest.mark.parametrize("raw", [lambda: jax.random.PRNGKey(0), lambda: 0, lambda: None])
def test_keys_that_are_not_typed_are_refused(raw):
    with pytest.raises(InputError, match="`key` must be a typed key"):
        make(key=raw())


@pytest.mark.parametrize(
    "bad",
    [{}, {"a": jnp.ones((2, 2), jnp.int32)}, {"a": 0.5}, {"a": jnp.float32(0.5)}, {"a": "kernel"}],
)
def test_params_that_are_no_arrays_of_floats_are_refused(bad):
    with pytest.raises(InputError, match="`params` must be a tree of arrays of floats"):
        make().init(bad)


def test_an_update_without_params_is_refused(params):
    memory = make()
    with pytest.raises(InputError, match="`params` must be given"):
        memory.update(params, memory.init(params))


def test_params_of_another_network_are_refused(params):
    memory = make()
    state = memory.init(params)
    for other in ({"a": params["a"]}, {"a": params["a"], "b": params["a"]}, {**params, "c": params["a"]}):
        with pytest.raises(InputError, match="`params` must have leaves of shapes"):
            memory.update(params, state, other)


def test_gradients_of_another_network_are_refused(params):
    # one that would broadcast is refused too
    memory = make()
    state = memory.init(params)
    for other in (
        None,
        {"a": params["a"]},
        {"a": params["a"], "b": jnp.ones((3,))},
        {**params, "c": params["a"]},
    ):
        with pytest.raises(InputError, match="`updates` must"):
            memory.update(other, state, params)


def test_factors_of_another_network_are_refused(params, factors):
    memory = make()
    state = memory.init(params)
    a, b = factors
    for other in (
        (),
        (a,),
        (b, a),
        (a, b, b),
        (a, Factors(b.x[:5], b.delta)),
        (a, Factors(b.x, b.delta[:, :1])),
    ):
        with pytest.raises(InputError, match="`factors` must hold"):
            memory.update(params, state, params, factors=other)
