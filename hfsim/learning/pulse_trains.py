"""Pulse trains: how the outer product x_i delta_j of one sample becomes numbers of pulses.

Every row carries a train of `bits` slots made from x_i, every column one made from delta_j, and a device gets one pulse
in each slot in which both fire, towards -sign(x_i delta_j). With s the wanted number of pulses per unit of x delta,

    p_i = |x_i| sqrt(s/BL) m,    q_j = |delta_j| sqrt(s/BL)/m,    <pulses> = BL p_i q_j = s |x_i delta_j|

    StochasticTrain      independent random slots, fired with p_i and q_j: the count is binomial (BL, p_i q_j)
    DeterministicTrain   n_i = round(BL p_i) slots from the first on, n_j = round(BL q_j) evenly spread: their product
                         over BL, rounded, the same each time; lines of less than half a slot are lost
    MeanCount            BL p_i q_j itself, rounded up with the probability of its fraction, by each device for itself:
                         no lines can do it; the least noise that whole pulses have

All pulses of a sample that go up and those that go down are sent together (the "compressed" scheme of the literature,
one pass in place of two). Update management (m, `balanced`) is m^2 = max|delta|/max|x| of the sample, so that both
lines fire alike. `adaptive` sends only the ceil(s max|x| max|delta|) slots that the largest pulse number needs, and
where that is more than `bits` it scales the whole sample down, so that pulses stay in proportion. Without it more is
cut off: probabilities end at 1.

T. Gokmen, Y. Vlasov, Front. Neurosci. 10, 333 (2016) (stochastic trains); T. Gokmen, M. Onen, W. Haensch, Front.
Neurosci. 11, 538 (2017) (management). Draws are hashed: see `hfsim.draws`.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from hfsim.draws import EventHash, address, event_hash, hashed_words, stream
from hfsim.errors import InputError

SLOTS = 32
"""The most slots of a train: the bits of a word."""
_TINY = 1e-30


class Lines(NamedTuple):
    """What one side of an array fires in one sample: a word with a bit for each slot, the share of the slots that is
    wanted, how many slots there are, and whether the factor is negative."""

    word: UInt32[Array, "*lines"]
    share: Float[Array, "*lines"]
    slots: Int[Array, ""]
    negative: Bool[Array, "*lines"]


class AbstractPulseTrain(eqx.Module):
    """How the factors of a sample become trains, and trains coincidences."""

    bits: int = eqx.field(static=True, default=31)
    balanced: bool = eqx.field(static=True, default=True)
    adaptive: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        if not isinstance(self.bits, int) or isinstance(self.bits, bool) or not 1 <= self.bits <= SLOTS:
            raise InputError("bits", f"be an integer from 1 to {SLOTS}", repr(self.bits))

    def lines(
        self, x: Float[Array, " inputs"], delta: Float[Array, " outputs"], strength, key: Key[Array, ""], event
    ) -> tuple[Lines, Lines]:
        """Trains of rows and columns for one sample; `strength` is s, (key, event) the sample's address."""
        x, delta = x.astype(jnp.float32), delta.astype(jnp.float32)
        most_x, most_delta = jnp.max(jnp.abs(x)), jnp.max(jnp.abs(delta))
        slots = jnp.int32(self.bits)
        if self.adaptive:
            largest = jnp.maximum(most_x * most_delta, _TINY)
            strength = jnp.minimum(strength, self.bits / largest)
            slots = jnp.clip(jnp.ceil(strength * largest).astype(jnp.int32), 1, self.bits)
        scale = jnp.sqrt(strength / slots)
        balance = jnp.sqrt(jnp.maximum(most_delta, _TINY) / jnp.maximum(most_x, _TINY)) if self.balanced else 1.0
        shares = jnp.minimum(jnp.abs(x) * scale * balance, 1.0), jnp.minimum(jnp.abs(delta) * scale / balance, 1.0)
        keys = address(stream(key, "rows"), event), address(stream(key, "columns"), event)
        words = self.row_words(shares[0], slots, keys[0]), self.column_words(shares[1], slots, keys[1])
        return Lines(words[0], shares[0], slots, x < 0), Lines(words[1], shares[1], slots, delta < 0)

    @abc.abstractmethod
    def row_words(self, share: Float[Array, " n"], slots, key: Key[Array, ""]) -> UInt32[Array, " n"]:
        """The slots in which rows of these shares fire."""

    @abc.abstractmethod
    def column_words(self, share: Float[Array, " n"], slots, key: Key[Array, ""]) -> UInt32[Array, " n"]:
        """The slots in which columns of these shares fire."""

    def counts(self, rows: Lines, columns: Lines, event: EventHash) -> Int[Array, "inputs outputs"]:
        """Signed numbers of pulses, up positive: -sign(x delta) times the coincidences."""
        together = jax.lax.population_count(rows.word[:, None] & columns.word[None, :]).astype(jnp.int32)
        return jnp.where(rows.negative[:, None] ^ columns.negative[None, :], together, -together)


class StochasticTrain(AbstractPulseTrain):
    """Random slots."""

    def row_words(self, share, slots, key):
        return self._random(share, slots, key)

    def column_words(self, share, slots, key):
        return self._random(share, slots, key)

    def _random(self, share, slots, key):
        words = hashed_words(event_hash(key, 0, (share.shape[0], self.bits)))
        fires = (words >> 1) < (share[:, None] * 2.0**31).astype(jnp.uint32)
        return _packed(fires & (jnp.arange(self.bits) < slots))


class DeterministicTrain(AbstractPulseTrain):
    """Rows fire at once, columns evenly spread."""

    def row_words(self, share, slots, key):
        return _packed(jnp.arange(self.bits) < jnp.round(share * slots)[:, None])

    def column_words(self, share, slots, key):
        number = jnp.round(share * slots).astype(jnp.int32)[:, None]
        slot = jnp.arange(self.bits)
        # of any first t slots, round(t number/slots) fire
        passed = (2 * slot * number + slots) // (2 * slots), (2 * (slot + 1) * number + slots) // (2 * slots)
        return _packed((passed[1] > passed[0]) & (slot < slots))


class MeanCount(AbstractPulseTrain):
    """The mean number of coincidences, rounded at random by each device for itself."""

    def row_words(self, share, slots, key):
        return jnp.zeros(share.shape, jnp.uint32)

    def column_words(self, share, slots, key):
        return jnp.zeros(share.shape, jnp.uint32)

    def counts(self, rows, columns, event):
        mean = rows.slots * rows.share[:, None] * columns.share[None, :]
        uniform = (hashed_words(event, -1) >> 8).astype(jnp.float32) * jnp.float32(2.0**-24)
        count = jnp.minimum(jnp.floor(mean + uniform).astype(jnp.int32), rows.slots)  # 1 in 2^24 sums rounds up
        return jnp.where(rows.negative[:, None] ^ columns.negative[None, :], count, -count)


def _packed(fires: Bool[Array, "n slots"]) -> UInt32[Array, " n"]:
    """One bit for each slot, the first the least."""
    place = jnp.arange(fires.shape[-1], dtype=jnp.uint32)
    return jnp.sum(fires.astype(jnp.uint32) << place, axis=-1, dtype=jnp.uint32)
