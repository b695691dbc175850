"""Two arrays, the rows of one read and sent on to the other: what the Tiki-Taka rules have in common.

The fast array A takes every sample's outer product as pulses, on devices whose symmetry point reads 0 (or is found on
the way), so that what it holds decays there: it is a leaky mean of the gradient. After every `transfer_every` samples
one row v of A is read, the rows in turn, and the slow array C gets pulses on that row: how many is the rule's own.
Forward and backward read C. Rows are the inputs: one is read by driving it alone, as `row_read` says.

The rate r with which v becomes pulses. A holds -dw_A s times the sum of x delta over its memory, s being the strength
of its trains, so

    r = lr/(dw_C dw_A s)

makes one reading of a row worth a step of size lr along the gradient that A then holds. A reading does not empty A: the
same gradient is read again until it has decayed, and lr is larger in effect by as many readings.

T. Gokmen, W. Haensch, Front. Neurosci. 14, 103 (2020).
"""

import abc
from dataclasses import KW_ONLY
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from hfsim.draws import address, stream
from hfsim.errors import InputError
from hfsim.learning.pulse_trains import AbstractPulseTrain, StochasticTrain
from hfsim.learning.pulsed_rule import AbstractPulsedRule
from hfsim.learning.pulsed_sgd import start_array
from hfsim.learning.pulsed_update import PulsedArray, make_trains, pulsed_update
from hfsim.learning.rows import RowRead, pulsed_row, row_of
from hfsim.learning.scaling import AbstractScale, AutoScale, Strengths
from hfsim.learning.synapse import AbstractSynapse


class TransferArrays(NamedTuple):
    """The arrays of a matrix: A, C, the choppers, what is remembered of reads, what the scale remembers.

    `chopper` has one entry for each row, `memory` one for each device.
    """

    fast: PulsedArray
    slow: PulsedArray
    chopper: Any
    memory: Any
    scale: Float[Array, " n"]


class Read(NamedTuple):
    """One row of A: which, what was read, and its chopper as it then stood."""

    row: Int[Array, ""]
    v: Float[Array, " outputs"]
    chopper: Any


