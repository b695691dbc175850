"""The character network beside flax's LSTM, its factors through time, its carry, its draws."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from hfsim import InputError
from hfsim.draws import address, stream
from hfsim.nn import AnalogWeight, scan_cell
from models import CharLSTM
from tests.layer_peripheries import coarse

KEY = jax.random.key(7)
VOCABULARY, HIDDEN, TIME, BATCH = 6, 5, 4, 3


@pytest.fixture
def network():
    network = CharLSTM(VOCABULARY, HIDDEN, dropout=0.4, rngs=nnx.Rngs(0))
    for number, part in enumerate((*network.cells, network.head)):
        bias: Any = part.bias
        bias.set_value(0.5 * jax.random.normal(jax.random.key(number), bias.get_value().shape))
    return network


@pytest.fixture
def codes():
    return jax.random.randint(jax.random.key(1), (TIME, BATCH), 0, VOCABULARY)


@pytest.fixture
def targets():
    return jax.random.randint(jax.random.key(2), (TIME, BATCH), 0, VOCABULARY)


def noisy(**options):
    return CharLSTM(VOCABULARY, HIDDEN, periphery=coarse(), rngs=nnx.Rngs(0), **options)


def test_it_computes_what_flax_computes(network, codes):
    x: Any = jnp.moveaxis(jax.nn.one_hot(codes, VOCABULARY), 0, 1)
    for cell in network.cells:
        theirs: Any = nnx.OptimizedLSTMCell(cell.in_features, HIDDEN, rngs=nnx.Rngs(1))
        W = cell.array.matrix
        theirs.dense_i.kernel.set_value(W[: cell.in_features])
        theirs.dense_h.kernel.set_value(W[cell.in_features :])
        theirs.dense_h.bias.set_value(cell.bias.get_value())
        x = nnx.RNN(theirs)(x)
    expected = x @ network.head.array.matrix + network.head.bias.get_value()
    carry, logits = jax.jit(lambda v: network(v))(codes)
    np.testing.assert_allclose(logits, jnp.moveaxis(expected, 0, 1), rtol=0, atol=5e-6)
    np.testing.assert_allclose(carry[-1][1], x[:, -1], rtol=0, atol=2e-6)


def test_factors_are_the_dense_gradient_with_dropout_and_a_carry(network, codes, targets):
    graph, weights, rest = nnx.split(network, AnalogWeight, ...)
    carry = jax.tree.map(lambda leaf: jax.random.normal(KEY, leaf.shape), network.initial_carry(BATCH))

    @jax.jit
    def both(weights, taps):
        def loss(weights, taps):
            whole = nnx.merge(graph, weights, rest)
            logits = whole(codes, taps, carry=carry, dropout_key=KEY)[1]
            return jnp.sum(optax.softmax_cross_entropy_with_integer_labels(logits, targets))

        return jax.grad(loss, argnums=(0, 1))(weights, taps)

    dense, taps = both(weights, network.zero_taps(codes))
    # rules match factors and weights by their order
    pairs = zip((*taps.cells, taps.head), jax.tree.leaves(dense), strict=True)
    for factors, gradient in pairs:
        assert factors.x.shape[:2] == factors.delta.shape[:2] == (TIME, BATCH)
        outer = jnp.einsum("tbi,tbo->io", factors.x, factors.delta)
        np.testing.assert_allclose(outer, gradient, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(taps.cells[0].x[..., :VOCABULARY], jax.nn.one_hot(codes, VOCABULARY))


def test_a_text_in_chunks_is_a_text_in_one(network, codes):
    run = jax.jit(lambda v, carry, start: network(v, None, None, carry=carry, dropout_key=KEY, start=start))
    carry, whole = run(codes, None, 0)
    half, early = run(codes[:2], None, 0)
    end, late = run(codes[2:], half, 2)
    np.testing.assert_allclose(jnp.concatenate([early, late]), whole, rtol=1e-5, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), end, carry)
    assert np.any(np.abs(run(codes[2:], half, 0)[1] - late) > 1e-3)  # other masks
    assert np.any(np.abs(run(codes[2:], None, 2)[1] - late) > 1e-3)  # another carry


def test_draws_belong_to_their_step_and_sequence():
    network = noisy(layers=1, dropout=0.3)
    codes = jnp.zeros((4, 4), jnp.int32)  # nothing tells steps and sequences apart but their draws

    @jax.jit
    def run(codes, carry, first, start):
        return network(codes, None, KEY, carry=carry, dropout_key=KEY, first=first, start=start)

    none = network.initial_carry(4)
    whole = run(codes, none, 0, 0)[1]
    half, early = run(codes[:2], none, 0, 0)
    late = run(codes[2:], half, 0, 2)[1]
    np.testing.assert_allclose(jnp.concatenate([early, late]), whole, rtol=1e-4, atol=1e-4)
    two = network.initial_carry(2)
    parts = [run(codes[:, :2], two, first, 0)[1] for first in (0, 2)]
    np.testing.assert_allclose(jnp.concatenate(parts, axis=1), whole, rtol=1e-4, atol=1e-4)
    assert len(np.unique(np.asarray(whole).reshape(16, -1).round(3), axis=0)) == 16


def test_layers_and_head_read_apart():
    network = CharLSTM(HIDDEN, HIDDEN, periphery=coarse(), rngs=nnx.Rngs(0))
    codes = jnp.ones((2, 3), jnp.int32)

    @jax.jit
    def both():
        x = jax.nn.one_hot(codes, HIDDEN)
        for layer, (cell, before) in enumerate(zip(network.cells, network.initial_carry(3), strict=True)):
            x = scan_cell(cell, before, x, None, address(stream(KEY, "cells"), layer))[1]
        logits = [network.head(x[t], None, address(stream(KEY, "head"), t)) for t in range(2)]
        return jnp.stack(logits), network(codes, None, KEY)[1]

    np.testing.assert_allclose(*both(), rtol=1e-4, atol=1e-5)


def test_dropout_leaves_out_its_share_and_keeps_the_mean(network):
    x = jnp.zeros((50, 40, 30))
    mask = np.asarray(jax.jit(lambda: network._mask(KEY, x, 0, 0))())
    np.testing.assert_allclose(np.unique(mask), [0, 1 / 0.6], rtol=1e-6)
    assert np.mean(mask == 0) == pytest.approx(0.4, abs=5 * np.sqrt(0.24 / mask.size))
    # masks of steps and of sequences are independent: equal in 0.52 of the places
    for a, b in ((mask[0], mask[1]), (mask[:, 0], mask[:, 1])):
        assert np.mean(a == b) == pytest.approx(0.52, abs=5 * np.sqrt(0.25 / a.size))


def test_dropout_needs_a_key_and_a_share(network, codes):
    run = jax.jit(lambda key: network(codes, dropout_key=key)[1])
    assert np.any(np.abs(run(KEY) - run(jax.random.key(8))) > 1e-3)
    plain = CharLSTM(VOCABULARY, HIDDEN, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(plain(codes, dropout_key=KEY)[1], plain(codes)[1])


def test_only_arrays_hold_weights_and_biases_are_digital():
    network = nnx.eval_shape(lambda: CharLSTM(87, rngs=nnx.Rngs(0)))
    _, weights, digital, _ = nnx.split(network, AnalogWeight, nnx.Param, ...)
    assert [leaf.shape for leaf in jax.tree.leaves(weights)] == [(87 + 64, 256), (64 + 64, 256), (64, 87)]
    assert [leaf.shape for leaf in jax.tree.leaves(digital)] == [(256,), (256,), (87,)]


def test_what_does_not_fit_is_refused(network, codes):
    with pytest.raises(InputError, match="`layers`"):
        CharLSTM(VOCABULARY, HIDDEN, 0, rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match="`dropout`"):
        CharLSTM(VOCABULARY, HIDDEN, dropout=1.0, rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match="`codes`"):
        network(codes.astype(jnp.float32))
    with pytest.raises(InputError, match="`carry` must be of 2 LSTM layers"):
        network(codes, carry=network.initial_carry(BATCH)[:1])
    with pytest.raises(InputError, match="`taps` must be of 2 LSTM layers"):
        network(codes, network.zero_taps(codes)._replace(cells=()))
