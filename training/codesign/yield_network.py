"""The network of the study of yield: learned once on a chip of published levels, its 10-bit words kept."""

import dataclasses

import numpy as np

import hfsim
from hfsim.errors import InputError
from hfsim.hybrid import transfer
from training.codesign.configuration import CoDesign
from training.data import Dataset, Split, load_digits
from training.hybrid.experiment import ROUNDINGS, Experiment
from training.hybrid.task import TASKS

CARD = "cea-leti-2025-hybrid"
HIDDEN = 64
"""Features of the hidden layer. Chosen: 4,736 weights, so that thousands of chips are counted in seconds."""


def images(config: CoDesign) -> Dataset:
    """The digits, cut to --samples to learn from; specifications are chosen on `validation`, counted on `test`.

    Raises:
        InputError: fewer than --samples.
    """
    data = load_digits()
    if config.samples is None:
        return data
    if config.samples > len(data.train.labels):
        raise InputError("--samples", f"be at most the {len(data.train.labels)} of {data.name}", config.samples)
    return data._replace(train=Split(data.train.images[: config.samples], data.train.labels[: config.samples]))


def learn(config: CoDesign) -> list[list[list[float]]]:
    """Words of each layer after learning online, sample by sample, with the published table of levels."""
    task = dataclasses.replace(TASKS["digits-online"], hidden=(HIDDEN,))
    if config.epochs is not None:
        task = dataclasses.replace(task, epochs=config.epochs)
    card = hfsim.load_card(CARD)
    rule = {"rounding": ROUNDINGS["nearest"], "step_scale": task.step_scale}
    experiment = Experiment(task, images(config), card, transfer(card), chips=1, seed=config.seed, **rule)
    chips = experiment.start()
    for epoch in range(task.epochs):
        chips, _ = experiment.train(chips, epoch)
    return [np.asarray(weight.words[0], float).tolist() for weight in chips.memory.weights]
