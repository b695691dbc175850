"""Addressed draws: the same address gives the same draw; hashed masks and noise have the statistics of fair ones.

Tolerances are in standard errors of the estimate; the seeds are fixed, so that a test passes always or never.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from hfsim.draws import (
    address,
    event_hash,
    hashed_bernoulli,
    hashed_bits,
    hashed_normals,
    hashed_uniform,
    hashed_words,
    normal,
    require_key,
    row_normals,
    stream,
)
from hfsim.errors import InputError

pytestmark = pytest.mark.optimised

SHAPE = (24, 32)
EVENTS = 4096
PROBABILITIES = (0.05, 0.2, 0.5)


@jax.jit
def masks(key, probability):
    """One mask of SHAPE for each event."""
    return jax.vmap(lambda e: hashed_bernoulli(event_hash(key, e, SHAPE), probability))(jnp.arange(EVENTS))


@pytest.fixture(scope="module", params=PROBABILITIES)
def sample(request):
    """A probability and its masks as floats."""
    key = stream(jax.random.key(11), "mask")
    return request.param, np.asarray(masks(key, request.param), np.float64)


def standardised(sample):
    probability, mask = sample
    return (mask - probability) / np.sqrt(probability * (1 - probability))


# ---------------------------------------------------------------------------------------------- addresses


def same(one, two):
    return bool(jnp.all(jax.random.key_data(one) == jax.random.key_data(two)))


def test_the_same_address_is_the_same_key(key):
    assert same(address(stream(key, "read"), 3, 7), address(stream(key, "read"), 3, 7))


def test_different_addresses_are_different_keys(key):
    places = [stream(key, "read"), stream(key, "write"), address(key, 1, 2), address(key, 2, 1), address(key, 3)]
    for index, one in enumerate(places):
        assert not any(same(one, two) for two in places[:index])


def test_an_address_may_be_traced(key):
    assert same(jax.jit(lambda event: address(key, 5, event))(9), address(key, 5, 9))


def test_streams_do_not_depend_on_the_process(key):
    # crc32 and not hash(): the latter is salted afresh in each process
    assert same(stream(key, "mask"), jax.random.fold_in(key, 0x7F6FC330))


@pytest.mark.parametrize("wrong", [0, None, "key", np.zeros(2, np.uint32)])
def test_what_is_no_typed_key_is_refused(wrong):
    with pytest.raises(InputError, match=r"`noise_key` must be a typed key, .* make one with jax.random.key"):
        require_key(wrong, "noise_key")


def test_a_raw_key_is_refused():
    with pytest.raises(InputError, match="`key` must be a typed key"):
        require_key(jax.random.PRNGKey(0))


def test_a_traced_key_is_accepted(key):
    assert same(jax.jit(require_key)(key), key)


# --------------------------------------------------------------------------------------- rows of a batch


@pytest.mark.parametrize("width", [1, 3, 4, 5, 8, 13])
def test_rows_are_drawn_at_their_own_address(key, width):
    # to the bit, whatever else is in the batch: rows of 3 to 5 numbers were rounded otherwise in batches of other sizes
    draw = jax.jit(row_normals, static_argnums=(2, 3))
    rows = np.asarray(draw(key, 0, (64, width), jnp.float32))
    for first, end in ((0, 1), (1, 4), (4, 9), (9, 22), (22, 64)):
        part = draw(key, first, (end - first, width), jnp.float32)
        np.testing.assert_array_equal(part, rows[first:end])
    assert len(np.unique(rows)) == rows.size
    wide = max(width, 8)
    np.testing.assert_allclose(rows[5], normal(address(key, 5), (wide,), jnp.float32)[:width], rtol=3e-7)
    assert row_normals(key, 0, (0, width), jnp.float32).shape == (0, width)


def test_rows_are_standard_normal_and_independent(key):
    x = np.asarray(row_normals(key, 0, (2000, 20), jnp.float32), np.float64)
    assert scipy.stats.kstest(x.ravel(), "norm").pvalue > 1e-3
    for one, two in ((x[1:], x[:-1]), (x[:, 1:], x[:, :-1])):
        assert abs((one * two).mean()) * np.sqrt(one.size) < 4


def test_rows_are_the_same_in_both_precisions(key):
    single = row_normals(key, 0, (3, 4), jnp.float32)
    with jax.enable_x64(True):
        double = row_normals(key, 0, (3, 4), jnp.float64)
        assert double.dtype == jnp.float64
        np.testing.assert_array_equal(double, np.asarray(single, np.float64))


# --------------------------------------------------------------------------------------- the hashed mask


def test_the_mask_has_its_probability(sample):
    assert abs(standardised(sample).mean()) * np.sqrt(sample[1].size) < 4


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["events", "rows", "columns"])
def test_neighbours_are_uncorrelated(sample, axis):
    x = np.moveaxis(standardised(sample), axis, 0)
    for lag in (1, 2, 3, 8, 16):
        assert abs((x[lag:] * x[:-lag]).mean()) * np.sqrt(x[lag:].size) < 4, f"lag {lag}"


def test_diagonal_neighbours_are_uncorrelated(sample):
    x = standardised(sample)
    for one, two in ((x[:, 1:, 1:], x[:, :-1, :-1]), (x[:, 1:, :-1], x[:, :-1, 1:])):
        assert abs((one * two).mean()) * np.sqrt(one.size) < 4


@pytest.mark.parametrize("pattern", [(1, 1, 1, 1), (1, 0, 0, 1), (0, 0, 0, 0)])
def test_the_corners_of_rectangles_are_independent(sample, pattern):
    # The words of a rectangle's corners xor to zero, so that three determine the fourth: an odd multiplier has to
    # scramble that. 12 x 16 disjoint rectangles in each of 4096 events.
    probability, mask = sample
    corners = (mask[:, 0::2, 0::2], mask[:, 0::2, 1::2], mask[:, 1::2, 0::2], mask[:, 1::2, 1::2])
    joint = np.prod([c if p else 1 - c for c, p in zip(corners, pattern, strict=True)], axis=0)
    expected = np.prod([probability if p else 1 - probability for p in pattern])
    assert abs(joint.mean() - expected) < 4.5 * np.sqrt(expected * (1 - expected) / joint.size)


@pytest.mark.parametrize("axes", [(2,), (1,), (1, 2)], ids=["rows", "columns", "whole masks"])
def test_sums_of_the_mask_have_binomial_variance(sample, axes):
    # correlated places would widen or narrow the sums; the estimate's own error is sqrt((2 + excess)/sums)
    probability, mask = sample
    sums = mask.sum(axis=axes).ravel()
    places = mask.size // sums.size
    variance = places * probability * (1 - probability)
    excess = (1 - 6 * probability * (1 - probability)) / variance
    assert abs(sums.var() / variance - 1) < 4.5 * np.sqrt((2 + excess) / sums.size)


def test_probability_zero_is_never_and_one_is_always(key):
    assert not np.any(masks(key, 0.0))
    assert np.all(masks(key, 1.0))


def test_the_mask_grows_with_its_probability(key):
    # the threshold moves over fixed words: what is True stays True
    event = event_hash(key, jnp.int32(4), SHAPE)
    few, many = hashed_bernoulli(event, 0.2), hashed_bernoulli(event, 0.5)
    assert np.all(many | ~few)


def test_masks_of_different_keys_are_independent():
    one, two = (np.asarray(masks(jax.random.key(seed), 0.5)) for seed in (1, 2))
    assert abs((one == two).mean() - 0.5) * 2 * np.sqrt(one.size) < 4


def test_hashed_uniform_is_uniform(key):
    events = jax.jit(jax.vmap(lambda e: hashed_uniform(event_hash(key, e, SHAPE))))(jnp.arange(128))
    numbers = np.asarray(events).ravel()
    assert numbers.min() >= 0 and numbers.max() < 1
    assert scipy.stats.kstest(numbers, "uniform").pvalue > 1e-3


def test_every_bit_of_a_word_is_fair(key):
    # the low bits of a product with an odd number are the weakest; they are fair too, only less mixed
    events = jax.jit(jax.vmap(lambda e: hashed_bits(event_hash(key, e, SHAPE))))(jnp.arange(512))
    words = np.asarray(events).ravel()
    for bit in range(32):
        share = ((words >> np.uint32(bit)) & 1).mean()
        assert abs(share - 0.5) * 2 * np.sqrt(words.size) < 4.5, f"bit {bit}"


@pytest.mark.parametrize("shape", [(5,), (1, 1), (3, 4, 5)])
def test_arrays_of_any_rank_have_a_mask(key, shape):
    assert hashed_bernoulli(event_hash(key, jnp.int32(0), shape), 0.5).shape == shape


# ---------------------------------------------------------------------- the same, however it is computed


def test_the_mask_is_the_same_eagerly_compiled_and_mapped(key):
    def mask(event):
        return hashed_bernoulli(event_hash(key, event, SHAPE), 0.3)

    mapped = jax.jit(jax.vmap(mask))(jnp.arange(6))
    for event in range(6):
        np.testing.assert_array_equal(mask(jnp.int32(event)), mapped[event])
        np.testing.assert_array_equal(jax.jit(mask)(event), mapped[event])


def test_the_mask_of_an_event_does_not_depend_on_the_chunk(key):
    @partial(jax.jit, static_argnums=1)
    def chunk(first, size):
        return jax.vmap(lambda e: hashed_bernoulli(event_hash(key, e, SHAPE), 0.3))(first + jnp.arange(size))

    whole = chunk(0, 12)
    np.testing.assert_array_equal(whole, jnp.concatenate([chunk(0, 5), chunk(5, 5), chunk(10, 2)]))


def test_the_mask_of_a_layer_does_not_depend_on_other_layers(key):
    # layers are different streams: what else is drawn, and in which order, changes nothing
    def layer(name, shape):
        return hashed_bernoulli(event_hash(stream(key, name), jnp.int32(3), shape), 0.3)

    alone = layer("second", (4, 6))
    layer("first", (9, 9))
    np.testing.assert_array_equal(layer("second", (4, 6)), alone)


def test_the_mask_is_the_same_in_double_precision(key):
    def mask():
        return np.asarray(hashed_bernoulli(event_hash(key, jnp.int32(2), SHAPE), 0.2))

    single = mask()
    with jax.enable_x64(True):
        np.testing.assert_array_equal(mask(), single)


# --------------------------------------------------------------------- hashed noise of a pulsed update

NUMBERS = 4  # of one event


@pytest.fixture(scope="module")
def noise():
    """Hashed normal numbers: 1,024 events, 4 numbers of each, on SHAPE: 3.1 million.

    A correlation of neighbours is seen from 4.5/sqrt(3.1e6) = 0.0026 on, one in sums of whole arrays from 0.1/768 on.
    """

    @jax.jit
    def draw(key):
        events = jax.vmap(lambda e: event_hash(key, e, SHAPE))(jnp.arange(1024))
        return jax.vmap(lambda e: jax.vmap(lambda n: hashed_normals(e, n))(jnp.arange(NUMBERS)))(events)

    return np.asarray(draw(stream(jax.random.key(5), "noise")), np.float64)


class Counted:
    """The law that `hashed_normals` states: (B + U - 16.5)/sqrt(8 + 1/12), B binomial (32, 1/2) and U uniform."""

    scale = np.sqrt(8 + 1 / 12)

    @classmethod
    def cdf(cls, x):
        y = np.asarray(x) * cls.scale + 16.5
        whole = np.floor(y)
        binomial = scipy.stats.binom(32, 0.5)
        return binomial.cdf(whole - 1) + (y - whole) * binomial.pmf(whole)

    @classmethod
    def quantile(cls, share):
        x = np.linspace(-5.81, 5.81, 200_001)
        return np.interp(share, cls.cdf(x), x)


def test_hashed_noise_has_the_law_it_states(noise):
    n = noise.size
    assert abs(noise.mean()) * np.sqrt(n) < 4
    fourth = (64 * (3 - 2 / 32) + 6 * 8 / 12 + 1 / 80) / (8 + 1 / 12) ** 2
    assert fourth == pytest.approx(2.94, abs=0.002)
    assert abs((noise**2).mean() - 1) * np.sqrt(n / (fourth - 1)) < 4
    assert abs((noise**3).mean()) * np.sqrt(n / 14) < 4  # the sixth moment is below the normal 15
    assert abs((noise**4).mean() - fourth) * np.sqrt(n / 86) < 4  # the eighth below 105
    assert abs(noise).max() < 16.5 / Counted.scale + 1e-6 < 5.81
    assert scipy.stats.kstest(noise.ravel(), Counted.cdf).pvalue > 1e-3


def test_hashed_noise_is_as_near_to_normal_as_it_says():
    deviations = np.linspace(-3.3, 3.3, 6601)
    off = np.abs(Counted.quantile(scipy.stats.norm.cdf(deviations)) - deviations)
    for inside, least, most in ((1.9, 0.014, 0.015), (2.0, 0.02, 0.025), (3.3, 0.08, 0.09)):
        assert least < off[np.abs(deviations) <= inside].max() < most


@pytest.mark.parametrize("axis", [0, 1, 2, 3], ids=["events", "numbers", "rows", "columns"])
def test_neighbours_of_hashed_noise_are_uncorrelated(noise, axis):
    # in value and in size
    for x in (noise, (noise**2 - 1) / np.sqrt(1.94)):
        x = np.moveaxis(x, axis, 0)
        for lag in (1, 2, 3, 8):
            if lag < x.shape[0]:
                assert abs((x[lag:] * x[:-lag]).mean()) * np.sqrt(x[lag:].size) < 4.2, f"lag {lag}"


def test_the_corners_of_rectangles_of_hashed_noise_are_independent(noise):
    # their words before the finaliser xor to zero
    corners = [noise[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]
    for power in (lambda x: x, lambda x: (x**2 - 1) / np.sqrt(1.94)):
        joint = np.prod([power(c) for c in corners], axis=0)
        assert abs(joint.mean()) / joint.std() * np.sqrt(joint.size) < 4


@pytest.mark.parametrize(
    "axes", [(2,), (3,), (2, 3), (0,), (1,)], ids=["rows", "columns", "arrays", "events", "numbers"]
)
def test_sums_of_hashed_noise_have_the_variance_of_independent_numbers(noise, axes):
    sums = noise.sum(axis=axes).ravel()
    assert abs(sums.var() * sums.size / noise.size - 1) < 4 * np.sqrt(2 / sums.size)


def test_numbers_of_one_event_share_no_bits(key):
    # the numbers of pulses, of the rounding of mean counts (-1) and of write noise (-2) differ by a constant before
    # the finaliser: every bit of one word against the same bit of the other
    events = jax.jit(jax.vmap(lambda e: [hashed_words(event_hash(key, e, SHAPE), n) for n in (0, 1, 2, 31, -1, -2)]))(
        jnp.arange(256)
    )
    words = [np.asarray(word).ravel() for word in events]
    for i, one in enumerate(words):
        for two in words[:i]:
            flipped = np.array([((one ^ two) >> np.uint32(bit) & 1).mean() for bit in range(32)])
            assert np.all(abs(flipped - 0.5) * 2 * np.sqrt(one.size) < 4.7)
    for bit in range(32):
        assert abs(((words[0] >> np.uint32(bit)) & 1).mean() - 0.5) * 2 * np.sqrt(words[0].size) < 4.5


def test_words_of_a_large_array_repeat_as_rarely_as_random_ones(key):
    words = np.asarray(hashed_words(event_hash(key, jnp.int32(1), (512, 512)), 3)).ravel()
    repeated = words.size - np.unique(words).size  # Poisson of n^2/2^33 = 8
    assert repeated < 25
