"""What a job is: options, steps, arrays to checkpoint, results.

To add the job `my-job`, make a folder `training/my_job/` and

1. `configuration.py`: a frozen dataclass derived from `Configuration`; its docstring is the help text, a string
   below each field that option's. It checks its fields in `__post_init__` (which calls the base's), says in `settings`
   what beside the fields decides the numbers, and imports the job's code in `job` only, so that a wrong option is
   told before JAX starts.
2. a `Job`: made by `Configuration.job`, freshly started; `step` does one unit of work (an epoch, a chunk, a case),
   `arrays` and `restore` are its state as one pytree, `finish` measures and changes nothing, as a run may go on.
3. a line in `training/__main__.py:JOBS`.
4. optionally `report.html.j2` beside it, which extends "report.html.j2" and is named by `Job.template`; and `page.py`
   with `page(results)` and `FIGURES` for `python -m training.publish`.

The runner does the rest: directory, progress bar, checkpoints, --resume, --minutes, metrics.json, figures, report. A
step must depend on the configuration, on `steps` and on the state alone, and draw at addresses (`hfsim.draws`): then a
run that is killed and resumed ends in the same numbers, to the bit.
"""

import abc
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import tyro
from matplotlib.figure import Figure

from hfsim.errors import InputError


@dataclasses.dataclass(frozen=True)
class Configuration(abc.ABC):
    """Options that all jobs have."""

    name: ClassVar[str]
    """The sub-command; runs without --run-dir are runs/NAME-001, -002, ...."""
    length: ClassVar[str | None] = None
    """The field that says how many steps there are, if one does; a resumed run may have it larger."""
    unsettling: ClassVar[tuple[str, ...]] = ("run_dir", "resume", "checkpoint_seconds", "quiet", "data")
    """Fields that change no number: where and how, not what."""

    seed: int = 0
    """Seed of every random draw."""
    minutes: float | None = None
    """Stop after so many minutes of wall time, those before a --resume included, and report what is done by then. At
    least one step is done. How far that is depends on the machine."""
    run_dir: Path | None = None
    """Where to write; default runs/JOB-001, -002, ...."""
    resume: bool = False
    """Go on with the run in --run-dir (default: the last one) from its checkpoint, with its settings."""
    checkpoint_seconds: float = 5.0
    """Seconds between checkpoints; 0 writes one after every step."""
    quiet: Annotated[bool, tyro.conf.arg(aliases=["-q"])] = False
    """No progress bar and no summary."""

    def __post_init__(self):
        if not 0 <= self.seed < 2**32:
            raise InputError("--seed", "be an integer of 0..2^32-1", self.seed)
        self._require_range("checkpoint_seconds", 0, 1e9)
        if self.minutes is not None:
            self._require_range("minutes", 0, 1e9)

    @abc.abstractmethod
    def job(self) -> "Job":
        """The job of this configuration, freshly started.

        Raises:
            InputError: its data are not to be had.
        """

    def settings(self) -> dict[str, Any]:
        """What decides the numbers of a run, ready for JSON."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in self.unsettling}
        return {"job": self.name, **{name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()}}

    @property
    def extendable(self) -> tuple[str, ...]:
        """Settings that may differ when a run is resumed."""
        return ("minutes",) if self.length is None else (self.length, "minutes")

    def _require_positive(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) < 1:
                raise InputError(option(name), "be an integer >= 1", getattr(self, name))

    def _require_range(self, name: str, low: float, high: float) -> None:
        if not low <= getattr(self, name) <= high:  # NaN is refused too
            raise InputError(option(name), f"lie in [{low:g}, {high:g}]", getattr(self, name))

    def _require_some(self, name: str, known: tuple[str, ...]) -> None:
        chosen = getattr(self, name)
        if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
            raise InputError(option(name), f"be some of {', '.join(known)}, none twice", " ".join(chosen))


def option(field: str) -> str:
    """The command-line spelling of a field."""
    return "--" + field.replace("_", "-")


class Table(NamedTuple):
    """A table of a report: texts, the first column to the left."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


class Results(NamedTuple):
    """What a finished job measured, and how it is shown.

    metrics: of metrics.json, made by `metric`; highlights: value and caption of the boxes on top of the report;
    figures: by file name, with a caption; notes: paragraphs below; summary: lines for the terminal; context: what the
    job's own template wants beside that.
    """

    title: str
    metrics: dict[str, dict[str, Any]]
    highlights: Sequence[tuple[str, str]] = ()
    figures: dict[str, tuple[Figure, str]] = {}
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    summary: Sequence[str] = ()
    context: dict[str, Any] = {}


class Job(abc.ABC):
    """One experiment between its first and its last step; the runner keeps `steps`."""

    unit: ClassVar[str] = "epochs"
    """What the progress bar counts."""
    template: ClassVar[str] = "report.html.j2"
    """Of the report, a path below training/."""
    total: int
    """Steps of the whole job."""
    steps: int = 0
    """Steps done."""

    @abc.abstractmethod
    def step(self) -> None:
        """Do step number `steps`."""

    @abc.abstractmethod
    def arrays(self) -> Any:
        """The state: a pytree of arrays and typed keys whose structure and shapes follow from the configuration and
        `steps`; on a job that was made anew, with `steps` set, any of that structure."""

    @abc.abstractmethod
    def restore(self, arrays: Any) -> None:
        """Take up a state that `arrays` gave."""

    def record(self) -> dict[str, Any]:
        """What else a checkpoint holds, ready for JSON: curves that grow."""
        return {}

    def restore_record(self, record: dict[str, Any]) -> None:  # noqa: B027, jobs without a record have nothing to do
        """Take up what `record` gave."""

    def headline(self) -> str:
        """A few words behind the progress bar."""
        return ""

    @abc.abstractmethod
    def finish(self) -> Results:
        """Measure what `steps` steps made."""


def metric(value: Any, unit: str) -> dict[str, Any]:
    """An entry of metrics.json: numbers, lists or texts; what is not finite becomes null."""

    def clean(x):
        if isinstance(x, list):
            return [clean(item) for item in x]
        return None if isinstance(x, float) and not math.isfinite(x) else x

    return {"value": clean(np.asarray(value).tolist()), "unit": unit}
