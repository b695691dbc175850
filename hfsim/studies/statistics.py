"""Statistics of many chips that grow as the chips come, the same whatever the order in which they come.

Chips come in numbered chunks. Moments of chunks are merged along a fixed binary tree over their numbers, counts are
integers, and extremes are ordered by value and number: so a summary is a function of the set of its chunks, to the
bit, and no chunk can be counted twice. Two summaries of different chunks merge by `merge`.

    n = n_a + n_b,   d = m_b - m_a,   m = m_a + d n_b/n,   M2 = M2_a + M2_b + d^2 n_a n_b/n,   ...

Moments: P. Pebay, Sandia report SAND2008-6212 (2008), to the fourth order. Quantiles: counts of the values' own
float32 bits, all of them where the study is of at most `EXACT` numbers, else the leading ones.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from hfsim.errors import InputError
from hfsim.io.store import Variable
from hfsim.studies.intervals import (
    CONFIDENCE,
    Interval,
    clopper_pearson,
    deviation_interval,
    mean_interval,
    quantile_rank,
    quantile_ranks,
)

EXACT = 2**23
"""Numbers of a study up to which quantiles are exact: 128 MB of keys and counts, three times that while they merge."""
_COARSE = 2**22
"""Bins that the quantiles of a larger study may have in an octave, over all elements of an output."""
_LEAST_BITS = 4
_MANTISSA = 23
KEPT = 16
"""Chips that are kept at each end of each element. Chosen: as many as one looks at one by one."""


class Moments(NamedTuple):
    """Count, mean and central sums of a set of numbers, for each element; numbers that are not finite left out."""

    n: Float[np.ndarray, " elements"]
    mean: Float[np.ndarray, " elements"]
    M2: Float[np.ndarray, " elements"]
    M3: Float[np.ndarray, " elements"]
    M4: Float[np.ndarray, " elements"]

    @classmethod
    def of(cls, values: Float[np.ndarray, "chips elements"]) -> "Moments":
        """The moments of a chunk, in float64."""
        sound = np.isfinite(values)
        n = sound.sum(axis=0).astype(np.float64)
        x = np.where(sound, values, 0).astype(np.float64)
        mean = x.sum(axis=0) / np.maximum(n, 1)
        d = np.where(sound, x - mean, 0)
        mean = mean + d.sum(axis=0) / np.maximum(n, 1)  # what rounding left of the first sum
        d = np.where(sound, x - mean, 0)
        return cls(n, mean, *(np.sum(d**k, axis=0) for k in (2, 3, 4)))

    def __add__(self, other):
        a, b = self, other
        n = a.n + b.n
        m, d = np.maximum(n, 1), b.mean - a.mean
        # without one of them, the other's mean: the difference to an empty set's is no number of the sample
        d = np.where((a.n > 0) & (b.n > 0), d, 0)
        mean = np.where(a.n > 0, a.mean, b.mean) + d * np.where(a.n > 0, b.n, 0) / m
        M2 = a.M2 + b.M2 + d**2 * a.n * b.n / m
        M3 = a.M3 + b.M3 + d**3 * a.n * b.n * (a.n - b.n) / m**2 + 3 * d * (a.n * b.M2 - b.n * a.M2) / m
        M4 = a.M4 + b.M4 + d**4 * a.n * b.n * (a.n**2 - a.n * b.n + b.n**2) / m**3
        M4 = M4 + 6 * d**2 * (a.n**2 * b.M2 + b.n**2 * a.M2) / m**2 + 4 * d * (a.n * b.M3 - b.n * a.M3) / m
        return Moments(n, mean, M2, M3, M4)


class MomentTree:
    """Moments of chunks, merged pair by pair as both halves of an aligned block are there."""

    def __init__(self):
        self.blocks: dict[tuple[int, int], Moments] = {}  # by (level, number of the block on it)

    def add(self, number: int, moments: Moments, level: int = 0) -> None:
        """Put in the moments of chunk `number`, or of a block of 2^level chunks."""
        while (sibling := self.blocks.pop((level, number ^ 1), None)) is not None:
            moments = sibling + moments if number & 1 else moments + sibling
            level, number = level + 1, number >> 1
        self.blocks[level, number] = moments

    def total(self) -> Moments:
        """Of all chunks, blocks taken from left to right."""
        ordered = sorted(self.blocks, key=lambda place: place[1] << place[0])
        total = self.blocks[ordered[0]]
        for place in ordered[1:]:
            total = total + self.blocks[place]
        return total


def mantissa_bits(chips: int, elements: int) -> int:
    """Bits of a float32 mantissa that the quantiles of a study of this size keep; 23 is all."""
    if chips * elements <= EXACT:
        return _MANTISSA
    return int(np.clip(np.log2(_COARSE / elements), _LEAST_BITS, _MANTISSA - 1))


class Distribution:
    """Counts of the numbers of each element by their leading bits: sorted keys (element, bits) and how many."""

    def __init__(self, elements: int, bits: int = _MANTISSA):
        self.elements, self.bits = elements, bits
        self.keys, self.counts = np.empty(0, np.int64), np.empty(0, np.int64)
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []

    @property
    def _shift(self) -> int:
        return _MANTISSA - self.bits

    def add(self, values: Float[np.ndarray, "chips elements"]) -> None:
        """Count a chunk; what is not finite is left out."""
        x = np.asarray(values, np.float32)
        x = np.where(x == 0, np.float32(0), x)  # no negative zero
        raw = x.view(np.int32)
        order = (raw ^ ((raw >> 31) & 0x7FFFFFFF)).astype(np.int64)  # rises with the number
        places = np.broadcast_to(np.arange(self.elements, dtype=np.int64), x.shape)
        key = (places << 32) | ((order >> self._shift) + 2**31)
        self._merge(*np.unique(key[np.isfinite(x)], return_counts=True))

    def merge(self, other: "Distribution") -> None:
        """Count what `other` counted."""
        other._settle()
        self._merge(other.keys, other.counts)

    def _merge(self, keys, counts) -> None:
        self._waiting.append((keys, counts))
        if sum(len(k) for k, _ in self._waiting) > max(len(self.keys), 2**16):
            self._settle()

    def _settle(self) -> None:
        if self._waiting:
            keys = np.concatenate([self.keys, *(k for k, _ in self._waiting)])
            counts = np.concatenate([self.counts, *(c for _, c in self._waiting)])
            order = np.argsort(keys, kind="stable")
            keys = keys[order]
            first = np.flatnonzero(np.diff(keys, prepend=-1))
            self.keys, self.counts = keys[first], np.add.reduceat(counts[order], first) if len(first) else counts
            self._waiting = []

    def numbers(self) -> Int[np.ndarray, " elements"]:
        """How many numbers of each element were counted."""
        return np.diff(self._ends()[0])

    def _ends(self) -> tuple[Int[np.ndarray, " ends"], Int[np.ndarray, " keys"]]:
        """Numbers counted before each element and behind the last, and up to each key."""
        self._settle()
        up_to = np.cumsum(self.counts)
        places = np.searchsorted(self.keys, np.arange(self.elements + 1, dtype=np.int64) << 32)
        return np.concatenate([[0], up_to])[places], up_to

    def order_statistics(
        self, ranks: Int[np.ndarray, " elements"]
    ) -> tuple[Float[np.ndarray, " elements"], Float[np.ndarray, " elements"]]:
        """Ends between which the number of this rank (from 1) of each element lies; equal where the bits are all.

        Infinite for ranks below 1 and beyond the numbers that there are.
        """
        before, up_to = self._ends()
        inside = (ranks >= 1) & (ranks <= np.diff(before))
        beyond = np.where(ranks < 1, -np.inf, np.inf)
        if not np.any(inside):
            return beyond, beyond
        keys = self.keys[np.searchsorted(up_to, np.where(inside, before[:-1] + ranks, 1))]
        begin = ((keys & 0xFFFFFFFF) - 2**31) << self._shift
        ends = np.stack([begin, begin + (1 << self._shift) - 1]).astype(np.int32)
        low, high = (ends ^ ((ends >> 31) & 0x7FFFFFFF)).view(np.float32).astype(np.float64)
        return np.where(inside, low, beyond), np.where(inside, high, beyond)

    def quantile(self, p: float, confidence: float = CONFIDENCE) -> Interval:
        """The p-quantile of each element, the number of rank ceil(p n), between order statistics; NaN without any."""
        n = self.numbers()
        low, high = quantile_ranks(n, p, confidence)
        ends = self.order_statistics(quantile_rank(n, p))
        with np.errstate(invalid="ignore"):  # of an element without numbers the ends are infinite
            value = np.where(n > 0, 0.5 * (ends[0] + ends[1]), np.nan)
        return Interval(value, self.order_statistics(low)[0], self.order_statistics(high)[1], confidence)


class Extremes:
    """The least and the largest numbers of each element, and the chips that have them; ties by the chip's number."""

    def __init__(self, elements: int):
        self.values = {largest: np.empty((0, elements)) for largest in (False, True)}
        self.chips = {largest: np.empty((0, elements), np.int64) for largest in (False, True)}

    def add(self, values: Float[np.ndarray, "chips elements"], chips: Int[np.ndarray, " chips"]) -> None:
        """Look through a chunk; what is not finite is left out."""
        for largest in (False, True):
            x = np.asarray(values, np.float64)
            self._take(largest, np.where(np.isfinite(x), x, np.nan), np.broadcast_to(chips[:, None], x.shape))

    def merge(self, other: "Extremes") -> None:
        """Look through what `other` kept."""
        for largest in (False, True):
            self._take(largest, other.values[largest], other.chips[largest])

    def _take(self, largest, values, chips):
        values = np.concatenate([self.values[largest], values])
        chips = np.concatenate([self.chips[largest], chips])
        order = np.lexsort((chips, -values if largest else values), axis=0)[:KEPT]  # NaN comes last
        self.values[largest] = np.take_along_axis(values, order, 0)
        self.chips[largest] = np.take_along_axis(chips, order, 0)

    def chips_of(self, element: int, largest: bool) -> Int[np.ndarray, " kept"]:
        """Chips of one end, the outermost first."""
        return self.chips[largest][np.isfinite(self.values[largest][:, element]), element]


