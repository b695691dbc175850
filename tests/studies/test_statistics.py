"""Statistics that stream: against numpy and scipy, in any order to the bit, and intervals that cover what they say."""

import numpy as np
import pytest
import scipy.stats

from hfsim import InputError
from hfsim.studies import Until, clopper_pearson
from hfsim.studies.intervals import quantile_rank, quantile_ranks
from hfsim.studies.statistics import (
    EXACT,
    Distribution,
    Extremes,
    Moments,
    OutputSummary,
    Summary,
    mantissa_bits,
)

CHUNK = 50
GENERATOR = np.random.default_rng(0)
# two elements of very different place and spread, and a chunk that is not full
VALUES = (GENERATOR.gamma(2.0, [1.0, 1e-3], (12 * CHUNK + 7, 2)) + [0.0, 1e3]).astype(np.float32)
CHUNKS = [VALUES[i : i + CHUNK] for i in range(0, len(VALUES), CHUNK)]


def summary(order, chunks=CHUNKS):
    found = Summary({"x": OutputSummary((2,), False, len(VALUES)), "ok": OutputSummary((2,), True, len(VALUES))})
    for number in order:
        found.add(number, {"x": chunks[number], "ok": chunks[number] > [2.0, 1e3]}, number * CHUNK)
    return found


def everything(found):
    x, ok = found.outputs["x"], found.outputs["ok"]
    parts = [*x.mean()[:3], *x.deviation()[:3], *x.quantile(0.9)[:3], *ok.mean()[:3], x.extreme(True), x.extreme(False)]
    return np.concatenate([np.ravel(part) for part in parts])


