"""Coincidences of pulse trains against binomial laws, exact rounding and counting, for every scheme.

Tolerances of statistics are in standard errors, the keys fixed. Trains of rows and columns are shared by the devices
of a line, so only samples are independent: each device has its own 4,096.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from hfsim.draws import event_hash
from hfsim.errors import InputError
from hfsim.learning import DeterministicTrain, MeanCount, StochasticTrain

SAMPLES = 5120
X = np.array([1.3, -0.7, 0.2, 0.0, -0.05, 0.6])
DELTA = np.array([0.4, -0.9, 0.03, -0.2])


lines = jax.jit(lambda train, *arguments: train.lines(*arguments), static_argnums=0)


@partial(jax.jit, static_argnums=0)
def many(train, x, delta, strength, key):
    """Counts of SAMPLES samples with the same factors."""

    def sample(number):
        rows, columns = train.lines(x, delta, strength, key, number)
        return train.counts(rows, columns, event_hash(key, number, (x.shape[0], delta.shape[0])))

    return jax.vmap(sample)(jnp.arange(SAMPLES))


def counts(train, strength, x=X, delta=DELTA, seed=0):
    found = many(train, jnp.asarray(x, jnp.float32), jnp.asarray(delta, jnp.float32), strength, jax.random.key(seed))
    return np.asarray(found, np.int64)


def law(train, strength, x=X, delta=DELTA):
    """Slots and the shares of rows and columns, from the equations."""
    most = abs(x).max(), abs(delta).max()
    slots = train.bits
    if train.adaptive:
        strength = min(strength, train.bits / (most[0] * most[1]))
        slots = max(1, min(train.bits, int(np.ceil(strength * most[0] * most[1]))))
    m = np.sqrt(most[1] / most[0]) if train.balanced else 1.0
    share = np.sqrt(strength / slots)
    return slots, np.minimum(abs(x) * share * m, 1.0), np.minimum(abs(delta) * share / m, 1.0)


# ------------------------------------------------------------------------------------------- stochastic

OPTIONS = [(True, True), (True, False), (False, True), (False, False)]


@pytest.mark.parametrize(("balanced", "adaptive"), OPTIONS)
@pytest.mark.parametrize("strength", [3.0, 60.0])
def test_coincidences_are_binomial(balanced, adaptive, strength):
    # 60 wants 70 pulses at the largest product: adaptive trains scale the sample down, others cut shares at 1
    # 24 devices x 4,096 samples
    train = StochasticTrain(balanced=balanced, adaptive=adaptive)
    found = np.abs(counts(train, strength))
    slots, rows, columns = law(train, strength)
    p = rows[:, None] * columns[None, :]
    mean, variance = slots * p, slots * p * (1 - p)
    certain = variance < 1e-6
    np.testing.assert_array_equal(found[:, certain].std(axis=0), 0.0)
    error = np.sqrt(np.where(certain, 1, variance) / SAMPLES)
    assert np.all(abs(found.mean(axis=0) - mean) < np.where(certain, 1e-5, 4.2 * error))
    kurtosis = 3 + (1 - 6 * p * (1 - p)) / np.where(certain, 1, variance)
    spread = variance * np.sqrt((kurtosis - 1) / SAMPLES)
    assert np.all(abs(found.var(axis=0) - variance) <= 4.5 * spread + 1e-12)
    assert (strength == 3.0 and balanced) <= (max(rows.max(), columns.max()) < 1)
    if max(rows.max(), columns.max()) < 1:  # nothing is cut: the mean is the wanted number, whatever the options
        np.testing.assert_allclose(mean, strength * abs(X[:, None] * DELTA), rtol=1e-12)


def test_the_histogram_is_binomial():
    found = np.abs(counts(StochasticTrain(adaptive=False), 20.0))[:, 0, 0]
    slots, rows, columns = law(StochasticTrain(adaptive=False), 20.0)
    expected = scipy.stats.binom(slots, rows[0] * columns[0]).pmf(np.arange(32)) * SAMPLES
    few = expected < 8
    observed = np.bincount(found, minlength=32)
    groups = [np.append(h[~few], h[few].sum()) for h in (observed, expected)]
    assert scipy.stats.chisquare(groups[0], groups[1] * SAMPLES / groups[1].sum()).pvalue > 1e-3


def test_devices_of_a_line_share_its_train():
    # cov(c_ij, c_il) = BL p (1 - p) q_j q_l along a row, likewise along a column, and none off both
    train = StochasticTrain(adaptive=False, balanced=False)
    found = np.abs(counts(train, 12.0)).astype(float)
    slots, p, q = law(train, 12.0)
    z = found - found.mean(axis=0)

    def covariance(one, two):
        product = z[:, *one] * z[:, *two]
        return product.mean(), 4.5 * product.std() / np.sqrt(SAMPLES)

    for one, two, expected in (
        ((0, 0), (0, 1), slots * p[0] * (1 - p[0]) * q[0] * q[1]),
        ((0, 1), (1, 1), slots * q[1] * (1 - q[1]) * p[0] * p[1]),
        ((0, 0), (1, 1), 0.0),
        ((5, 1), (1, 0), 0.0),
    ):
        was, within = covariance(one, two)
        assert abs(was - expected) < within
    assert slots * p[0] * (1 - p[0]) * q[0] * q[1] > covariance((0, 0), (0, 1))[1]


def test_samples_are_independent():
    found = np.abs(counts(StochasticTrain(), 3.0)).astype(float)
    z = (found - found.mean(axis=0)) / np.maximum(found.std(axis=0), 1e-9)
    for lag in (1, 2, 7):
        assert abs((z[lag:] * z[:-lag]).mean()) * np.sqrt(z[lag:].size) < 4.5


# ---------------------------------------------------------------------------------------- deterministic


def test_deterministic_counts_are_the_rounded_product_over_the_slots():
    # every n_x and n_d for every number of slots: floor(n_x n_d/BL + 1/2)
    train = DeterministicTrain(bits=32)

    @jax.jit
    def table(slots):
        share = jnp.minimum(jnp.arange(33) / slots, 1.0)
        rows = train.row_words(share, slots, jax.random.key(0))
        columns = train.column_words(share, slots, jax.random.key(0))
        fired = jax.lax.population_count(rows), jax.lax.population_count(columns)
        return fired, jax.lax.population_count(rows[:, None] & columns[None, :])

    (row, column), found = jax.vmap(table)(jnp.arange(1, 33))
    for slots in range(1, 33):
        n = np.minimum(np.arange(33), slots)
        np.testing.assert_array_equal(row[slots - 1], n)
        np.testing.assert_array_equal(column[slots - 1], n)
        np.testing.assert_array_equal(found[slots - 1], (2 * n[:, None] * n + slots) // (2 * slots))


def test_deterministic_trains_of_a_sample():
    # |x delta| = 1 wants 12 pulses of 31 slots; sqrt(12/31) 31 = 19.29 -> 19 slots on either line
    train = DeterministicTrain(adaptive=False, balanced=False)
    found = counts(train, 12.0)
    assert np.all(found == found[0])
    share = np.sqrt(12.0 / 31)
    n = [np.round(31 * np.minimum(abs(v) * share, 1.0)).astype(int) for v in (X, DELTA)]
    expected = (2 * n[0][:, None] * n[1] + 31) // 62
    np.testing.assert_array_equal(found[0], -np.sign(X[:, None] * DELTA).astype(int) * expected)


# ------------------------------------------------------------------------------------------ mean counts


def test_mean_counts_have_the_least_noise_of_whole_pulses():
    found = np.abs(counts(MeanCount(), 7.0))
    mean = 7.0 * abs(X[:, None] * DELTA)
    fraction = mean - np.floor(mean)
    assert np.all((found == np.floor(mean)) | (found == np.floor(mean) + 1))
    variance = fraction * (1 - fraction)
    assert np.all(abs(found.mean(axis=0) - mean) <= 4.2 * np.sqrt(variance / SAMPLES) + 1e-6)
    assert np.all(abs(found.var(axis=0) - variance) <= 4.2 * np.sqrt(variance / SAMPLES) + 1e-6)
    # each device rounds for itself
    z = (found - found.mean(axis=0))[:, fraction > 0.05]
    correlation = np.corrcoef(z.T) - np.eye(z.shape[1])
    assert np.all(abs(correlation) * np.sqrt(SAMPLES) < 4.5)


def test_whole_mean_counts_are_not_rounded():
    found = counts(MeanCount(balanced=False, adaptive=False, bits=16), 4.0, np.array([2.0, 1.0]), np.array([2.0, -0.5]))
    assert np.all(found == [[-16, 4], [-8, 2]])


# ------------------------------------------------------------------------------------------- all trains

TRAINS = [
    kind(balanced=balanced, adaptive=adaptive)
    for kind in (StochasticTrain, DeterministicTrain, MeanCount)
    for balanced, adaptive in ((True, True), (False, False))
]


@pytest.mark.parametrize("train", TRAINS, ids=repr)
def test_pulses_go_against_the_sign_of_the_product(train):
    found = counts(train, 40.0)
    sign = -np.sign(X[:, None] * DELTA)
    assert np.all(found * sign >= 0)
    large = abs(X[:, None] * DELTA) > 0.2
    assert {-1, 1} <= set(sign[large].astype(int)) and np.all(np.abs(found).sum(axis=0)[large] > 0)
    assert np.all(found[:, X == 0] == 0)


@pytest.mark.parametrize("train", TRAINS, ids=repr)
@pytest.mark.parametrize("strength", [0.0, 3.0, 5e20])
def test_factors_of_zero_give_no_pulses(train, strength):
    # 5e20 is what AutoScale gives before the first factor that is not zero
    for x, delta in ((0 * X, DELTA), (X, 0 * DELTA), (0 * X, 0 * DELTA)):
        rows, columns = lines(train, jnp.asarray(x), jnp.asarray(delta), strength, jax.random.key(0), 0)
        for side in (rows, columns):
            assert np.all(np.isfinite(side.share)) and 1 <= int(side.slots) <= train.bits
    assert not np.any(counts(train, strength, 0 * X)) and not np.any(counts(train, strength, delta=0 * DELTA))
    assert strength > 0 or not np.any(counts(train, 0.0))


@pytest.mark.parametrize(
    ("kind", "bits"), [(StochasticTrain, 1), (StochasticTrain, 32), (DeterministicTrain, 1), (MeanCount, 1)]
)
def test_no_more_pulses_than_bits(kind, bits):
    found = np.abs(counts(kind(bits=bits), 1e4))
    assert found.max() == bits and np.all(found[:, abs(X[:, None] * DELTA) >= 1.1] == bits)


@pytest.mark.parametrize("kind", [StochasticTrain, DeterministicTrain, MeanCount])
def test_balance_makes_lines_alike_and_adaptation_takes_the_slots_needed(kind):
    x, delta = jnp.array([40.0, 1.0]), jnp.array([1e-3, -5e-4, 0.0])
    key = jax.random.key(0)
    rows, columns = lines(kind(), x, delta, 60.0, key, 0)  # wants 2.4 pulses at most: 3 slots
    assert int(rows.slots) == int(columns.slots) == 3
    assert float(rows.share.max()) == pytest.approx(float(columns.share.max()), rel=1e-5)
    assert float(rows.share.max()) == pytest.approx(np.sqrt(2.4 / 3), rel=1e-5)
    rows, columns = lines(kind(balanced=False, adaptive=False), x, delta, 60.0, key, 0)
    assert int(rows.slots) == 31 and float(rows.share.max()) == 1.0  # the row is cut: 40 sqrt(60/31)
    assert float(columns.share.max()) == pytest.approx(1e-3 * np.sqrt(60 / 31), rel=1e-5)


def test_trains_have_their_own_address():
    one = counts(StochasticTrain(), 3.0)
    assert np.array_equal(one, counts(StochasticTrain(), 3.0))
    assert not np.array_equal(one, counts(StochasticTrain(), 3.0, seed=1))
    assert not np.array_equal(one[0], one[1]) or not np.array_equal(one[1], one[2])


@pytest.mark.parametrize("bits", [0, 33, 1.0, True])
def test_bits_are_those_of_a_word(bits):
    with pytest.raises(InputError, match="`bits` must be an integer from 1 to 32"):
        StochasticTrain(bits=bits)
