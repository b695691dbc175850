"""Trained chips left alone: accuracy after a time at a temperature, as they are and after a refresh.

The memristors relax; the FeCAPs keep the words, and one transfer writes the memristors anew from them. The article
gives no drift law: the card's amplitude is chosen, so it is an argument here, as a multiple.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from hfsim.units import ROOM_TEMPERATURE
from training.data import Split
from training.hybrid.experiment import Experiment
from training.hybrid.loop import Chip, predict, with_key

TIMES = {
    "1 s": 1.0,
    "1 h": 3600.0,
    "1 day": 86400.0,
    "1 month": 2.63e6,
    "1 year": 3.156e7,
    "10 years": 3.156e8,
}
"""How long trained chips are left alone [s]."""


class Shelf:
    """Trained chips (leading axis) of an experiment, tested on a split after a time at rest."""

    def __init__(self, experiment: Experiment, split: Split):
        self._data = (experiment.keys, jnp.asarray(split.images), jnp.asarray(split.labels))
        self._population = experiment.population

        def accuracy(chips, data, population, amplitude, seconds, temperature, refreshed):
            keys, images, labels = data
            memristor = experiment.memory.memristor
            memory = eqx.tree_at(
                lambda m: (m.memristor.nu, m.memristor.sigma_u),
                experiment.memory,
                (memristor.nu * amplitude, memristor.sigma_u * amplitude),
            )

            def one(inputs):
                key, chip = inputs
                own = with_key(memory, key)
                weights, state = own.wait(chip.params, chip.memory, seconds, temperature)
                if refreshed:
                    weights = own.programmed(weights, own.transfer_now(state))
                return jnp.mean(predict(experiment.graph, weights, images, population) == labels)

            return jax.lax.map(one, (keys, chips))

        self._accuracy = jax.jit(accuracy, static_argnames="refreshed")

    def accuracy(
        self, chips: Chip, seconds: float, *, temperature=ROOM_TEMPERATURE, amplitude=1.0, refreshed: bool = False
    ) -> Any:
        """Share of the split that each chip tells right.

        Args:
            chips: as trained, after their last transfer.
            seconds: at rest [s].
            temperature: at rest [K].
            amplitude: of drift and diffusion, in those of the card.
            refreshed: whether all words are transferred once more before the test.
        """
        how = (amplitude, seconds, temperature, refreshed)
        return np.asarray(self._accuracy(chips, self._data, self._population, *how))
