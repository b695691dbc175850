"""What a trained chip does: accuracy, confusion, level statistics, and ten years on a shelf."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from hfsim.draws import address, stream
from hfsim.hybrid import CODES, WORDS_PER_CODE
from hfsim.learning import HybridMemory
from training.data import Split
from training.hybrid.ageing import TIMES, Shelf
from training.hybrid.experiment import Experiment
from training.hybrid.loop import Chip, predict

AMPLITUDES = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Multiples of the card's drift and diffusion that the report sweeps; 1 is the card."""


def confusion(graph: Any, params: Any, split: Split, classes: int) -> Int[np.ndarray, "classes classes"]:
    """Counts of (true, predicted) classes, summed over the chips."""
    predicted = jax.jit(jax.vmap(lambda p: predict(graph, p, jnp.asarray(split.images))))(params)
    table = np.zeros((classes, classes), np.int64)
    for row in np.asarray(predicted):
        np.add.at(table, (split.labels, row), 1)
    return table


def ageing(experiment: Experiment, chips: Chip) -> Float[np.ndarray, "amplitudes times chips"]:
    """Test accuracy after each of `TIMES` at rest, for relaxation at each of `AMPLITUDES` times the card's.

    The trained chip is left alone: nothing is refreshed or compensated.
    """
    shelf = Shelf(experiment, experiment.data.test)
    return np.asarray([[shelf.accuracy(chips, t, amplitude=a) for t in TIMES.values()] for a in AMPLITUDES])


class Levels(NamedTuple):
    """Conductances [uS] of the programmed memristors by code, and their mean and standard deviation."""

    samples: tuple[Float[np.ndarray, " devices"], ...]
    mean: Float[np.ndarray, " 8"]
    sigma: Float[np.ndarray, " 8"]


def measure_levels(memory: HybridMemory, keys: Any, chips: Chip) -> Levels:
    """Statistics of one transfer of a test pattern: every code on an eighth of the weights of every chip.

    The pattern is programmed on a copy of the chips' own devices; the trained weights are not touched.
    """

    @jax.jit
    def targets(keys, chips: Chip):
        def one(key, chip: Chip):
            found = []
            for index, weight in enumerate(chip.memory.weights):
                codes = jnp.arange(weight.words.size).reshape(weight.words.shape) % CODES
                words = (codes * WORDS_PER_CODE).astype(weight.words.dtype)
                where = address(stream(key, "level measurement"), index)
                found.append(memory.transfer.program(words, weight.devices, where).plus)
            return found

        return jax.vmap(one)(keys, chips)

    samples: list[list[np.ndarray]] = [[] for _ in range(CODES)]
    for found in targets(keys, chips):
        flat = np.asarray(found).reshape(len(found), -1)
        for code in range(CODES):
            samples[code].append(flat[:, code::CODES].ravel())
    joined = tuple(np.concatenate(s) for s in samples)
    return Levels(joined, np.asarray([s.mean() for s in joined]), np.asarray([s.std() for s in joined]))
