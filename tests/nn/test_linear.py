"""The analogue linear layer: its product, its tap, and the weights it takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import hfsim
from hfsim import InputError, hybrid
from hfsim.nn import AnalogLinear


@pytest.fixture
def layer():
    return AnalogLinear(6, 4, rngs=nnx.Rngs(0))


@pytest.fixture
def x():
    return jax.random.normal(jax.random.key(1), (5, 6))


def test_it_multiplies_by_its_kernel(layer, x):
    expected = np.asarray(x, np.float64) @ np.asarray(layer.kernel.get_value(), np.float64)
    np.testing.assert_allclose(layer(x), expected, rtol=0, atol=1e-6)


def test_any_leading_axes_are_a_batch(layer, x):
    np.testing.assert_allclose(layer(x[0]), layer(x)[0], atol=1e-6)
    np.testing.assert_allclose(layer(x.reshape(5, 1, 6))[:, 0], layer(x), atol=1e-6)


def test_a_tap_is_added_to_the_output(layer, x):
    tap = jnp.arange(20.0).reshape(5, 4)
    np.testing.assert_array_equal(layer(x, tap), layer(x) + tap)


def test_the_taps_cotangent_with_the_input_is_the_dense_gradient(layer, x):
    graph, params = nnx.split(layer)

    def loss(params, tap):
        return jnp.sum(jnp.sin(nnx.merge(graph, params)(x, tap)) ** 2)

    dense, delta = jax.grad(loss, argnums=(0, 1))(params, jnp.zeros((5, 4)))
    np.testing.assert_allclose(jnp.einsum("si,so->io", x, delta), dense["kernel"].get_value(), atol=1e-5)


def test_the_taps_cotangent_is_the_gradient_at_the_output(layer, x):
    y = layer(x)
    delta = jax.grad(lambda tap: jnp.sum(layer(x, tap) ** 3))(jnp.zeros_like(y))
    np.testing.assert_allclose(delta, 3 * y**2, rtol=1e-5)


def test_initial_weights_have_the_spread_asked_for():
    layer = AnalogLinear(200, 100, initial_spread=0.3, rngs=nnx.Rngs(0))
    kernel = np.asarray(layer.kernel.get_value())
    assert kernel.shape == (200, 100)
    np.testing.assert_allclose(kernel.std(), 0.3, rtol=4 / np.sqrt(2 * kernel.size))
    words = np.asarray(AnalogLinear(200, 100, rngs=nnx.Rngs(0)).kernel.get_value()) * 512
    np.testing.assert_allclose(words.std(), 100, rtol=4 / np.sqrt(2 * kernel.size))


def test_the_same_streams_give_the_same_weights():
    first, same, other = (AnalogLinear(3, 2, rngs=nnx.Rngs(seed)).kernel.get_value() for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert not np.any(first == other)


def test_it_takes_the_weights_of_conductance_pairs(layer, x):
    transfer = hybrid.transfer(hfsim.load_card("cea-leti-2025-hybrid"), "measured")
    words = jnp.round(100 * jax.random.normal(jax.random.key(2), (6, 4)))
    pair = transfer.program(words, None, jax.random.key(3))
    layer.load(pair, transfer)
    expected = 7 / 8 / (103.9 - 1.4) * (np.asarray(pair.plus) - np.asarray(pair.minus))
    np.testing.assert_allclose(layer.kernel.get_value(), expected, rtol=1e-5)
    np.testing.assert_allclose(layer(x), np.asarray(x) @ expected, atol=1e-5)


def test_pairs_of_another_shape_are_refused(layer):
    transfer = hybrid.transfer(hfsim.load_card("cea-leti-2025-hybrid"), "linear")
    pair = hybrid.ConductancePair(jnp.ones((4, 6)), jnp.ones((4, 6)))
    with pytest.raises(InputError, match=r"`pair` must have shape \(6, 4\)"):
        layer.load(pair, transfer)


def test_inputs_of_another_size_are_refused(layer):
    with pytest.raises(InputError, match="`x` must have 6 features"):
        layer(jnp.ones((5, 4)))


@pytest.mark.parametrize(("inputs", "outputs"), [(0, 3), (3, -1), (2.0, 3), (3, "4"), (True, 3)])
def test_sizes_that_are_no_counts_are_refused(inputs, outputs):
    with pytest.raises(InputError, match="`(in|out)_features` must be an integer >= 1"):
        AnalogLinear(inputs, outputs, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("spread", [-0.1, float("nan")])
def test_spreads_below_zero_are_refused(spread):
    with pytest.raises(InputError, match="`initial_spread`"):
        AnalogLinear(3, 3, initial_spread=spread, rngs=nnx.Rngs(0))


def test_a_forward_pass_changes_no_variable_and_draws_nothing(layer, x):
    before = jax.tree.map(np.asarray, nnx.split(layer)[1])
    first, second = layer(x), layer(x)
    np.testing.assert_array_equal(first, second)
    after = jax.tree.map(np.asarray, nnx.split(layer)[1])
    assert jax.tree.structure(before) == jax.tree.structure(after)
    jax.tree.map(np.testing.assert_array_equal, before, after)


def test_products_are_full_precision_by_default(layer, x):
    # asked of the compiler, since a CPU would be precise anyway
    graph, params = nnx.split(layer)
    text = str(jax.make_jaxpr(lambda p: nnx.merge(graph, p)(x))(params))
    assert "HIGHEST" in text


def test_only_the_kernel_is_a_parameter(layer):
    leaves = jax.tree.leaves(nnx.state(layer, nnx.Param))
    assert [leaf.shape for leaf in leaves] == [(6, 4)]
