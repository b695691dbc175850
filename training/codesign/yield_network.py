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


LEARNED = 600
"""Images that are learned from. Chosen: the 837 others that are not tested then choose the specification, a point of
accuracy being eight of them."""


def images(config: CoDesign) -> Dataset:
    """The digits: some are learned from, the specification is chosen on `validation`, chips are counted on `test`.

    Raises:
        InputError: fewer than --samples.
    """
    data = load_digits()
    number = config.samples or LEARNED
    if number > len(data.train.labels):
        raise InputError("--samples", f"be at most the {len(data.train.labels)} of {data.name}", number)
    rest = Split(*(part[number:] for part in data.train))
    joined = Split(*(np.concatenate(pair) for pair in zip(rest, data.validation, strict=True)))
    return data._replace(train=Split(*(part[:number] for part in data.train)), validation=joined)


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
