"""Mixed precision: the gradient is summed in digital memory, and whole steps of it are sent as pulses.

    X <- X - lr sum over the batch of x delta^T,    n = trunc(X/dw_min) cut at +-most_pulses
    the devices get n pulses,                       X <- X - n dw_min

after every `transfer_every` batches. Nothing is lost below a step, and devices move seldom, at the price of a digital
number and a digital multiply-accumulate for each weight and sample. What the devices really did is not looked at.

S. R. Nandakumar et al., Front. Neurosci. 14, 406 (2020).
"""

from dataclasses import KW_ONLY
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from hfsim.draws import address, event_hash, stream
from hfsim.errors import InputError
from hfsim.learning.pulsed_rule import AbstractPulsedRule
from hfsim.learning.pulsed_sgd import start_array
from hfsim.learning.pulsed_update import PulsedArray
from hfsim.learning.synapse import AbstractSynapse


class AccumulatedArray(NamedTuple):
    """The devices of a matrix, the accumulator X in weight, and the batches so far."""

    array: PulsedArray
    accumulator: Float[Array, "inputs outputs"]
    batches: Int[Array, ""]


class MixedPrecision(AbstractPulsedRule):
    """A digital accumulator and thresholded pulses."""

    synapse: AbstractSynapse
    _: KW_ONLY
    transfer_every: int = eqx.field(static=True, default=1)
    most_pulses: int = eqx.field(static=True, default=10)
    precision: jax.lax.Precision = eqx.field(static=True, default=jax.lax.Precision.HIGHEST)

    def __check_init__(self):
        for name in ("transfer_every", "most_pulses"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InputError(name, "be an integer >= 1", repr(value))

    def start(self, w, key):
        return AccumulatedArray(start_array(self.synapse, w, key), jnp.zeros_like(w), jnp.int32(0))

    def learn(self, array, factors, rate, key, first):
        gradient = jnp.matmul(factors.x.T, factors.delta, precision=self.precision)
        accumulator = array.accumulator - self.learning_rate * rate * gradient
        batches = array.batches + 1

        def sent(moved, accumulator):
            n = jnp.clip(jnp.trunc(accumulator / self.synapse.granularity), -self.most_pulses, self.most_pulses)
            counts, devices = n.astype(jnp.int32), self.synapse.awake(moved.devices)
            event = event_hash(stream(key, "pulses"), batches, counts.shape)
            own = address(stream(key, "devices"), batches)
            devices = self.synapse.pulses(devices, counts, event, own, self.most_pulses)
            devices = self.synapse.written(devices, counts != 0, event)
            return PulsedArray(devices, moved.pulses + jnp.abs(counts)), accumulator - n * self.synapse.granularity

        if self.transfer_every == 1:
            moved, left = sent(array.array, accumulator)
        else:  # devices at rest stay at rest until pulses come
            due = batches % self.transfer_every == 0
            moved, left = jax.lax.cond(due, sent, lambda *same: same, array.array, accumulator)
        return AccumulatedArray(moved, left, batches)

    def weight(self, array):
        return self.synapse.weight(array.array.devices)

    def rest(self, array, seconds, temperature):
        devices = self.synapse.wait(array.array.devices, seconds, temperature)
        return array._replace(array=PulsedArray(devices, array.array.pulses))
