"""The options of the tables: which one, how large, and the choices that the article leaves open."""

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from hfsim.errors import InputError
from training.job import Configuration, option

CARD = "cea-leti-2025-hybrid"
TASK_NAMES = ("mnist-batch", "mnist-online", "ecg-online", "fashion-online", "digits-online")
DEAD_KINDS = ("fecaps", "low", "high")
STORAGES = ("float", "linear", "measured", "circuit")
SCENARIOS = ("drift", "new-class", "second-task")
PAIR_NAMES = ("mnist-halves", "mnist-to-fashion", "fashion-to-mnist", "digits-halves")

_SWEPT = {
    "tolerances": (1e-3, 1e3, " uS"),
    "spreads": (0.0, 0.5, ""),
    "temperatures": (200.0, 500.0, " K"),
    "cycles": (1.0, 1e10, ""),
    "windows": (0.0, 5e3, " mV"),
    "dead": (0.0, 1.0, ""),
}
"""Least and largest value of each list of numbers, and its unit."""
_OF_SOME_TABLES = {
    "tasks": ("accuracy", "period", "circuit", "ageing", "continual", "wear", "programming"),
    "storages": ("accuracy", "period", "ageing", "continual"),
    "periods": ("period",),
    "conditions": ("circuit",),
    "spreads": ("circuit",),
    "temperatures": ("circuit",),
    "cycles": ("circuit",),
    "windows": ("circuit",),
    "scenarios": ("continual",),
    "pairs": ("last-layer",),
    "base_epochs": ("last-layer",),
    "kinds": ("wear",),
    "dead": ("wear",),
    "tolerances": ("programming",),
    "attempts": ("programming",),
}
"""Options that other tables would not use."""


