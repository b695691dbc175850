"""A job that takes no time: a random walk, each step drawn at its address."""

import dataclasses
import shutil
import time
from typing import ClassVar

import numpy as np

from training.job import Configuration, Job, Results, metric
from training.runner import run


@dataclasses.dataclass(frozen=True)
class Walk(Configuration):
    """A walk of 1,000 steps, of 2 ms at least."""

    name: ClassVar[str] = "walk"
    steps: ClassVar[int] = 1000

    grow: int = 0
    """Each step adds a hundredth of so many numbers to the record of a checkpoint."""
    vanish: int | None = None
    """The run's directory is removed in this step."""

    def job(self):
        return WalkJob(self)

    @classmethod
    def go(cls, seed: int) -> None:
        """Run one in runs/ of the working directory."""
        run(cls(seed=seed, quiet=True), [])


class WalkJob(Job):
    """The sum of random numbers."""

    total = Walk.steps

    def __init__(self, config: Walk):
        self.config, self.place, self.path = config, np.zeros(3), []

    def step(self) -> None:
        self.place = self.place + np.random.default_rng((self.config.seed, self.steps)).normal(size=3)
        self.path = [*self.path, *[float(self.place[0])] * (1 + self.config.grow // 100)]
        time.sleep(0.002)
        if self.steps == self.config.vanish:
            shutil.rmtree(self.config.run_dir)

    def arrays(self):
        return {"place": self.place}

    def restore(self, arrays) -> None:
        self.place = arrays["place"]

    def record(self):
        return {"path": self.path}

    def restore_record(self, record) -> None:
        self.path = record["path"]

    def finish(self) -> Results:
        metrics = {"place": metric(self.place, "1"), "path": metric(self.path, "1"), "steps": metric(self.steps, "1")}
        return Results("A walk", metrics)
