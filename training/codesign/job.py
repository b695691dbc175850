"""The job itself: the stages of a study one after another."""

import importlib
from typing import Any

from training.codesign.configuration import CoDesign
from training.codesign.stage import Found, Stage
from training.job import Job, Results


class CoDesignJob(Job):
    """A step is a stage."""

    unit = "stages"

    def __init__(self, config: CoDesign):
        self.config = config
        self.study = importlib.import_module(f"training.codesign.{config.study.replace('-', '_')}_study")
        self.stages: list[Stage] = self.study.stages(config)
        self.total = len(self.stages)
        self.found: dict[str, Found] = {}

    def step(self) -> None:
        stage = self.stages[self.steps]
        self.found[stage.name] = stage.run(self.found)

    def headline(self) -> str:
        """The stage that was done last."""
        return list(self.found)[-1]

    def arrays(self) -> Any:
        """None: what was found is kept as a record."""
        return None

    def restore(self, arrays: Any) -> None:
        pass

    def record(self) -> dict[str, Any]:
        return {"found": self.found}

    def restore_record(self, record: dict[str, Any]) -> None:
        self.found = record["found"]

    def finish(self) -> Results:
        return self.study.present(self.config, self.found)
