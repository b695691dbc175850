"""The article's multilayer perceptron: what it computes, and the factors of its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hfsim import InputError
from models import MLP

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
        y = normalise(y @ np.asarray(layer.kernel.get_value(), np.float64))
        if index < 2:
            y = np.maximum(y, 0)
    np.testing.assert_allclose(network(x)[0], y, rtol=0, atol=1e-4)


def test_logits_are_normalised(network, x):
    logits = np.asarray(network(x)[0])
    np.testing.assert_allclose(logits.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(logits.std(axis=-1), 1, atol=1e-3)


def test_it_returns_the_input_of_each_layer(network, x):
    _, inputs = network(x)
    assert [values.shape for values in inputs] == [(7, 8), (7, 6), (7, 5)]
    np.testing.assert_array_equal(inputs[0], x)
    assert all(np.all(np.asarray(values) >= 0) for values in inputs[1:])


def test_its_only_parameters_are_the_kernels(network):
    # gain and bias of the norms are fixed, and there are no biases: every parameter is on the chip
    shapes = [leaf.shape for leaf in jax.tree.leaves(nnx.split(network)[1])]
    assert shapes == [(8, 6), (6, 5), (5, 3)]


def test_kernels_keep_their_order_beyond_ten_layers():
    # memory and factors are matched by the order of leaves; names sorted as text would put 10 before 2
    sizes = (8, *range(20, 31), 3)
    network = nnx.eval_shape(lambda: MLP(sizes, rngs=nnx.Rngs(0)))
    shapes = [leaf.shape for leaf in jax.tree.leaves(nnx.split(network)[1])]
    assert shapes == list(zip(sizes[:-1], sizes[1:], strict=True))


def losses(graph, params, x, labels, taps=None):
    logits, inputs = nnx.merge(graph, params)(x, taps)
    return jnp.sum(optax.softmax_cross_entropy_with_integer_labels(logits, labels)), inputs


def test_taps_and_inputs_reproduce_the_dense_gradient_of_each_sample(network, x):
    graph, params = nnx.split(network)
    labels = jnp.arange(7) % 3
    taps = tuple(jnp.zeros((7, size)) for size in SIZES[1:])

    @jax.jit
    def both(params):
        deltas, inputs = jax.grad(lambda t: losses(graph, params, x, labels, t), has_aux=True)(taps)
        dense = jax.vmap(lambda one, label: jax.grad(lambda p: losses(graph, p, one, label)[0])(params))(x, labels)
        return deltas, inputs, dense

    deltas, inputs, dense = both(params)
    for values, delta, gradient in zip(inputs, deltas, jax.tree.leaves(dense), strict=True):
        np.testing.assert_allclose(values[:, :, None] * delta[:, None, :], gradient, rtol=0, atol=1e-5)


def test_zero_taps_change_nothing(network, x):
    taps = tuple(jnp.zeros((7, size)) for size in SIZES[1:])
    np.testing.assert_array_equal(network(x, taps)[0], network(x)[0])


def test_one_sample_is_a_row_of_a_batch(network, x):
    np.testing.assert_allclose(network(x[3])[0], network(x)[0][3], rtol=0, atol=1e-5)


def test_a_forward_pass_is_deterministic_and_changes_no_variable(network, x):
    before = jax.tree.map(np.asarray, nnx.split(network)[1])
    first, second = network(x)[0], network(x)[0]
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
        network(x, (jnp.zeros((7, 6)),))
