"""A configured experiment on the digits."""

import dataclasses

import hfsim
from hfsim.hybrid import transfer
from training.hybrid.experiment import ROUNDINGS, Experiment
from training.hybrid.task import TASKS
from training.onchip.configuration import CARD, OnChip


def make_experiment(config: OnChip) -> Experiment:
    """The chips of a configuration, and their networks in floating point."""
    task = dataclasses.replace(
        TASKS["digits-online"],
        epochs=config.epochs,
        period=config.period,
        probability=config.probability,
        learning_rate=config.learning_rate,
        initial_spread=config.initial_spread,
    )
    card = hfsim.load_card(CARD)
    how = transfer(card, config.transfer, mechanism=config.mechanism, twin_noise=config.twin_noise, clip=config.clip)
    rule = {"step_scale": config.step_scale, "rounding": ROUNDINGS[config.rounding]}
    return Experiment(task, task.load(None), card, how, chips=config.chips, seed=config.seed, **rule)
