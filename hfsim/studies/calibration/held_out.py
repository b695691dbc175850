"""Fit on some traces, predict the others: the test that a fit has to pass before it is believed."""

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np

from hfsim import display
from hfsim.errors import InputError
from hfsim.io.traces import Trace
from hfsim.studies.calibration.fit import calibrate, in_double
from hfsim.studies.calibration.predictions import AbstractPrediction
from hfsim.studies.calibration.residuals import experiment, predicted
from hfsim.studies.calibration.result import Calibration, span, with_unit
from hfsim.studies.design import Variable

Held = Callable[[Trace], bool] | Collection[str] | slice
"""Which traces are held out: a rule, names, or places such as slice(1, None, 2), every second one."""
_predicted = eqx.filter_jit(predicted)


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOut:
    """A fit with its error on what it has not seen.

    Args:
        calibration: fitted on the other traces.
        prediction, traces: what was held out.
        predicted: of each held-out trace.
        residuals: predicted less measured of the rows that count, in the data's unit.
        span: largest less least value of all data.
    """

    calibration: Calibration
    prediction: AbstractPrediction
    traces: tuple[Trace, ...]
    predicted: tuple[np.ndarray, ...]
    residuals: tuple[np.ndarray, ...]
    span: float

    @property
    def fitted(self) -> float:
        """Root mean square residual of the fitted traces, in the data's unit."""
        return self.calibration.rms

    @property
    def held_out(self) -> float:
        """Root mean square error of the held-out traces, in the data's unit."""
        return float(np.sqrt(np.mean(np.concatenate(self.residuals) ** 2)))

    def rows(self) -> list[tuple[str, ...]]:
        """(trace, fitted or held out, root mean square error, share of the span), fitted ones first."""
        sides = (("fitted", self.calibration), ("held out", self))
        return [
            (trace.name, side, f"{rms:.4g}", f"{rms / self.span:.2%}")
            for side, found in sides
            for trace, r in zip(found.traces, found.residuals, strict=True)
            for rms in [float(np.sqrt(np.mean(r**2)))]
        ]

    def summary(self) -> str:
        """One line: both errors."""
        sides = ((self.fitted, self.calibration.traces, "fitted"), (self.held_out, self.traces, "held out"))
        unit = self.calibration.unit
        told = [f"{with_unit(e, unit)} ({e / self.span:.2%}) on {len(t)} traces {of}" for e, t, of in sides]
        return f"root mean square error {', '.join(told)}"

    def __str__(self):
        return f"{self.calibration}\n{self.summary()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = ("trace", "", f"error ({self.calibration.unit})", "of the span")
        return self.calibration._repr_html_() + display.table(self.summary(), head, self.rows())

    def plot(self, axes=None, *, x: str | None = None):
        """The held-out data with what was predicted of them; as `Calibration.plot`."""
        from hfsim.studies.calibration.figures import fit_and_residuals

        drawn = fit_and_residuals(self, axes, x=x)
        drawn[0].set_title("dots: held out, lines: predicted")
        return drawn


def hold_out(
    model: Any,
    traces: Sequence[Trace],
    prediction: AbstractPrediction,
    free: Sequence[str | Variable],
    held: Held,
    **options: Any,
) -> HeldOut:
    """Fit a model on part of the traces and predict the rest.

    Args:
        model, prediction, free: as of `calibrate`.
        traces: all of them.
        held: which are not fitted.
        options: of `calibrate`.

    Raises:
        InputError: all traces or none are held out, or as `calibrate`.
    """
    kept, left = split(traces, held)
    fitted = calibrate(model, kept, prediction, free, **options)
    rows, residuals = predict(fitted.model, left, prediction)
    return HeldOut(fitted, prediction, tuple(left), rows, residuals, span(prediction, tuple(traces)))


def split(traces: Sequence[Trace], held: Held) -> tuple[list[Trace], list[Trace]]:
    """(kept, held out)."""
    traces = list(traces)
    if isinstance(held, slice):
        chosen = set(range(len(traces))[held])
    elif callable(held):
        chosen = {i for i, trace in enumerate(traces) if held(trace)}
    else:
        names = [trace.name for trace in traces]
        unknown = sorted(set(held) - set(names))
        if unknown:
            raise InputError("held", f"name traces, such as {', '.join(names[:4])}", unknown[0])
        chosen = {i for i, name in enumerate(names) if name in set(held)}
    if not 0 < len(chosen) < len(traces):
        raise InputError("held", "leave some traces to fit and some to predict", f"{len(chosen)} of {len(traces)}")
    return [t for i, t in enumerate(traces) if i not in chosen], [t for i, t in enumerate(traces) if i in chosen]


def predict(
    model: Any, traces: Sequence[Trace], prediction: AbstractPrediction
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """(predicted, predicted less measured of the rows that count) of each trace, in the data's unit."""
    task = experiment(prediction, traces)
    with jax.enable_x64(True):
        values = np.asarray(_predicted(in_double(model), prediction, task.stack(), task.traces[0].kind, task.units))
    predicted = tuple(row[: len(trace)] for row, trace in zip(values, task.traces, strict=True))
    return predicted, tuple(
        (p - np.asarray(prediction.measured(t)))[prediction.given :]
        for p, t in zip(predicted, task.traces, strict=True)
    )
