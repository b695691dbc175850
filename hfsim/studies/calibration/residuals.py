"""Traces side by side, and what a model leaves of them.

    r = (predicted - measured - c)/sigma

with c the trace's own unknown constant where the prediction has one, and sigma the error of each value, 1 where none is
given. Traces of several lengths are padded with their last row, at weight 0.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hfsim.errors import InputError
from hfsim.io.traces import Trace
from hfsim.studies.calibration.predictions import AbstractPrediction
from hfsim.studies.design import Design

Errors = float | str | Callable[[Trace], Any] | None
"""Standard deviation of the data: one number in their unit, a column of the traces, or a function of a trace."""


class Stack(NamedTuple):
    """Traces of one kind, padded to one length; leaves (traces, rows), `numbers` (traces,)."""

    columns: dict[str, Any]
    numbers: dict[str, Any]
    measured: Any
    weight: Any


class Experiment(NamedTuple):
    """Traces and how they are predicted.

    Args:
        prediction: of each trace.
        traces: as given.
        errors: of the data.
    """

    prediction: AbstractPrediction
    traces: tuple[Trace, ...]
    errors: Errors = None

    def stack(self) -> Stack:
        """All traces in the precision of the moment.

        Raises:
            InputError: no trace, traces in different units or without a common column, errors that are not above 0,
                nothing to predict, or values that are not finite.
        """
        names = [key for key in self.traces[0].columns if all(key in trace for trace in self.traces)]
        for trace in self.traces:
            wrong = [key for key in names if trace.units[key] != self.traces[0].units[key]]
            if wrong:
                raise InputError("traces", f"have one unit for {wrong[0]}", f"another in trace {trace.name}")
        rows, dtype = max(map(len, self.traces)), jnp.result_type(float)
        columns = {key: np.stack([_padded(trace[key], rows) for trace in self.traces]) for key in names}
        measured = np.stack([_padded(self.prediction.measured(trace), rows) for trace in self.traces])
        weight = np.stack([self._weight(trace, rows) for trace in self.traces])
        if not np.all(np.isfinite(measured[weight > 0])):
            raise InputError("traces", f"hold finite values of {self.prediction.observed}", "some that are not")
        stack = Stack(columns, _numbers(self.traces), np.where(weight > 0, measured, 0.0), weight)
        return jax.tree.map(lambda x: jnp.asarray(x, dtype), stack)

    def _weight(self, trace: Trace, rows: int) -> Float[np.ndarray, " rows"]:
        if self.errors is None:
            sigma = np.ones(len(trace))
        elif isinstance(self.errors, str):
            sigma = np.asarray(trace[self.errors], float)
        else:
            given = self.errors(trace) if callable(self.errors) else self.errors
            sigma = np.broadcast_to(np.asarray(given, float), (len(trace),))
        if not (np.all(np.isfinite(sigma)) and np.all(sigma > 0)):
            raise InputError("errors", "be standard deviations above 0", f"others in trace {trace.name}")
        used = np.arange(len(trace)) >= self.prediction.given
        if not np.any(used):
            raise InputError("traces", f"hold more than {self.prediction.given} rows", f"{len(trace)} in {trace.name}")
        weight = np.where(used, 1 / sigma, 0.0)
        return np.concatenate([weight, np.zeros(rows - len(trace))])

    def predicted(self, model: Any, stack: Stack) -> Float[Array, "traces rows"]:
        """What the model says of each row, constants of the traces included."""
        return predicted(model, self.prediction, stack, self.traces[0].kind, self.units)

    @property
    def units(self) -> tuple[tuple[str, str], ...]:
        """(column, unit) of the traces."""
        return tuple(self.traces[0].units.items())

    def residuals(self, model: Any, stack: Stack) -> Float[Array, "traces rows"]:
        """Weighted differences, 0 where a row does not count."""
        return self.weighed(self.predicted(model, stack), stack)

    def weighed(self, predicted: Float[Array, "traces rows"], stack: Stack) -> Float[Array, "traces rows"]:
        """Weighted differences of what is predicted, 0 where a row does not count."""
        return jnp.where(stack.weight > 0, stack.weight * (predicted - stack.measured), 0.0)

    @property
    def points(self) -> int:
        """Values that count."""
        return sum(len(trace) - self.prediction.given for trace in self.traces)

    @property
    def constants(self) -> int:
        """Unknown constants of traces."""
        return len(self.traces) if self.prediction.offset else 0


def predicted(
    model: Any, prediction: AbstractPrediction, stack: Stack, kind: str, units: tuple[tuple[str, str], ...]
) -> Float[Array, "traces rows"]:
    """What a model says of each row of a stack, constants of the traces included.

    Raises:
        InputError: the prediction does not give one value for each row.
    """

    def one(columns, numbers):
        values = prediction(model, Trace("", kind, columns, dict(units), numbers))
        if jnp.shape(values) != stack.measured.shape[1:]:
            rows = stack.measured.shape[1]
            raise InputError("prediction", f"give one value for each of {rows} rows", f"shape {jnp.shape(values)}")
        return values

    values = jax.vmap(one)(stack.columns, stack.numbers)
    if prediction.offset:
        square = stack.weight**2
        left = jnp.sum(square * (values - stack.measured), 1, keepdims=True)
        values = values - left / jnp.sum(square, 1, keepdims=True)
    return values


def experiment(prediction: Any, traces: Any, errors: Errors = None) -> Experiment:
    """Check and gather what is fitted.

    Raises:
        InputError: a prediction that is none, or no traces.
    """
    if not isinstance(prediction, AbstractPrediction):
        raise InputError(
            "prediction",
            "be one of hfsim.studies.calibration",
            type(prediction).__name__,
            'wrap a function of (model, trace) as Prediction(function, observed="current")',
        )
    found = (traces,) if isinstance(traces, Trace) else tuple(traces)
    if not found or not all(isinstance(trace, Trace) for trace in found):
        raise InputError("traces", "be one trace of hfsim.io or more", "none" if not found else type(found[0]).__name__)
    return Experiment(prediction, found, errors)


def files_of(traces: Sequence[Trace]) -> list[str]:
    """Files that the traces came from."""
    return list(dict.fromkeys(str(trace.about["file"]) for trace in traces if trace.about.get("file")))


def _padded(values: Any, rows: int) -> Float[np.ndarray, " rows"]:
    values = np.asarray(values, np.float64)
    return np.concatenate([values, np.repeat(values[-1:], rows - len(values))])


def _numbers(traces: Sequence[Trace]) -> dict[str, Float[np.ndarray, " traces"]]:
    """The numbers that all traces have about themselves."""
    keys = [
        key
        for key in traces[0].about
        if all(isinstance(t.about.get(key), int | float) and not isinstance(t.about[key], bool) for t in traces)
    ]
    return {key: np.array([trace.about[key] for trace in traces], float) for key in keys}


class Frame:
    """What of a fit is no number: fits with equal frames share their compiled programs.

    Args:
        design: free parameters.
        task: what is fitted; its numbers come with a `Stack`, and so do those of the model and the prediction.
    """

    def __init__(self, design: Design, task: Experiment):
        self.design, self.task = design, task
        self._key = (design.variables, design.ties, tuple(design.specs.items()), task.traces[0].kind, task.units)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def with_numbers(self, model: Any, prediction: AbstractPrediction) -> tuple[Design, Experiment]:
        """Design and experiment with these values of model and prediction."""
        return self.design.of(model), self.task._replace(prediction=prediction)
