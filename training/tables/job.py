"""The job itself: cases one after another, epoch by epoch."""

import importlib
from typing import Any

import numpy as np

from training.job import Job, Results
from training.tables.case import Case, Measures
from training.tables.configuration import Tables


class TablesJob(Job):
    """A step is an epoch of a case; its measures are taken after its last."""

    unit = "epochs of a case"

    def __init__(self, config: Tables):
        self.config = config
        self.kind = importlib.import_module(f"training.tables.{config.table.replace('-', '_')}")
        self.cases: list[Case] = self.kind.cases(config)
        self.total = sum(case.epochs for case in self.cases)
        self.state: Any = None
        self.measured: dict[str, Measures] = {}
        self.online: dict[str, list[list[float]]] = {}

    def _place(self, step: int) -> tuple[int, int]:
        """Number of the case and of the epoch in it that a step does."""
        for number, case in enumerate(self.cases):
            if step < case.epochs:
                return number, step
            step -= case.epochs
        raise IndexError(step)

    def step(self) -> None:
        number, epoch = self._place(self.steps)
        case = self.cases[number]
        if epoch == 0:
            self.state = case.start()
        self.state, right = case.epoch(self.state, epoch)
        self.online.setdefault(case.name, []).append(right)
        if epoch == case.epochs - 1:
            self.measured[case.name] = case.measure(self.state)
            case.release()

    def headline(self) -> str:
        """The case, and its share told right in the last epoch."""
        name = list(self.online)[-1]
        return f"{name} {np.mean(self.online[name][-1]):.1%}"

    def arrays(self) -> Any:
        """The state of the case at hand; none before the first step."""
        if self.state is None and self.steps:
            self.state = self.cases[self._place(self.steps - 1)[0]].start()
        return self.state

    def restore(self, arrays: Any) -> None:
        self.state = arrays

    def record(self) -> dict[str, Any]:
        return {"measured": self.measured, "online": self.online}

    def restore_record(self, record: dict[str, Any]) -> None:
        self.measured, self.online = record["measured"], record["online"]

    def finish(self) -> Results:
        return self.kind.present(self.config, self.measured, self.online)
