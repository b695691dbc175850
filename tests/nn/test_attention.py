"""Attention with analogue projections beside flax's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hfsim import InputError
from hfsim.draws import stream
from hfsim.nn import AnalogAttention, AnalogWeight
from tests.layer_peripheries import coarse

KEY = jax.random.key(5)
NAMES = ("query", "key", "value", "out")


def pair():
    theirs = nnx.MultiHeadAttention(
        2, 6, qkv_features=8, out_features=7, in_kv_features=5, decode=False, rngs=nnx.Rngs(0)
    )
    ours = AnalogAttention(2, 6, qkv_features=8, out_features=7, in_kv_features=5, rngs=nnx.Rngs(1))
    for index, name in enumerate(NAMES):
        layer, other = getattr(ours, name), getattr(theirs, name)
        inputs = other.kernel.get_value().shape[0] if name != "out" else 8
        layer.array.hold(other.kernel.get_value().reshape(inputs, -1))
        bias = jax.random.normal(jax.random.key(index), other.bias.get_value().shape)
        other.bias.set_value(bias)
        layer.bias.set_value(bias.ravel())
    return ours, theirs


@pytest.fixture
def x():
    return jax.random.normal(jax.random.key(1), (3, 4, 6))


@pytest.fixture
def memory():
    return jax.random.normal(jax.random.key(2), (3, 5, 5))


@pytest.mark.parametrize(("masked", "causal"), [(False, False), (True, False), (True, True)])
def test_it_computes_what_flax_computes(x, memory, masked, causal):
    ours, theirs = pair()
    mask = jax.random.bernoulli(KEY, 0.7, (3, 1, 4, 5)).at[..., 0].set(True) if masked else None

    @jax.jit
    def both(x, k, v):
        own = ours(x, inputs_k=k, inputs_v=v, mask=mask, is_causal=causal)
        return own, theirs(x, k, v, mask=mask, is_causal=causal)

    y, expected = both(x, memory, 2 * memory)
    np.testing.assert_allclose(y, expected, rtol=0, atol=5e-6)


def test_keys_are_made_from_the_inputs_unless_others_are_given(x):
    ours = AnalogAttention(3, 6, use_bias=False, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(ours(x), ours(x, inputs_k=x, inputs_v=x))
    assert not np.allclose(ours(x), ours(x, inputs_k=-x))
    assert ours.query.bias is None


def test_causal_queries_do_not_see_what_comes_later(x):
    ours = AnalogAttention(2, 6, rngs=nnx.Rngs(0))
    slope = jax.jit(jax.jacobian(lambda v: ours(v, is_causal=True)))(x[0])
    seen = np.any(np.asarray(slope) != 0, axis=(1, 3))
    np.testing.assert_array_equal(seen, np.tril(np.ones((4, 4), bool)))


def test_a_query_that_looks_nowhere_is_finite_with_its_gradient(x):
    ours = AnalogAttention(2, 6, rngs=nnx.Rngs(0))
    mask = jnp.ones((1, 1, 4, 4), bool).at[..., 2, :].set(False)
    y, slope = jax.jit(jax.value_and_grad(lambda v: jnp.sum(ours(v, mask=mask) ** 2)))(x)
    assert np.isfinite(y) and np.all(np.isfinite(slope))
    np.testing.assert_allclose(ours(x, mask=mask)[:, 2], ours.out(jnp.mean(ours.value(x), axis=1)), atol=1e-6)


def test_factors_are_the_dense_gradients(x, memory):
    ours, _ = pair()
    graph, weights, rest = nnx.split(ours, AnalogWeight, ...)

    @jax.jit
    def both(weights, taps):
        def loss(weights, taps):
            return jnp.sum(jnp.sin(nnx.merge(graph, weights, rest)(x, taps, inputs_k=memory)))

        return jax.grad(loss, argnums=(0, 1))(weights, taps)

    dense, taps = both(weights, ours.zero_taps(x, memory))
    assert taps.key.x.shape == (3, 5, 5) and taps.query.x.shape == (3, 4, 6) and taps.out.delta.shape == (3, 4, 7)
    for name, factors in zip(NAMES, taps, strict=True):
        outer = jnp.einsum("bli,blo->io", factors.x, factors.delta)
        np.testing.assert_allclose(outer, dense[name]["array"]["weight"].get_value(), rtol=1e-4, atol=1e-5)


def test_projections_draw_apart_and_a_split_batch_the_same(x):
    ours = AnalogAttention(2, 6, periphery=coarse(), use_bias=False, rngs=nnx.Rngs(0))
    ours.key.array.hold(ours.query.array.matrix)
    read = jax.jit(lambda v, first: ours(v, None, KEY, first=first))
    x = x[:2]
    whole = read(x, 0)
    np.testing.assert_allclose(jnp.concatenate([read(x[:1], 0), read(x[1:], 1)]), whole, rtol=1e-4, atol=1e-5)
    assert np.any(np.abs(read(x[1:], 0) - whole[1:]) > 1e-3)

    @jax.jit
    def projected():
        return [getattr(ours, name)(x, key=stream(KEY, name)).reshape(2, 4, 2, 3) for name in NAMES[:3]]

    q, k, v = (np.asarray(y) for y in projected())
    assert np.any(np.abs(q - k) > 1e-2)  # driven alike, of the same weights
    scores = np.exp(np.einsum("bqhd,bkhd->bhqk", q, k) / np.sqrt(3))
    gathered = np.einsum("bhqk,bkhd->bqhd", scores / scores.sum(-1, keepdims=True), v).reshape(2, 4, 6)
    expected = jax.jit(lambda y: ours.out(y, key=stream(KEY, "out")))(gathered)
    # a code of the last converters may flip where the gathered values are rounded otherwise
    assert np.mean(np.abs(whole - expected) > 1e-4) < 0.1


def test_what_makes_no_attention_is_refused(x):
    with pytest.raises(InputError, match="`qkv_features` must be a multiple of 4 heads"):
        AnalogAttention(4, 6, rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match="`num_heads`"):
        AnalogAttention(0, 6, rngs=nnx.Rngs(0))
    ours = AnalogAttention(2, 6, rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match="`inputs_k` must be given"):
        ours(x, inputs_v=x)
    with pytest.raises(InputError, match="`inputs_v` must have shape"):
        ours(x, inputs_k=x, inputs_v=x[:, :2])
