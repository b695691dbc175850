"""The crossbar object: numpy's behaviour, one chip over time, transformations, what it prints, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.crossbar import Crossbar, Differential
from hfsim.errors import InputError

OUT, IN = 4, 6
W = np.random.default_rng(0).normal(size=(OUT, IN))
X, D = np.random.default_rng(1).normal(size=(IN, 3)), np.random.default_rng(2).normal(size=(5, OUT))
EXACT = dict(atol=0.6)  # 8 bits over 15 full-scale outputs: half a step is 0.06, times the scales of input and column


@pytest.fixture(scope="module")
def xbar():
    return Crossbar.program(W, key=jax.random.key(0), tile=(4, 3))


# ------------------------------------------------------------------------------------------ like an array


def test_it_multiplies_as_an_array_does(xbar):
    assert xbar.shape == W.shape and xbar.T.shape == W.T.shape and xbar.T.T is xbar
    for x in (X, X[:, 0], np.stack([X, -X])):
        for given in (x, jnp.asarray(x)):
            y = xbar @ given
            assert y.shape == (W @ x).shape
            np.testing.assert_allclose(y, W @ x, **EXACT)
            assert np.corrcoef(np.ravel(y), np.ravel(W @ x))[0, 1] > 0.99
    np.testing.assert_allclose(xbar @ [1, 0, 0, 0, 0, 0], W[:, 0], **EXACT)


def test_it_multiplies_from_the_other_side(xbar):
    for d in (D, D[0], np.stack([D, -D])):
        for given in (d, jnp.asarray(d)):
            y = given @ xbar
            assert y.shape == (d @ W).shape
            np.testing.assert_allclose(y, d @ W, **EXACT)
    np.testing.assert_allclose(xbar.T @ D.T, W.T @ D.T, **EXACT)
    np.testing.assert_array_equal(xbar.T @ D[0], D[0] @ xbar)
    np.testing.assert_array_equal(X.T @ xbar.T, (xbar @ X).T)


def test_its_weights_are_those_of_its_devices(xbar):
    assert xbar.weights.shape == W.shape
    # 0.2 % acceptance: a spread of 0.01 to 0.1 uS over half a window of 39.6 uS
    error = (np.asarray(xbar.weights) - W) / np.abs(W).max(axis=1, keepdims=True)
    assert 1e-4 < np.abs(error).max() < 5 * 0.1 / 39.6
    assert xbar.conductances.shape == (2, 2, 4, 3)
    assert 9.0 <= float(xbar.conductances.min()) and float(xbar.conductances.max()) <= 88.2 + 1e-4
    assert xbar.cells.sigma.shape == xbar.conductances.shape


def test_the_same_object_gives_the_same_numbers(xbar):
    later = xbar.after("1 h")  # where reads are noisy
    np.testing.assert_array_equal(later @ X, xbar.after("1 h") @ X)
    other = later.reading(jax.random.key(7))
    np.testing.assert_array_equal(other.weights, later.weights)
    x = np.random.default_rng(3).normal(size=(200, IN))
    assert np.any(np.asarray(other.product(x)) != np.asarray(later.product(x)))
    np.testing.assert_array_equal(other.product(x), later.product(x, jax.random.key(7)))


def test_chips_of_other_keys_are_others(xbar):
    other = Crossbar.program(W, key=jax.random.key(1), tile=(4, 3)).weights
    # but for a column's largest weight, which is clipped to the window half of the time
    assert np.mean(np.asarray(other) != np.asarray(xbar.weights)) > 0.8
    again = Crossbar.program(W, key=jax.random.key(0), tile=(4, 3))
    np.testing.assert_array_equal(again.weights, xbar.weights)


# ------------------------------------------------------------------------------------------------ time


def test_waits_compose(xbar):
    twice, once = xbar.after("1 h").after(3600.0), xbar.after("2 h")
    assert float(twice.age) == float(once.age) == 7200.0
    np.testing.assert_allclose(twice.conductances, once.conductances, rtol=1e-6)
    np.testing.assert_allclose(twice @ X, once @ X, atol=1e-5)
    assert float(xbar.age) == 0.0  # the object itself does not change


def test_ten_years_shift_the_mean_of_the_conductances(xbar):
    # -0.089 uS per e-fold of time, clipped below at 9 uS: 24 devices of 48 are the padding and the weights together
    before, after = xbar.conductances, xbar.after("10 years").conductances
    inside = np.asarray(before) > 13.0
    shift = np.asarray(after - before)[inside]
    assert abs(shift.mean() + 0.089002 * np.log(3.15576e8)) < 4 * 1.234 / np.sqrt(inside.sum())
    assert shift.std() == pytest.approx(1.234, rel=4 / np.sqrt(2 * inside.sum()))


def test_heat_ages(xbar):
    hot = xbar.after("1 h", 400.0).conductances - xbar.conductances
    assert np.abs(hot).mean() > np.abs(np.asarray(xbar.after("1 h").conductances - xbar.conductances)).mean()


# ------------------------------------------------------------------------------------- transformations


def test_it_goes_through_jit_vmap_and_grad(xbar):
    compiled = jax.jit(lambda c, x: c @ x)(xbar, X)
    np.testing.assert_allclose(compiled, xbar @ X, atol=1e-4)

    @jax.jit
    def chip(key):
        return Crossbar.program(W, key=key, tile=(4, 3)).after("1 day") @ X[:, 0]

    keys = jax.random.split(jax.random.key(4), 3)
    mapped = jax.jit(jax.vmap(chip))(keys)
    for one, key in zip(mapped, keys, strict=True):
        np.testing.assert_allclose(one, chip(key), atol=1e-4)

    # W reaches its product with slope x: clipping, spread in proportion to G and rounding move that by little
    slope = jax.jit(jax.grad(lambda W: jnp.sum(Crossbar.program(W, key=keys[0], tile=(4, 3)) @ X[:, 0])))(
        jnp.asarray(W)
    )
    np.testing.assert_allclose(slope, np.broadcast_to(X[:, 0], W.shape), atol=0.15)


def test_options_reach_the_kernel(xbar):
    pairs = Crossbar.program(W, key=jax.random.key(0), encoding=Differential(G_min=9.0, G_max=88.2), backward="ideal")
    assert pairs.conductances.shape == (1, 1, IN, 2 * OUT) and pairs.kernel.backward == "ideal"
    dx = jax.grad(lambda x: jnp.sum(pairs.product(x)))(jnp.asarray(X[:, 0]))
    np.testing.assert_allclose(dx, pairs.weights.sum(0), rtol=1e-4)
    whole = Crossbar.program(W, key=jax.random.key(0), per_column=False)
    np.testing.assert_allclose(whole.scale, np.abs(W).max(), rtol=1e-6)


@pytest.mark.parametrize("card", ["pcm-nandakumar-2019", "wan-2022-reram"])
def test_every_card_that_describes_an_array_makes_one(card):
    chip = Crossbar.program(W, card=card, key=jax.random.key(0)).after("1 s")
    y = np.ravel(chip @ X)
    assert isinstance(chip.kernel.encoding, Differential)
    assert np.corrcoef(y, np.ravel(W @ X))[0, 1] > 0.95 and f"on {card}" in repr(chip)


# ------------------------------------------------------------------------------------------ what it says


def test_it_prints_itself(xbar):
    lines = repr(xbar.after("10 years")).splitlines()
    assert lines[0] == "Crossbar of 4 x 6 weights on cmo-hfox-2025, 10 years old"
    assert lines[1] == "  2 x 2 tiles of 4 x 3 devices (SingleEnded), without wires"
    assert lines[2].startswith("  G 9.0 to 8") and lines[2].endswith("DAC 6 bit, ADC 8 bit")
    population = jax.vmap(lambda key: Crossbar.program(W, key=key))(jax.random.split(jax.random.key(0), 3))
    assert repr(population) == "Crossbar(4 x 6 on cmo-hfox-2025, 3 chips)"
    seen = []
    jax.jit(lambda c: seen.append(repr(c)) or c.scale)(xbar)
    assert "traced" in seen[0]


def test_what_makes_no_crossbar_is_refused_by_name(xbar):
    key = jax.random.key(0)
    for argument, call in {
        "W": lambda: Crossbar.program(np.ones(3), key=key),
        "W ": lambda: Crossbar.program([[1.0, np.nan]], key=key),
        "key": lambda: Crossbar.program(W, key=jax.random.PRNGKey(0)),
        "key ": lambda: xbar.reading(0),
        "card": lambda: Crossbar.program(W, card="milo-2021-hfo2", key=key),
        "card ": lambda: Crossbar.program(W, card=hfsim.load_card("cea-leti-2025-hybrid"), key=key),
        "tile": lambda: Crossbar.program(W, key=key, tile=(0, 2)),
        "time": lambda: xbar.after("a while"),
        "x": lambda: xbar @ np.ones(IN - 1),
        "x ": lambda: xbar @ np.ones(IN + 1),  # which would fit the padded tiles
        "x  ": lambda: xbar @ 2.0,
        "delta": lambda: np.ones(OUT + 1) @ xbar,
    }.items():
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.argument == argument.strip()