class OutputSummary:
    """All statistics of one output: moments, quantiles, extremes, and numbers that are not finite.

    Args:
        shape: of the output of one chip.
        logical: whether it is true or false.
        chips: of the whole study, which decides how finely quantiles are counted.
    """

    def __init__(self, shape: tuple[int, ...], logical: bool, chips: int):
        self.shape, self.logical = shape, logical
        elements = int(np.prod(shape))
        self.moments, self.extremes = MomentTree(), Extremes(elements)
        self.distribution = None if logical else Distribution(elements, mantissa_bits(chips, elements))
        self.unsound = np.empty(0, np.int64)

    def add(self, number: int, values: np.ndarray, chips: Int[np.ndarray, " chips"]) -> None:
        """Take in chunk `number`, whose chips have these numbers."""
        flat = values.reshape(len(values), -1)
        self.moments.add(number, Moments.of(flat))
        self.extremes.add(flat, chips)
        if self.distribution is not None:
            self.distribution.add(flat)
        self.unsound = np.union1d(self.unsound, chips[~np.all(np.isfinite(flat), axis=1)])

    def merge(self, other: "OutputSummary") -> None:
        """Take in another summary, of other chunks."""
        for (level, number), moments in other.moments.blocks.items():
            self.moments.add(number, moments, level)
        self.extremes.merge(other.extremes)
        if self.distribution is not None and other.distribution is not None:
            self.distribution.merge(other.distribution)
        self.unsound = np.union1d(self.unsound, other.unsound)

    def mean(self, confidence: float = CONFIDENCE) -> Interval:
        """The mean by Student's t; of an output that is true or false its probability, exactly."""
        m = self.moments.total()
        if self.logical:
            return self._shaped(clopper_pearson(np.round(m.mean * m.n), m.n, confidence))
        mean = np.where(m.n > 0, m.mean, np.nan)
        return self._shaped(mean_interval(m.n, mean, self._deviation(m), confidence))

    def deviation(self, confidence: float = CONFIDENCE) -> Interval:
        """The standard deviation (n - 1)."""
        m = self.moments.total()
        positive = m.M2 > 0
        kurtosis = np.where(positive, m.n * m.M4 / np.where(positive, m.M2, 1) ** 2, 1.0)
        return self._shaped(deviation_interval(m.n, self._deviation(m), kurtosis, confidence))

    def quantile(self, p: float, confidence: float = CONFIDENCE) -> Interval:
        """The p-quantile.

        Raises:
            InputError: p beyond [0, 1], or an output that is true or false.
        """
        if self.distribution is None:
            raise InputError("output", "be of numbers for a quantile", "true or false")
        if not 0 <= p <= 1:
            raise InputError("p", "lie in [0, 1]", p)
        return self._shaped(self.distribution.quantile(p, confidence))

    def extreme(self, largest: bool) -> Float[np.ndarray, "..."]:
        """The largest or the least number of each element; NaN without any."""
        values = self.extremes.values[largest]
        row = values[0] if len(values) else np.full(int(np.prod(self.shape)), np.nan)
        return row.reshape(self.shape)

    @staticmethod
    def _deviation(m: Moments):
        return np.where(m.n > 1, np.sqrt(m.M2 / np.maximum(m.n - 1, 1)), np.nan)

    def _shaped(self, interval: Interval) -> Interval:
        value, low, high = (np.reshape(x, self.shape) for x in interval[:3])
        return Interval(value, low, high, interval.confidence)


