"""The options of the co-design studies."""

import dataclasses
from pathlib import Path
from typing import ClassVar, Literal

from hfsim.errors import InputError
from training.job import Configuration, option

_OF_SOME_STUDIES = {
    "samples": ("staircase", "schedule", "yield"),
    "epochs": ("staircase", "schedule", "yield"),
    "dataset": ("staircase", "schedule"),
    "data": ("staircase", "schedule"),
}
"""Options that other studies would not use."""


@dataclasses.dataclass(frozen=True)
class CoDesign(Configuration):
    """Choose devices, circuits and schedules by gradients, and check what is found by other draws.

    staircase: capacitor areas, voltages, pulse width and transistor of the hybrid's transfer for evenly spaced levels.
    schedule: when to transfer, learned with the network. ten-years: window, acceptance, overshoot, reference columns
    and noise of training of a CMO/HfOx network for least error after ten years under an energy budget. yield: the
    widest spread of devices with which 99 % of the chips still work. Each beside random search and a grid of the same
    cost.
    """

    name: ClassVar[str] = "codesign"

    study: Literal["staircase", "schedule", "ten-years", "yield"] = "staircase"
    """Which one."""
    steps: int | None = None
    """Of the optimiser, from each start; default: the study's."""
    restarts: int | None = None
    """Starts; default: the study's."""
    chips: int | None = None
    """Chips of the independent check; default: the study's."""
    epochs: int | None = None
    """Of the networks that are trained; default: the study's."""
    samples: int | None = None
    """Train on so many samples only."""
    dataset: Literal["digits", "mnist"] | None = None
    """Of the networks that are trained; default: the study's."""
    data: Path | None = None
    """Directory of the data sets, in place of $HFSIM_DATA or ~/.cache/hfsim."""

    def __post_init__(self):
        super().__post_init__()
        given = (n for n in ("steps", "restarts", "chips", "epochs", "samples") if getattr(self, n) is not None)
        self._require_positive(*given)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if self.study not in _OF_SOME_STUDIES.get(field.name, (self.study,)) and value != field.default:
                raise InputError(option(field.name), f"be left out for the study {self.study}", value)

    def job(self):
        from training.codesign.job import CoDesignJob

        return CoDesignJob(self)
