"""Stochastic gradient descent straight into the devices: every sample's outer product as pulses.

    <w> <- w - lr x delta^T      where a step is dw_min at every weight and in both directions

Real steps are not: with asymmetric ones the weights settle where the gradient balances the drift to the symmetry
point, and training fails on devices of few states. That is what the other rules are for.

T. Gokmen, Y. Vlasov, Front. Neurosci. 10, 333 (2016).
"""

import equinox as eqx
import jax.numpy as jnp

from hfsim.draws import stream
from hfsim.learning.pulse_trains import AbstractPulseTrain, StochasticTrain
from hfsim.learning.pulsed_rule import AbstractPulsedRule
from hfsim.learning.pulsed_update import PulsedArray, make_trains, pulsed_update
from hfsim.learning.synapse import AbstractSynapse


class PulsedSGD(AbstractPulsedRule):
    """Plain SGD by pulses; the arrays of a matrix are one `PulsedArray`."""

    synapse: AbstractSynapse
    train: AbstractPulseTrain = eqx.field(default_factory=StochasticTrain)
    disturb: bool = eqx.field(static=True, default=False)

    def start(self, w, key):
        return start_array(self.synapse, w, key)

    def learn(self, array, factors, rate, key, first):
        trains = make_trains(self.train, factors, self.learning_rate * rate / self.synapse.granularity, key, first)
        return pulsed_update(self.synapse, self.train, array, trains, key, disturb=self.disturb)[0]

    def weight(self, array):
        return self.synapse.weight(array.devices)

    def rest(self, array, seconds, temperature):
        return PulsedArray(self.synapse.wait(array.devices, seconds, temperature), array.pulses)


def start_array(synapse: AbstractSynapse, w, key) -> PulsedArray:
    """An array set to the weights `w`."""
    devices = synapse.place(synapse.init(w.shape, stream(key, "array")), w)
    return PulsedArray(devices, jnp.zeros(w.shape, jnp.int32))