class Summary:
    """Statistics of all outputs over the chunks that came so far."""

    def __init__(self, outputs: dict[str, OutputSummary]):
        self.outputs, self.chunks, self.chips = outputs, set[int](), 0

    def add(self, number: int, values: dict[str, np.ndarray], first: int) -> None:
        """Take in chunk `number`, whose first chip is `first`.

        Raises:
            InputError: it is in already.
        """
        self._claim({number})
        count = len(next(iter(values.values())))
        for name, output in self.outputs.items():
            output.add(number, values[name], np.arange(first, first + count))
        self.chips += count

    def merge(self, other: "Summary") -> None:
        """Take in a summary of other chunks of the same study.

        Raises:
            InputError: a chunk is in both.
        """
        self._claim(other.chunks)
        for name, output in self.outputs.items():
            output.merge(other.outputs[name])
        self.chips += other.chips

    def _claim(self, numbers: set[int]) -> None:
        if both := self.chunks & numbers:
            raise InputError("chunks", "be counted once", f"{sorted(both)} twice")
        self.chunks |= numbers


def empty_summary(variables: Mapping[str, Variable], n: int) -> Summary:
    """Statistics of a study of n chips, before the first."""
    return Summary({name: OutputSummary(v.shape, v.dtype == bool, n) for name, v in variables.items()})