@dataclasses.dataclass(frozen=True)
class Tables(Configuration):
    """Reproduce a table of the hybrid-memory article, with several seeds at once as one compiled program.

    accuracy: every task in floating point, on the chip without variability, and with it. period: accuracy, operations
    and energy against the number of samples from one transfer to the next. ageing: accuracy over ten years at 25 and
    85 degrees, left alone and refreshed. circuit: levels and bit errors from physics, against spread, temperature,
    wear and memory window. wear: cycles of every device, the first failure, and the network as devices die.
    continual: trained systems whose inputs drift, or that meet a new class or a second task, and go on learning: what
    they gain and what they forget. last-layer: a last layer on the features of a frozen network, learned offline and
    on the chip; the frozen networks are trained in the same run. programming: single-shot transfers against verified
    ones, with energy and wear.
    """

    name: ClassVar[str] = "tables"

    table: Literal["accuracy", "period", "circuit", "ageing", "continual", "last-layer", "wear", "programming"] = (
        "accuracy"
    )
    """Which one."""
    tasks: tuple[str, ...] = ()
    """Some of mnist-batch, mnist-online, ecg-online, fashion-online, digits-online; default: those of the table."""
    storages: tuple[str, ...] = ()
    """Where weights are: float, linear (a chip without variability), measured (published levels and spread), circuit
    (physics of the transfer); default: those of the table."""
    periods: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100, 200, 400, 600)
    """Of the table period."""
    conditions: tuple[str, ...] = ()
    """Of the table circuit: some of levels_saturation, levels_starvation, sensed, and spread, temperature, cycles or
    window with _ and a value of the next options; default: all."""
    spreads: tuple[float, ...] = (0.1, 0.171, 0.3)
    """Of the table circuit: relative spreads of P_r."""
    temperatures: tuple[float, ...] = (358.15, 398.15)
    """Of the table circuit [K]."""
    cycles: tuple[float, ...] = (1e7, 1e8, 1e9)
    """Of the table circuit: bipolar cycles of every FeCAP before the training."""
    windows: tuple[float, ...] = (360.0, 200.0, 120.0, 90.0, 60.0)
    """Of the table circuit: median memory windows [mV]."""
    kinds: tuple[str, ...] = DEAD_KINDS
    """Of the table wear: which devices die: fecaps, memristors that stay low, memristors that stay high."""
    dead: tuple[float, ...] = (0.001, 0.01, 0.03, 0.1, 0.3)
    """Of the table wear: shares of dead devices."""
    tolerances: tuple[float, ...] = (8.7, 4.35, 2.0)
    """Of the table programming: how near its level a memristor must be read to be left [uS]."""
    attempts: int = 20
    """Of the table programming: the most RESETs and SETs of one memristor in a transfer."""
    scenarios: tuple[str, ...] = ()
    """Of the table continual: some of drift, new-class, second-task; default: all."""
    pairs: tuple[str, ...] = ()
    """Of the table last-layer, what the base network learns and what the last layer: some of mnist-halves (0-4, then
    5-9), mnist-to-fashion, fashion-to-mnist, digits-halves; default: all but the last."""
    base_epochs: int | None = None
    """Of the table last-layer: passes of the base network over its training samples; default: 5."""
    seeds: int = 5
    """Systems side by side, each with its own initial weights, order of samples, devices and draws."""
    part: Literal["test", "validation"] = "test"
    """test: learn from all training samples, report the test samples, once. validation: hold a part of the training
    samples back and report that: for choosing."""
    epochs: int | None = None
    """Passes over the training samples; default: the article's, of each task, half of them after a change in the table
    continual, and 10 of a last layer."""
    samples: int | None = None
    """Learn from so many training samples only, base networks too."""
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
    """Directory of the data sets, in place of $HFSIM_DATA or ~/.cache/hfsim."""

    def __post_init__(self):
        super().__post_init__()
        given = (n for n in ("epochs", "samples", "base_epochs") if getattr(self, n) is not None)
        self._require_positive("seeds", "attempts", *given)
        names = (TASK_NAMES, STORAGES, DEAD_KINDS, SCENARIOS, PAIR_NAMES)
        for name, known in zip(("tasks", "storages", "kinds", "scenarios", "pairs"), names, strict=True):
            if getattr(self, name):
                self._require_some(name, known)
        if self.table != "accuracy" and len(self.tasks) > 1:
            raise InputError("--tasks", f"be one for the table {self.table}", " ".join(self.tasks))
        unfit = {"ecg-online": "of images", "mnist-batch": "without batch norm, whose moments are those of one task,"}
        for name in unfit if self.table == "continual" else ():
            if name in self.tasks:
                raise InputError("--tasks", f"be {unfit[name]} for the table continual", name)
        if self.table not in ("accuracy", "continual") and "float" in self.storages:
            raise InputError("--storages", f"be of chips for the table {self.table}", " ".join(self.storages))
        self._require_used()
        if not self.periods or min(self.periods) < 1 or len(set(self.periods)) < len(self.periods):
            raise InputError(option("periods"), "be integers >= 1, none twice", self.periods)
        for name, (low, high, unit) in _SWEPT.items():
            values = getattr(self, name)
            if not values or len({f"{x:g}" for x in values}) < len(values) or not all(low <= x <= high for x in values):
                raise InputError(option(name), f"lie in [{low:g}, {high:g}]{unit}, none twice", values)
        for name, low, high in (("learning_rate", 0, 1e6), ("step_scale", 1, 1e6), ("initial_spread", 0, 1e6)):
            if getattr(self, name) is not None:
                self._require_range(name, low, high)

    def _require_used(self) -> None:
        """Refuse what was set for another table."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if self.table not in _OF_SOME_TABLES.get(field.name, (self.table,)) and value != field.default:
                was = " ".join(map(str, value)) if isinstance(value, tuple) else value
                raise InputError(option(field.name), f"be left out for the table {self.table}", was)

    def settings(self) -> dict[str, Any]:
        return {"card": CARD, **super().settings(), **self._digests}

    @cached_property
    def _digests(self) -> dict[str, str]:
        """Of the heartbeats, which may be drawn or given anew under the same name."""
        if "ecg-online" not in (self.tasks or (TASK_NAMES if self.table == "accuracy" else ())):
            return {}
        from training.data import load_beats

        return {"beats": f"sha256 {load_beats(self.data).sha256}"}

    def job(self):
        from training.tables.job import TablesJob

        return TablesJob(self)
