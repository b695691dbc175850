"""The article's multilayer perceptron: what it computes, and the factors of its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hfsim import InputError
from hfsim.draws import address
from models import MLP
from tests.layer_peripheries import coarse

SIZES = (8, 6, 5, 3)


@pytest.fixture
def network():
    return MLP(SIZES, initial_spread=0.5, rngs=nnx.Rngs(0))


@pytest.fixture
def x():
    return jax.random.normal(jax.random.key(1), (7, 8))


def normalise(y):
    """Layer norm of fixed gain 1 and bias 0."""
    return (y - y.mean(axis=-1, keepdims=True)) / np.sqrt(y.var(axis=-1, keepdims=True) + 1e-6)


def test_it_is_layers_norms_and_rectifiers(network, x):
    y = np.asarray(x, np.float64)
    for index, layer in enumerate(network.layers):
        y = normalise(y @ np.asarray(layer.array.weight.get_value(), np.float64))
        if index < 2:
            y = np.maximum(y, 0)
    np.testing.assert_allclose(network(x), y, rtol=0, atol=1e-4)


def test_logits_are_normalised(network, x):
    logits = np.asarray(network(x))
    np.testing.assert_allclose(logits.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(logits.std(axis=-1), 1, atol=1e-3)


def test_its_only_parameters_are_the_weights(network):
    # gain and bias of the norms are fixed, and there are no biases: every parameter is on the chip
    shapes = [leaf.shape for leaf in jax.tree.leaves(nnx.split(network)[1])]
    assert shapes == [(8, 6), (6, 5), (5, 3)]


def test_weights_keep_their_order_beyond_ten_layers():
    # memory and factors are matched by the order of leaves; names sorted as text would put 10 before 2
    sizes = (8, *range(20, 31), 3)
    network = nnx.eval_shape(lambda: MLP(sizes, rngs=nnx.Rngs(0)))
    shapes = [leaf.shape for leaf in jax.tree.leaves(nnx.split(network)[1])]
    assert shapes == list(zip(sizes[:-1], sizes[1:], strict=True))


def losses(graph, params, x, labels, taps=None):
    logits = nnx.merge(graph, params)(x, taps)
    return jnp.sum(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


def test_taps_reproduce_the_dense_gradient_of_each_sample(network, x):
    graph, params = nnx.split(network)
    labels = jnp.arange(7) % 3

    @jax.jit
    def both(params):
        factors = jax.grad(lambda t: losses(graph, params, x, labels, t))(network.zero_taps(x))
        dense = jax.vmap(lambda one, label: jax.grad(lambda p: losses(graph, p, one, label))(params))(x, labels)
        return factors, dense

    factors, dense = both(params)
    np.testing.assert_array_equal(factors[0].x, x)
    assert [f.x.shape for f in factors] == [(7, 8), (7, 6), (7, 5)]
    assert all(np.all(np.asarray(f.x) >= 0) for f in factors[1:])
    for (values, delta), gradient in zip(factors, jax.tree.leaves(dense), strict=True):
        np.testing.assert_allclose(values[:, :, None] * delta[:, None, :], gradient, rtol=0, atol=1e-5)


def test_taps_change_nothing(network, x):
    np.testing.assert_array_equal(network(x, network.zero_taps(x)), network(x))


def test_initial_weights_have_the_spread_asked_for(network):
    # to the bit what a run of the hybrid memory starts with: a spread times standard normal numbers, no scale
    first = network.layers[0].array
    normal = jax.random.normal(nnx.Rngs(0).params(), (8, 6), dtype=jnp.float32)
    np.testing.assert_array_equal(first.weight.get_value(), 0.5 * normal)
    assert first.scale is None
    words = np.asarray(MLP((200, 100), rngs=nnx.Rngs(0)).layers[0].array.weight.get_value()) * 512
    np.testing.assert_allclose(words.std(), 100, rtol=4 / np.sqrt(2 * words.size))


def test_other_perceptrons_have_other_parts(x):
    plain = MLP((8, 6, 3), initial_spread=None, activation=jax.nn.sigmoid, norm=None, use_bias=True, rngs=nnx.Rngs(0))
    first, second = plain.layers
    first.bias.set_value(jnp.arange(6.0))
    hidden = 1 / (1 + np.exp(-(np.asarray(x) @ np.asarray(first.array.matrix) + np.arange(6))))
    np.testing.assert_allclose(plain(x), hidden @ np.asarray(second.array.matrix), rtol=0, atol=1e-5)
    assert float(jnp.max(jnp.abs(first.array.weight.get_value()))) == pytest.approx(0.6)


def test_batch_norm_divides_by_the_batch_or_by_what_it_is_told(x):
    network = MLP(SIZES, norm="batch", initial_spread=0.5, rngs=nnx.Rngs(0))
    matrices = [np.asarray(layer.array.matrix, np.float64) for layer in network.layers]

    def expected(y, of):
        for index, W in enumerate(matrices):
            y, of = y @ W, of @ W
            mean, deviation = of.mean(axis=0), np.sqrt(of.var(axis=0) + 1e-6)
            y, of = (y - mean) / deviation, (of - mean) / deviation
            y, of = (np.maximum(v, 0) if index < 2 else v for v in (y, of))
        return y

    y = np.asarray(x, np.float64)
    np.testing.assert_allclose(network(x), expected(y, y), rtol=0, atol=1e-4)
    moments = network.population_moments(x)
    assert [m.mean.shape for m in moments] == [(6,), (5,), (3,)]
    np.testing.assert_allclose(network(x[:2], moments=moments), expected(y[:2], y), rtol=0, atol=1e-4)
    with pytest.raises(InputError, match="one for each of 3 layers"):
        network(x, moments=moments[:2])


def test_an_unknown_norm_is_refused():
    with pytest.raises(InputError, match="norm"):
        MLP(SIZES, norm="group", rngs=nnx.Rngs(0))  # pyright: ignore[reportArgumentType]


def test_layers_read_with_draws_of_their_own_and_a_split_batch_with_the_same(x):
    x = x[:6]
    key, square = jax.random.key(5), MLP((8, 8, 8), periphery=coarse(), norm=None, rngs=nnx.Rngs(0))
    read = jax.jit(lambda v, first: square(v, None, key, first=first))
    np.testing.assert_allclose(jnp.concatenate([read(x[:3], 0), read(x[3:], 3)]), read(x, 0), rtol=1e-4, atol=1e-5)
    assert np.any(np.abs(read(x, 1) - read(x, 0)) > 1e-3)
    taps = jax.jit(jax.grad(lambda t: jnp.sum(square(x, t, key))))(square.zero_taps(x))
    one, two = square.layers
    hidden = jax.jit(lambda: one(x, key=address(key, 0)))()
    np.testing.assert_allclose(taps[1].x, jax.nn.relu(hidden), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        jax.jit(lambda v: two(v, key=address(key, 1)))(taps[1].x), read(x, 0), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("spread", [-0.1, float("nan")])
def test_spreads_below_zero_are_refused(spread):
    with pytest.raises(InputError, match="`initial_spread`"):
        MLP(SIZES, initial_spread=spread, rngs=nnx.Rngs(0))


def test_one_sample_is_a_row_of_a_batch(network, x):
    np.testing.assert_allclose(network(x[3]), network(x)[3], rtol=0, atol=1e-5)


def test_a_forward_pass_is_deterministic_and_changes_no_variable(network, x):
    before = jax.tree.map(np.asarray, nnx.split(network)[1])
    first, second = network(x), network(x)
    np.testing.assert_array_equal(first, second)
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.asarray, nnx.split(network)[1]))


def test_the_published_network_has_its_synapses():
    network = nnx.eval_shape(lambda: MLP((784, 200, 100, 10), rngs=nnx.Rngs(0)))
    synapses = sum(leaf.size for leaf in jax.tree.leaves(nnx.split(network)[1]))
    assert synapses == 784 * 200 + 200 * 100 + 100 * 10


@pytest.mark.parametrize("sizes", [(), (8,), (8, 0, 3), (8, 2.5)])
def test_sizes_that_make_no_network_are_refused(sizes):
    with pytest.raises(InputError, match="sizes|in_features|out_features"):
        MLP(sizes, rngs=nnx.Rngs(0))


def test_taps_for_another_number_of_layers_are_refused(network, x):
    with pytest.raises(InputError, match="`taps` must hold one for each of 3 layers"):
        network(x, network.zero_taps(x)[:1])
