"""A batch of outer products into an array of devices, pulse by pulse.

    w <- w - lr sum over samples of x_b delta_b^T      in the mean, where steps are even

The samples come one after the other, and the pulses of a sample one after the other (or at once, in closed form, as
`PulsedSynapse` says): no sum over the batch is made before the devices have seen it, so coarse, asymmetric and
saturating devices do what they would. What is drawn for a sample, write noise included, has the address (key, number
of the sample in the array's life): a batch that is split gives the same to the bit.

Half-selected devices (`disturb`): with half of the voltage on either line, a device whose row or column fires alone
sees half a pulse. In the up phase rows and columns fire once each, and so in the down phase; a device gets

    h_up = n_x + n_delta - 2 max(c, 0),    h_down = n_x + n_delta - 2 max(-c, 0)

half pulses, n_x and n_delta being the slots in which its lines fire and c its signed count. They come after the
sample's full pulses, up before down.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from hfsim.draws import EventHash, address, event_hash, stream
from hfsim.errors import InputError
from hfsim.learning.factors import Factors
from hfsim.learning.pulse_trains import AbstractPulseTrain, Lines, MeanCount
from hfsim.learning.synapse import AbstractSynapse


class Trains(NamedTuple):
    """The trains of a batch: lines of rows and columns, random words and number of each sample."""

    rows: Lines
    columns: Lines
    event: EventHash
    number: Int[Array, " samples"]


class PulsedArray(NamedTuple):
    """An array of devices, and how many pulses each of them ever got."""

    devices: Any
    pulses: Int[Array, "inputs outputs"]


def make_trains(
    train: AbstractPulseTrain,
    factors: Factors,
    strength: Float[Array, "..."] | float,
    key: Key[Array, ""],
    first: Int[Array, ""] | int = 0,
) -> Trains:
    """Trains of a batch.

    Args:
        train: how factors become pulses.
        factors: x (samples, inputs), delta (samples, outputs).
        strength: pulses per unit of x delta (learning rate over granularity), one for all samples or one each.
        key: the array's constant stream.
        first: number of the first sample in the array's life.
    """
    shape = (factors.x.shape[-1], factors.delta.shape[-1])
    numbers = first + jnp.arange(factors.x.shape[0], dtype=jnp.int32)
    strengths = jnp.broadcast_to(strength, numbers.shape)
    lines = jax.vmap(lambda x, d, s, n: train.lines(x, d, s, stream(key, "trains"), n))
    rows, columns = lines(*factors, strengths, numbers)
    events = jax.vmap(lambda n: event_hash(stream(key, "pulses"), n, shape))(numbers)
    return Trains(rows, columns, events, numbers)


def pulsed_update(
    synapse: AbstractSynapse,
    train: AbstractPulseTrain,
    array: PulsedArray,
    trains: Trains,
    key: Key[Array, ""],
    *,
    disturb: bool = False,
    signs: Callable[[Any], Float[Array, " inputs"] | None] | None = None,
    between: Callable[[PulsedArray, Any, Int[Array, ""]], tuple[Any, Any]] | None = None,
    carry: Any = None,
) -> tuple[PulsedArray, Any, Any]:
    """Apply the samples of a batch in order.

    Args:
        synapse: the devices' model.
        train: what made the trains.
        array: devices of shape (inputs, outputs) and their counts.
        trains: those of the batch.
        key: the array's constant stream.
        disturb: whether half-selected devices see half pulses; the synapse must know what those do.
        signs: of `carry`, the sign with which each row enters a sample.
        between: called after each sample with (array, `carry`, number of the sample); returns the new `carry` and
            what is kept of this sample.
        carry: what `between` carries along.

    Returns:
        The array after the batch, `carry`, and what `between` kept, stacked.

    Raises:
        InputError: `disturb` with `MeanCount`, whose lines do not fire.
    """
    if disturb and isinstance(train, MeanCount):
        raise InputError("disturb", "be False with MeanCount, whose lines do not fire", "True", "take StochasticTrain")

    synapse = synapse.prepared()

    def sample(state, inputs):
        (devices, pulses), carry = state
        rows, columns, event, number = inputs
        turned = None if signs is None else signs(carry)
        if turned is not None:
            rows = rows._replace(negative=rows.negative ^ (turned < 0))
        counts = train.counts(rows, columns, event)
        own = address(stream(key, "devices"), number)
        devices = synapse.pulses(devices, counts, event, own, train.bits)
        devices = synapse.written(devices, counts != 0, event)
        if disturb:
            devices = synapse.half_pulses(devices, *half_selected(rows, columns, counts))
        array, kept = PulsedArray(devices, pulses + jnp.abs(counts)), None
        if between is not None:
            carry, kept = between(array, carry, number)
        return (array, carry), kept

    start = PulsedArray(synapse.awake(array.devices), array.pulses)
    (after, carry), kept = jax.lax.scan(sample, (start, carry), trains)
    return after, carry, kept


def half_selected(rows: Lines, columns: Lines, counts: Int[Array, "inputs outputs"]):
    """Numbers of half pulses up and down that each device sees in a sample."""
    fired = [jax.lax.population_count(line.word).astype(jnp.int32) for line in (rows, columns)]
    lines = fired[0][:, None] + fired[1][None, :]
    return lines - 2 * jnp.maximum(counts, 0), lines - 2 * jnp.maximum(-counts, 0)
