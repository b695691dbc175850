"""The options of the tables: which one, how large, and the choices that the article leaves open."""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, Literal

from hfsim.errors import InputError
from training.job import Configuration, option

CARD = "cea-leti-2025-hybrid"
TASK_NAMES = ("mnist-batch", "mnist-online", "ecg-online", "fashion-online", "digits-online")
STORAGES = ("float", "linear", "measured", "circuit")
SCENARIOS = ("drift", "new-class", "second-task")


@dataclasses.dataclass(frozen=True)
class Tables(Configuration):
    """Reproduce a table of the hybrid-memory article, with several seeds at once as one compiled program.

    accuracy: every task in floating point, on the chip without variability, and with it. period: accuracy, operations
    and energy against the number of samples from one transfer to the next. ageing: accuracy over ten years at 25 and
    85 degrees, left alone and refreshed. programming: single-shot transfers against verified ones, with energy
    and wear. continual: trained systems whose inputs drift, or that meet a new class or a second task, and go on
    learning: what they gain and what they forget.
    """

    name: ClassVar[str] = "tables"

    table: Literal["accuracy", "period", "ageing", "programming", "continual"] = "accuracy"
    """Which one."""
    tasks: tuple[str, ...] = ()
    """Some of mnist-batch, mnist-online, ecg-online, fashion-online, digits-online; default: those of the table."""
    storages: tuple[str, ...] = ()
    """Where weights are: float, linear (a chip without variability), measured (published levels and spread), circuit
    (physics of the transfer); default: those of the table."""
    periods: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100, 200, 400, 600)
    """Of the table period."""
    tolerances: tuple[float, ...] = (8.7, 4.35, 2.0)
    """Of the table programming: how near its level a memristor must be read to be left [uS]."""
    attempts: int = 20
    """Of the table programming: the most RESETs and SETs of one memristor in a transfer."""
    scenarios: tuple[str, ...] = ()
    """Of the table continual: some of drift, new-class, second-task; default: all."""
    seeds: int = 5
    """Systems side by side, each with its own initial weights, order of samples, devices and draws."""
    part: Literal["test", "validation"] = "test"
    """test: learn from all training samples, report the test samples, once. validation: hold a part of the training
    samples back and report that: for choosing."""
    epochs: int | None = None
    """Passes over the training samples; default: the article's, of each task, and half of them after a change in the
    table continual."""
    samples: int | None = None
    """Learn from so many training samples only."""
    learning_rate: float | None = None
    """Default: each task's."""
    step_scale: float | None = None
    """Hidden steps per unit of learning rate times gradient; default: each task's."""
    initial_spread: float | None = None
    """Standard deviation of the initial hidden words, of 511; default: each task's."""
    rounding: Literal["nearest", "stochastic", "truncate"] = "stochastic"
    """How a step becomes an integer; the default was best on the validation part of MNIST (docs/choices.md)."""
    twin_noise: bool = True
    """Draw noise on the idle memristor of each pair too, as the published spread is that of every level."""
    clip: bool = False
    """Cut drawn conductances at 0."""
    data: Path | None = None
    """A directory of data sets to look in first."""

    def __post_init__(self):
        super().__post_init__()
        self._require_positive("seeds", "attempts", *(n for n in ("epochs", "samples") if getattr(self, n) is not None))
        for name, known in (("tasks", TASK_NAMES), ("storages", STORAGES), ("scenarios", SCENARIOS)):
            if getattr(self, name):
                self._require_some(name, known)
        if self.table != "accuracy" and len(self.tasks) > 1:
            raise InputError("--tasks", f"be one for the table {self.table}", " ".join(self.tasks))
        if self.table == "continual" and "ecg-online" in self.tasks:
            raise InputError("--tasks", "be of images for the table continual", "ecg-online")
        if self.table != "continual" and self.scenarios:
            raise InputError("--scenarios", f"be left out for the table {self.table}", " ".join(self.scenarios))
        if self.table not in ("accuracy", "continual") and "float" in self.storages:
            raise InputError("--storages", f"be of chips for the table {self.table}", " ".join(self.storages))
        if self.table == "programming" and self.storages:
            raise InputError("--storages", "be left out for the table programming", " ".join(self.storages))
        if not self.periods or min(self.periods) < 1 or len(set(self.periods)) < len(self.periods):
            raise InputError(option("periods"), "be integers >= 1, none twice", self.periods)
        if len(set(self.tolerances)) < len(self.tolerances) or not all(1e-3 <= t <= 1e3 for t in self.tolerances):
            raise InputError(option("tolerances"), "lie in [0.001, 1000] uS, none twice", self.tolerances)
        for name, low, high in (("learning_rate", 0, 1e6), ("step_scale", 1, 1e6), ("initial_spread", 0, 1e6)):
            if getattr(self, name) is not None:
                self._require_range(name, low, high)

    def settings(self) -> dict[str, Any]:
        return {"card": CARD, **super().settings()}

    def job(self):
        from training.tables.job import TablesJob

        return TablesJob(self)