class AbstractRowTransfer(AbstractPulsedRule):
    """Learning by a fast array whose rows are read and sent on to a slow array.

    Args:
        fast: devices of A.
        slow: devices of C.
        scale: how strongly factors drive A.
        train: trains that they are sent as.
        row_read: noise and converters of the reads of A.
        transfer_every: samples from one read of a row to the next.
        most_pulses: the most that a device of C gets at a transfer.
        disturb: whether half-selected devices of A see half pulses.
    """

    fast: AbstractSynapse
    slow: AbstractSynapse
    _: KW_ONLY
    scale: AbstractScale = eqx.field(default_factory=AutoScale)
    train: AbstractPulseTrain = eqx.field(default_factory=StochasticTrain)
    row_read: RowRead = eqx.field(default_factory=RowRead)
    transfer_every: int = eqx.field(static=True, default=1)
    most_pulses: int = eqx.field(static=True, default=10)
    disturb: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        for name in ("transfer_every", "most_pulses"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(name, "be an integer >= 1", repr(value))

    @abc.abstractmethod
    def start_memory(self, shape: tuple[int, ...]) -> Any:
        """What is remembered of reads, before the first."""

    @abc.abstractmethod
    def collected(self, memory: Any, read: Read, rate, key: Key[Array, ""]) -> tuple[Any, Float[Array, " outputs"]]:
        """What is remembered of a row after a read, and the signed whole numbers of pulses that C gets on it."""

    def start_chopper(self, rows: int) -> Any:
        """The choppers before the first read: none."""
        return ()

    def signs(self, chopper: Any) -> Float[Array, " inputs"] | None:
        """The sign with which each row's gradient goes into A now; None where it never turns."""
        return None

    def turned(self, chopper: Any, key: Key[Array, ""]) -> Any:
        """The chopper of one row after a read."""
        return chopper

    def rate_now(self, strengths: Strengths) -> Float[Array, " samples"]:
        """The learning rate of each sample."""
        return jnp.broadcast_to(self.learning_rate, strengths.inverse.shape)

    def start(self, w, key):
        fast = start_array(self.fast, jnp.zeros_like(w), stream(key, "fast"))
        slow = start_array(self.slow, w, stream(key, "slow"))
        return TransferArrays(
            fast,
            slow,
            self.start_chopper(w.shape[0]),
            self.start_memory(w.shape),
            self.scale.start(),
        )

    def learn(self, array, factors, rate, key, first):
        fast_key = stream(key, "fast")
        interval = self.transfer_every * factors.x.shape[-1]
        scale, strengths = self.scale.strengths(array.scale, factors, self.fast.granularity, interval)
        trains = make_trains(self.train, factors, strengths.now, fast_key, first)

        # what C does has no effect on A: all reads first, then all transfers
        fast, chopper, reads = pulsed_update(
            self.fast,
            self.train,
            array.fast,
            trains,
            fast_key,
            disturb=self.disturb,
            signs=self.signs,
            between=lambda fast, chopper, number: self._read(fast, chopper, key, number),
            carry=array.chopper,
        )
        granularity = self.slow.granularity * self.fast.granularity
        rates = rate * self.rate_now(strengths) * strengths.inverse / granularity

        def transfer(carry, inputs):
            read, own, number = inputs
            return self._transfer(carry, read, own, number, key), None

        begun = (PulsedArray(self.slow.awake(array.slow.devices), array.slow.pulses), array.memory)
        (slow, memory), _ = jax.lax.scan(transfer, begun, (reads, rates, trains.number))
        return TransferArrays(fast, slow, chopper, memory, scale)

    def rows_read(self, samples):
        return samples // self.transfer_every

    def weight(self, array):
        return self.slow.weight(array.slow.devices)

    def rest(self, array, seconds, temperature):
        fast = PulsedArray(self.fast.wait(array.fast.devices, seconds, temperature), array.fast.pulses)
        slow = PulsedArray(self.slow.wait(array.slow.devices, seconds, temperature), array.slow.pulses)
        return array._replace(fast=fast, slow=slow)

    def _due(self, number):
        """Whether a row is read after sample `number`, and which."""
        reads = (number + 1) // self.transfer_every
        return (number + 1) % self.transfer_every == 0, reads - 1

    def _read(self, fast: PulsedArray, chopper, key, number):
        """The choppers after a sample, and the row that is read if it is due."""
        due, index = self._due(number)
        shape = fast.pulses.shape
        row = index % shape[0]
        w = row_of(self.fast, shape, row).weight(row_of(fast.devices, shape, row))[0]
        v = self.row_read(w, address(stream(key, "reads"), number))
        own = jax.tree.map(lambda leaf: leaf[row], chopper)
        after = self.turned(own, address(stream(key, "choppers"), number))
        put = jax.tree.map(lambda leaf, new, old: leaf.at[row].set(jnp.where(due, new, old)), chopper, after, own)
        return put, Read(row, v, own)

    def _transfer(self, carry, read: Read, rate, number, key):
        """One row of A into C, if it is due."""
        slow, memory = carry
        due, _ = self._due(number)
        # taken out once: a row that is read again after it was replaced would make XLA copy whole arrays
        own = jax.lax.optimization_barrier(jax.tree.map(lambda leaf: leaf[read.row], memory))
        after, n = self.collected(own, read, rate, address(stream(key, "transfers"), number))
        memory = jax.tree.map(
            lambda leaf, new, old: leaf.at[read.row].set(jnp.where(due, new, old)), memory, after, own
        )
        pulses = jnp.where(due, jnp.clip(n, -self.most_pulses, self.most_pulses), 0.0).astype(jnp.int32)
        return pulsed_row(self.slow, slow, read.row, pulses, stream(key, "slow"), number, self.most_pulses), memory
