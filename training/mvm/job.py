"""The job itself: case after case, then tables and figures."""

from typing import Any

import jax
import numpy as np

from training.job import Job, Results, Table
from training.mvm.cases import MAIN, TIMES, require_cases, setup
from training.mvm.configuration import MatrixVector
from training.mvm.figures import draw
from training.mvm.results import FIRST, LAST, choice_rows, metrics, notes
from training.mvm.simulation import MEASURES, READINGS, case_errors


class MatrixVectorJob(Job):
    """A step is one case on all chips."""

    unit = "cases"

    def __init__(self, config: MatrixVector):
        self.config = config
        self.cases = require_cases(config.cases)
        self.total = len(self.cases)
        shape = (self.total, config.chips, len(TIMES), len(READINGS), len(MEASURES))
        self.errors = np.full(shape, np.nan, np.float32)

    def step(self) -> None:
        config, key = self.config, jax.random.key(self.config.seed)
        case = setup(self.cases[self.steps])
        self.errors[self.steps] = case_errors(case, key, config.chips, config.size, config.vectors)

    def headline(self) -> str:
        """The last case's errors."""
        last = self.errors[self.steps - 1, :, :, 0, 0].mean(axis=0)
        return f"{self.cases[self.steps - 1].name}: {last[FIRST]:.3f} at 1 s, {last[LAST]:.3f} at 10 years"

    def arrays(self) -> Any:
        return self.errors

    def restore(self, arrays: Any) -> None:
        self.errors = arrays

    def finish(self) -> Results:
        done = {case.name: self.errors[place] for place, case in enumerate(self.cases[: self.steps])}
        found = metrics(done, self.config.size)
        value = {name: entry["value"] for name, entry in found.items()}
        return Results(
            title="Products of a memristor array over ten years",
            metrics=found,
            highlights=_highlights(value),
            figures=draw(value, self.config.size),
            tables=[table(value), *([choice_table(value)] if "cmo_rmse" in value else [])],
            notes=notes(value) if self.config.size == 64 else (),
            summary=_summary(value),
        )


def table(value: dict[str, Any]) -> Table:
    """Errors over time of the technologies."""
    rows = []
    for case in MAIN:
        if f"{case.name}_rmse" in value:
            pairs = zip(value[f"{case.name}_rmse"], value[f"{case.name}_rmse_sd"], strict=True)
            rows.append([case.label, *(f"{m:.3f}" + ("" if sd is None else f" ± {sd:.3f}") for m, sd in pairs)])
            rows.append(["– not rounded", *(f"{m:.3f}" for m in value[f"{case.name}_rmse_unquantised"])])
            rows.append(["– best common gain", *(f"{m:.3f}" for m in value[f"{case.name}_rmse_best_gain"])])
    return Table("Root mean square error of x W, mean ± standard deviation over chips", ["", *TIMES], rows)


def choice_table(value: dict[str, Any]) -> Table:
    """What each modelling choice does to the errors at 1 s and at 10 years."""
    rows = choice_rows(value)
    (_, *base) = rows[0]

    def cells(error: float, of: float) -> list[str]:
        return [f"{error:.3f}", "" if error == of else f"{error - of:+.3f}"]

    listed = [[label, *cells(first, base[0]), *cells(last, base[1])] for label, first, last in rows]
    return Table("CMO/HfOx, one choice at a time", ["", "1 s", "change", "10 years", "change"], listed)


def _highlights(value: dict[str, Any]) -> list[tuple[str, str]]:
    shown = []
    for case in MAIN:
        if f"{case.name}_rmse" in value:
            errors = value[f"{case.name}_rmse"]
            shown.append((f"{errors[FIRST]:.3f} / {errors[LAST]:.3f}", f"{case.label}: error at 1 s / 10 years"))
    return shown


def _summary(value: dict[str, Any]) -> list[str]:
    return [f"{shown}   {caption}" for shown, caption in _highlights(value)]
