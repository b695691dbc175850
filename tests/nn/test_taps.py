"""Taps: the identity forwards, the factors of an outer product as their cotangent, through any transformation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim import InputError
from hfsim.learning import Factors
from hfsim.nn import tapped, zero_tap

W = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)


@pytest.fixture
def x():
    return jax.random.normal(jax.random.key(1), (5, 3))


def loss_of(x, tap, w=W):
    return jnp.sum(jnp.sin(tapped(x @ w, x, tap)))


def test_it_is_the_identity_whatever_the_tap_holds(x):
    tap = Factors(jnp.full((5, 3), 7.0), jnp.full((5, 2), 8.0))
    np.testing.assert_array_equal(tapped(x @ W, x, tap), x @ W)
    np.testing.assert_array_equal(tapped(x @ W, x, None), x @ W)


def test_its_cotangent_is_x_and_delta(x):
    factors = jax.jit(jax.grad(loss_of, argnums=1))(x, zero_tap((5,), (3,), (2,), x.dtype))
    np.testing.assert_array_equal(factors.x, x)
    np.testing.assert_allclose(factors.delta, np.cos(x @ W), rtol=1e-6)


def test_other_gradients_pass_as_if_there_were_no_tap(x):
    tapping = jax.grad(loss_of, argnums=(0, 2))(x, zero_tap((5,), (3,), (2,), x.dtype), W)
    without = jax.grad(loss_of, argnums=(0, 2))(x, None, W)
    jax.tree.map(np.testing.assert_array_equal, tapping, without)


def recurrent(x, taps, w, wrap):
    """h' = tanh((x + h) w), summed over all steps: a loss whose factors at a step depend on the steps after it."""

    def step(h, present):
        x, tap = present
        v = jnp.concatenate([x, h], axis=-1)
        h = tapped(jnp.tanh(v) @ w, v, tap)
        return h, jnp.sum(h**2)

    h0 = jnp.zeros((*x.shape[1:-1], w.shape[1]))
    return jnp.sum(jax.lax.scan(wrap(step), h0, (x, taps))[1])


@pytest.mark.parametrize("wrap", [lambda f: f, jax.checkpoint], ids=["scan", "remat"])
def test_taps_are_scanned_over(x, wrap):
    w = jnp.asarray(np.random.default_rng(2).normal(size=(5, 2)), jnp.float32)
    sequence = jnp.stack([x, 2 * x, -x, x + 1])
    taps = zero_tap((4, 5), (5,), (2,), x.dtype)
    loss = jax.jit(lambda w, taps: recurrent(sequence, taps, w, wrap))
    dense, factors = jax.grad(loss, argnums=(0, 1))(w, taps)
    # the product is of tanh(v), so the outer product takes that of the tap's x
    np.testing.assert_allclose(
        jnp.einsum("tsi,tso->io", jnp.tanh(factors.x), factors.delta), dense, rtol=1e-4, atol=1e-5
    )


def test_taps_are_mapped_with_their_samples(x):
    taps = zero_tap((5,), (3,), (2,), x.dtype)
    whole = jax.grad(loss_of, argnums=1)(x, taps)
    one_by_one = jax.vmap(jax.grad(loss_of, argnums=1))(x, taps)
    mapped_inside = jax.grad(lambda t: jnp.sum(jax.vmap(loss_of)(x, t)))(taps)
    for each in (one_by_one, mapped_inside):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), each, whole)


def test_a_tap_keeps_its_own_precision(x, x64):
    wide = x.astype(jnp.float64)
    factors = jax.grad(loss_of, argnums=1)(wide, zero_tap((5,), (3,), (2,), jnp.float32))
    assert factors.x.dtype == factors.delta.dtype == jnp.float32
    exact = jax.grad(loss_of, argnums=1)(wide, zero_tap((5,), (3,), (2,), jnp.float64))
    np.testing.assert_allclose(exact.delta, np.cos(np.asarray(x, np.float64) @ W.astype(np.float64)), rtol=1e-12)


@pytest.mark.parametrize("shapes", [((5, 2), (5, 2)), ((5, 3), (4, 2)), ((3,), (2,))])
def test_taps_of_other_shapes_are_refused(x, shapes):
    with pytest.raises(InputError, match="`tap` must hold x of shape"):
        loss_of(x, Factors(*map(jnp.zeros, shapes)))
