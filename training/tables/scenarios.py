"""What befalls a trained system: a course is a first stage, and changes that each follow on the end of the first.

drift: the camera ages and slips (`training.data.changes`). new-class: all classes but the last, then all of them, or
(new-class-alone) the last one without the others. second-task: another data set, or the same with permuted pixels,
through the same outputs.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hfsim.errors import InputError
from training.data import Dataset, Split
from training.data.changes import drifted, of_classes, permuted
from training.hybrid.task import TASKS, Task
from training.tables.configuration import SCENARIOS, Tables
from training.tables.systems import data_of, task_of

OTHERS = {"mnist-batch": "fashion-online", "mnist-online": "fashion-online", "fashion-online": "mnist-online"}
"""The second task of each; of others it is their own with permuted pixels."""
SAID_OTHERS = {"fashion-online": "Fashion-MNIST after MNIST", "mnist-online": "MNIST after Fashion-MNIST"}


class Stage(NamedTuple):
    """What is learned for some epochs, made when it is needed, and a test of it."""

    name: str
    epochs: int
    learned: Callable[[], Split]
    test: Split


@dataclasses.dataclass(frozen=True)
class Course:
    """The first stage, and the changes after it, each learned by the systems as the first stage left them."""

    first: Stage
    changes: tuple[Stage, ...]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All, the first one first."""
        return (self.first, *self.changes)

    @property
    def epochs(self) -> int:
        """Of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def place(self, epoch: int) -> tuple[int, int]:
        """Number of the stage that an epoch is in, and of the epoch in it."""
        for number, stage in enumerate(self.stages):
            if epoch < stage.epochs:
                return number, epoch
            epoch -= stage.epochs
        raise IndexError(epoch)


def courses(config: Tables, task: Task, data: Dataset, name: str) -> list[Course]:
    """The courses of the scenarios that are asked for, of a task and its data.

    Raises:
        InputError: data of a second task are not to be had, or --samples leave a class without any.
    """
    chosen = config.scenarios or SCENARIOS
    later = config.epochs or max(1, task.epochs // 2)
    changes = []
    if "drift" in chosen:
        changes.append(Stage("drift", later, lambda: drifted(data.train), drifted(data.test)))
    if "second-task" in chosen:
        changes.append(_second_task(config, data, name, later))
    found = [Course(Stage("task", task.epochs, lambda: data.train, data.test), tuple(changes))] if changes else []
    return [*found, _classes(task, data, later)] if "new-class" in chosen else found


def _second_task(config: Tables, data: Dataset, name: str, epochs: int) -> Stage:
    if name not in OTHERS:
        return Stage("second-task", epochs, lambda: permuted(data.train), permuted(data.test))
    other = data_of(config, task_of(config, OTHERS[name]))
    return Stage("second-task", epochs, lambda: other.train, other.test)


def _classes(task: Task, data: Dataset, later: int) -> Course:
    old, new = range(data.classes - 1), (data.classes - 1,)
    held = int(np.sum(data.train.labels == new[0]))
    if held < task.batch:
        raise InputError("--samples", f"hold at least {task.batch} of the class {new[0]}", f"{held} of it")
    test = of_classes(data.test, new)
    first = Stage("old-classes", task.epochs, lambda: of_classes(data.train, old), of_classes(data.test, old))
    alone = Stage("new-class-alone", later, lambda: of_classes(data.train, new), test)
    return Course(first, (Stage("new-class", later, lambda: data.train, test), alone))


def said(name: str) -> dict[str, str]:
    """The changes of a task in words, in the order of the table."""
    second = SAID_OTHERS[OTHERS[name]] if name in OTHERS else f"{TASKS[name].title.split()[0]}, pixels permuted"
    return {
        "drift": "drifted inputs",
        "new-class": "new class among the old",
        "new-class-alone": "new class alone",
        "second-task": second,
    }