def test_moments_are_those_of_all_numbers():
    total = summary(range(len(CHUNKS))).outputs["x"].moments.total()
    x = VALUES.astype(np.float64)
    np.testing.assert_allclose(total.mean, x.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(total.M2 / total.n, x.var(axis=0), rtol=1e-10)
    # third and fourth moments around a mean a million times their root: what is left of float64
    np.testing.assert_allclose(total.M3 / total.n, scipy.stats.moment(x, 3), rtol=1e-6)
    np.testing.assert_allclose(total.M4 / total.n, scipy.stats.moment(x, 4), rtol=1e-6)


def test_the_order_of_chunks_and_of_merges_changes_no_bit():
    generator = np.random.default_rng(1)
    # numbers that are missing: means of as many numbers each would be the same in either order
    chunks = [np.where(generator.random(chunk.shape) < 0.2, np.float32(np.nan), chunk) for chunk in CHUNKS]
    whole = everything(summary(range(len(CHUNKS)), chunks))
    shuffled = generator.permutation(len(CHUNKS))
    np.testing.assert_array_equal(everything(summary(shuffled, chunks)), whole)
    for cut in (1, 4, 9):
        left, right = summary(shuffled[:cut], chunks), summary(shuffled[cut:], chunks)
        left.merge(right)
        np.testing.assert_array_equal(everything(left), whole)
        assert left.chips == len(VALUES)


def test_no_chunk_counts_twice():
    found = summary([0, 1])
    with pytest.raises(InputError, match=r"\[1\] twice"):
        found.merge(summary([1, 2]))
    with pytest.raises(InputError, match=r"\[0\] twice"):
        found.add(0, {"x": CHUNKS[0], "ok": CHUNKS[0] > 0}, 0)


def test_quantiles_are_order_statistics():
    found, ordered = summary(range(len(CHUNKS))).outputs["x"], np.sort(VALUES, axis=0)
    for p in (0.001, 0.3, 0.5, 0.99, 1.0):  # the last is the largest number
        rank = int(np.ceil(p * len(VALUES)))
        np.testing.assert_array_equal(found.quantile(p).value, ordered[rank - 1])
        low, high = quantile_ranks(len(VALUES), p)
        ends = found.quantile(p)
        expected = ordered[low - 1] if low else [-np.inf, -np.inf]
        np.testing.assert_array_equal(ends.low, expected)
        np.testing.assert_array_equal(ends.high, ordered[high - 1] if high <= len(VALUES) else [np.inf, np.inf])
    assert np.all(np.isinf(found.quantile(0.001).low))


def test_ranks_are_those_of_decimals():
    # 0.55 times 100 is 55.00000000000001 in double precision
    found = Distribution(1)
    found.add(np.arange(1.0, 101.0)[:, None])
    assert [found.quantile(percent / 100).value[0] for percent in range(101)] == [1, *range(1, 101)]
    millions = np.arange(1, 100)
    assert [quantile_rank(10**9, percent / 100) for percent in millions] == (millions * 10**7).tolist()
    assert quantile_rank(10, 0.51) == 6 and quantile_rank(0, 0.5) == 1


def test_coarse_quantiles_enclose_the_exact_ones():
    x = np.concatenate([-VALUES[:, :1], VALUES[:, :1], np.zeros((3, 1), np.float32), [[-0.0]]]).astype(np.float32)
    exact, coarse = Distribution(1), Distribution(1, bits=6)
    for found in (exact, coarse):
        found.add(x)
    for found in (exact, coarse):
        assert found.numbers() == len(x)
    assert len(coarse.keys) < len(exact.keys) / 2
    for p in (0.01, 0.4, 0.5, 0.8):
        fine, rough = exact.quantile(p), coarse.quantile(p)
        assert rough.low <= fine.low and rough.high >= fine.high
        assert abs(rough.value - fine.value) <= 2.0**-7 * abs(fine.value) + 1e-37  # half of a bin of 6 bits
    assert mantissa_bits(EXACT // 7, 7) == 23 and mantissa_bits(10**9, 1) == 22 and mantissa_bits(10**9, 10**6) == 4


def test_numbers_that_are_not_finite_are_named_and_left_out():
    chunks = [chunk.copy() for chunk in CHUNKS]
    chunks[2][3, 0], chunks[5][1, 1] = np.nan, np.inf
    found = summary(range(len(chunks)), chunks).outputs["x"]
    assert found.unsound.tolist() == [2 * CHUNK + 3, 5 * CHUNK + 1]
    kept = np.delete(VALUES[:, 0].astype(np.float64), 2 * CHUNK + 3)
    assert found.mean().value[0] == pytest.approx(kept.mean(), rel=1e-14)
    assert found.quantile(0.5).value[0] == np.sort(kept)[int(np.ceil(0.5 * len(kept))) - 1]
    assert found.extreme(True)[0] == kept.max() and np.all(np.isfinite(found.extreme(True)))
    empty = Moments.of(np.full((3, 1), np.nan)) + Moments.of(np.ones((2, 1)))
    assert empty.n == 2 and empty.mean == 1 and empty.M2 == 0


def test_extremes_keep_the_outermost_chips_ties_by_number():
    found = Extremes(1)
    for first in (20, 0, 10):
        found.add(np.arange(10.0)[:, None] // 2, np.arange(first, first + 10))
    assert found.chips_of(0, largest=True)[:5].tolist() == [8, 9, 18, 19, 28]
    assert found.chips_of(0, largest=False)[:3].tolist() == [0, 1, 10]


@pytest.mark.parametrize(("n", "p"), [(10, 0.3), (200, 0.01), (200, 0.97)])
def test_the_exact_interval_covers_at_least_what_it_says(n, p):
    k = np.arange(n + 1)
    found = clopper_pearson(k, n, 0.9)
    covered = scipy.stats.binom.pmf(k, n, p)[(found.low <= p) & (p <= found.high)].sum()
    assert 0.9 <= covered < 1
    reference = scipy.stats.binomtest(n // 2, n).proportion_ci(0.9, "exact")
    np.testing.assert_allclose((found.low[n // 2], found.high[n // 2]), (reference.low, reference.high), rtol=1e-9)
    assert found.low[0] == 0 and found.high[n] == 1


@pytest.mark.parametrize(("n", "p"), [(5, 0.5), (60, 0.05), (1000, 0.9)])
def test_ranks_of_a_quantile_cover_at_least_what_they_say(n, p):
    low, high = quantile_ranks(n, p, 0.95)
    covered = scipy.stats.binom.cdf(high - 1, n, p) - scipy.stats.binom.cdf(low - 1, n, p)
    assert 0.95 <= covered < 1 or (low == 0 and high == n + 1)


def test_intervals_of_mean_and_spread_cover_the_truth():
    # 1,000 samples of 200 exponential numbers: coverage 0.95 with a deviation of 0.007, less than that by skewness
    generator, covered = np.random.default_rng(2), np.zeros(2)
    x = generator.exponential(1.0, (200, 1000))
    output = OutputSummary((1000,), False, 200)
    output.add(0, x, np.arange(200))
    for number, found in enumerate((output.mean(), output.deviation())):
        covered[number] = np.mean((found.low <= 1) & (found.high >= 1))
    assert 0.92 < covered[0] < 0.97 and 0.87 < covered[1] < 0.97


def test_looks_are_few_and_whole_chunks():
    looks = Until.looks(1_000_000, 4096)
    assert looks[0] == 4096 and looks[-1] == 1_000_000 and len(looks) == 15
    assert all(look % 4096 == 0 for look in looks[:-1]) and np.all(np.diff(looks) > 0)
    assert Until.looks(100, 8) == [100] and Until.looks(128, 8) == [128]


@pytest.mark.parametrize("same", [0.0, 0.1])
def test_a_mean_without_spread_is_no_reason_to_stop(same):
    output = OutputSummary((), False, 200)
    for number, count in enumerate((77, 51)):
        output.add(number, np.full(count, same), np.arange(77 * number, 77 * number + count))
    assert output.mean().half_width == pytest.approx(0, abs=1e-16)
    for rule in (Until("x", relative=0.1), Until("x", 0.1)):
        assert not rule.satisfied(output.mean(), ())
    assert Until("x", relative=0.1, quantile=0.5).satisfied(output.quantile(0.5), ())
    output.add(2, np.array([1.0]), np.array([128]))
    assert Until("x", 0.1).satisfied(output.mean(), ())


@pytest.mark.parametrize("p", [0.5, 0.98])
def test_who_stops_at_a_look_is_right_as_often_as_he_says(p):
    # coverage at the stop over 2,000 studies, deviation 0.007 at 0.9
    width = 0.03 if p == 0.5 else 0.01
    rules = [Until("works", width, confidence=0.9), Until("works", width, confidence=0.9, holds="last look")]
    looks = Until.looks(20_000, 64)
    draws = np.random.default_rng(3)
    passed = np.cumsum(draws.binomial(np.diff(looks, prepend=0)[:, None], p, (len(looks), 2000)), axis=0)
    rates, chips = [], []
    for rule in rules:
        found = clopper_pearson(passed, np.asarray(looks)[:, None], rule.each(len(looks)))
        stop = np.argmax(found.half_width <= width, axis=0)
        low, high = (np.take_along_axis(end, stop[None], 0)[0] for end in (found.low, found.high))
        rates.append(np.mean((low <= p) & (p <= high)))
        chips.append(np.mean(np.asarray(looks)[stop]))
    assert rates[0] > 0.98 and 0.88 < rates[1] < rates[0] and chips[1] < 0.5 * chips[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "half_width"),
        ({"half_width": 0.1, "relative": 0.1}, "half_width"),
        ({"half_width": -1.0}, "half_width"),
        ({"half_width": 0.1, "quantile": 1.0}, "quantile"),
        ({"half_width": 0.1, "confidence": 95}, "confidence"),
        ({"half_width": 0.1, "holds": "never"}, "holds"),
        ({"half_width": "small"}, "half_width 'small'"),
        ({"half_width": 0.1, "quantile": "0.5"}, "quantile"),
        ({"half_width": 0.1, "confidence": "0.9"}, "confidence"),
        ({"half_width": 0.1, "at": 3}, "map dimensions to labels"),
        ({"half_width": 0.1, "output": ["works"]}, "name of an output"),
    ],
)
def test_wrong_rules_are_refused(arguments, told):
    with pytest.raises(InputError, match=told):
        Until(**{"output": "works", **arguments})
