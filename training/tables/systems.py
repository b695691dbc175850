"""Cases of a configuration: which task, which storage, on which samples."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import hfsim
from hfsim.errors import InputError
from hfsim.hybrid import AbstractTransfer, transfer
from training.data import Dataset, Split
from training.hybrid.experiment import ROUNDINGS, Experiment
from training.hybrid.task import TASKS, Task
from training.tables.case import ChipCase, FloatCase, Learner
from training.tables.configuration import CARD, Tables


def task_of(config: Tables, name: str, **changes: Any) -> Task:
    """A task of the article with the options of the configuration and further `changes`."""
    return dataclasses.replace(with_options(config, TASKS[name]), **changes)


def with_options(config: Tables, task: Task) -> Task:
    """A task with the options of the configuration."""
    chosen = {"epochs": config.epochs, "learning_rate": config.learning_rate, "initial_spread": config.initial_spread}
    given = {name: value for name, value in chosen.items() if value is not None}
    return dataclasses.replace(task, **given)


def data_of(config: Tables, task: Task) -> Dataset:
    """The task's data: see `reported`."""
    return reported(config, task.load)


def reported(config: Tables, load: Callable[[Path | None], Dataset]) -> Dataset:
    """Data whose `test` is what is reported, and not learned from.

    Raises:
        InputError: they are not to be had, or fewer than --samples.
    """
    data = load(config.data)
    learned, reported = data.train, data.validation
    if config.part == "test":
        joined = (np.concatenate(pair) for pair in zip(data.train, data.validation, strict=True))
        learned, reported = Split(*joined), data.test
    if config.samples is not None:
        if config.samples > len(learned.labels):
            raise InputError("--samples", f"be at most the {len(learned.labels)} of {data.name}", config.samples)
        learned = Split(learned.images[: config.samples], learned.labels[: config.samples])
    return data._replace(train=learned, test=reported)


def transfer_of(config: Tables, storage: str) -> AbstractTransfer:
    """How words become conductances in a storage; floating point has none, and takes the even levels."""
    kind = "linear" if storage == "float" else storage
    return transfer(hfsim.load_card(CARD), kind, twin_noise=config.twin_noise, clip=config.clip)


def make_experiment(config: Tables, task: Task, data: Dataset, how: AbstractTransfer, **changes: Any) -> Experiment:
    """The systems of a configuration that learn a task, their words transferred as `how` does.

    `changes` are further arguments of the memory.
    """
    rule = {
        "rounding": ROUNDINGS[config.rounding],
        "step_scale": task.step_scale if config.step_scale is None else config.step_scale,
    }
    return Experiment(task, data, hfsim.load_card(CARD), how, chips=config.seeds, seed=config.seed, **rule, **changes)


def make_case(config: Tables, name: str, task: Task, data: Dataset, storage: str) -> Learner:
    """The case of this name."""
    kind = FloatCase if storage == "float" else ChipCase
    return kind(name, task.epochs, lambda: make_experiment(config, task, data, transfer_of(config, storage)))
