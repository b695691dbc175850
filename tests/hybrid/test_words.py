"""The hidden word: packing, bits, truncation, and how truncation is differentiated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfsim import InputError
from hfsim.estimators import Exact, Soft, StraightThrough
from hfsim.hybrid.words import (
    CODES,
    WORD_MAX,
    code,
    negative,
    pack,
    truncate,
    unpack,
    word_bits,
    words_of_bits,
)

ALL_WORDS = np.concatenate([np.arange(WORD_MAX + 1), -np.arange(WORD_MAX + 1.0)]).astype(np.float32)
"""All 1,024 stored words, -0.0 among them."""

word = st.builds(
    lambda magnitude, sign: np.float32(-magnitude if sign else magnitude),
    st.integers(0, WORD_MAX).map(float),
    st.booleans(),
)
words = st.lists(word, min_size=32, max_size=32).map(lambda values: np.asarray(values, np.float32))
reproducible = settings(deadline=None, derandomize=True, database=None)


def same_words(a, b) -> bool:
    """Equal, the sign bit of zeros included."""
    return np.array_equal(a, b) and np.array_equal(np.signbit(a), np.signbit(b))


@reproducible
@given(words)
def test_unpacking_undoes_packing(values):
    assert same_words(unpack(pack(values)), values)


def test_all_words_have_their_own_ten_bit_pattern():
    patterns = pack(ALL_WORDS)
    assert patterns.dtype == np.uint16
    assert sorted(patterns) == list(range(1024))


def test_packing_undoes_unpacking_for_every_pattern():
    patterns = np.arange(1024, dtype=np.uint16)
    np.testing.assert_array_equal(pack(unpack(patterns)), patterns)


def test_the_sign_of_a_zero_is_stored():
    assert not np.signbit(unpack(pack(np.float32(0.0))))
    assert np.signbit(unpack(pack(np.float32(-0.0))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unpacking_gives_the_type_asked_for(dtype):
    assert unpack(np.uint16(513), dtype).dtype == dtype


@pytest.mark.parametrize("bad", [0.5, np.nan, np.inf, 512.0, -512.0, [1.0, -3.25]])
def test_packing_refuses_what_is_no_word(bad):
    with pytest.raises(InputError, match="`word` must hold integers of -511..511"):
        pack(np.asarray(bad, np.float32))


@pytest.mark.parametrize("bad", [1024, -1, [0, 5000], 3.0])
def test_unpacking_refuses_what_is_no_ten_bit_pattern(bad):
    with pytest.raises(InputError, match="`pattern`"):
        unpack(np.asarray(bad))


@reproducible
@given(words)
def test_words_of_bits_undoes_word_bits(values):
    assert same_words(np.asarray(words_of_bits(word_bits(jnp.asarray(values)))), values)


def test_bits_are_the_packed_pattern_sign_first():
    bits = np.asarray(word_bits(jnp.asarray(ALL_WORDS)))
    np.testing.assert_array_equal(bits @ 2.0 ** np.arange(9, -1, -1), pack(ALL_WORDS))


def test_truncation_cuts_the_six_lower_bits_towards_zero():
    # integer arithmetic as the reference: a shift of the magnitude, then the sign
    expected = np.where(np.signbit(ALL_WORDS), -1, 1) * (np.abs(ALL_WORDS).astype(int) >> 6)
    np.testing.assert_array_equal(truncate(jnp.asarray(ALL_WORDS)), expected)
    assert set(np.asarray(code(jnp.asarray(ALL_WORDS)))) == set(range(CODES))


def test_negative_is_the_sign_bit():
    np.testing.assert_array_equal(negative(jnp.asarray(ALL_WORDS)), np.signbit(ALL_WORDS))


def slope(estimator, at):
    return float(jax.grad(lambda w: truncate(w, estimator))(jnp.float32(at)))


@pytest.mark.parametrize("at", [-500.0, -64.0, 3.0, 100.0])
def test_exact_truncation_has_no_gradient(at):
    assert slope(Exact(), at) == 0
    assert slope(None, at) == 0  # the default is `Exact`


@pytest.mark.parametrize("at", [-500.0, -65.0, 3.0, 100.0, 511.0])
def test_straight_through_truncation_has_the_slope_of_the_untruncated_weight(at):
    assert slope(StraightThrough(), at) == 1 / 64
    assert truncate(jnp.float32(at), StraightThrough()) == truncate(jnp.float32(at))


@pytest.mark.parametrize("at", [-130.0, -63.0, 60.0, 66.0, 449.0])
def test_soft_truncation_is_differentiated_as_it_is_computed(x64, at):
    estimator = Soft(width=0.1)

    def soft(w):
        return truncate(jnp.float64(w), estimator)

    difference = (soft(at + 1e-3) - soft(at - 1e-3)) / 2e-3
    np.testing.assert_allclose(jax.grad(soft)(at), difference, rtol=1e-6)


def test_soft_truncation_becomes_exact_as_its_width_vanishes():
    inside = ALL_WORDS[np.abs(ALL_WORDS) % 64 != 0]  # at a jump itself the soft one is half-way
    np.testing.assert_allclose(truncate(jnp.asarray(inside), Soft(width=1e-4)), truncate(jnp.asarray(inside)))
