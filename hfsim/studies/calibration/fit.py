"""Least squares through the device model itself: parameters, their errors, and what the data leave open.

    min over z of sum r(z)^2,      x = bounded(z)

by Levenberg-Marquardt (optimistix) from several starts, in double precision whatever the caller's, as normal equations
square what rounding leaves. The first start is the model as it is given; the others are the best of many candidates,
half around it and half over the bounds, placed evenly by multiples of an irrational number: nothing is drawn.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float

from hfsim.errors import InputError
from hfsim.io.traces import Trace
from hfsim.parameters import parameters
from hfsim.studies.calibration.identification import LEANS, identify
from hfsim.studies.calibration.predictions import AbstractPrediction
from hfsim.studies.calibration.residuals import Errors, Frame, Stack, experiment
from hfsim.studies.calibration.result import Calibration, Start
from hfsim.studies.design import Design, Tie, Variable

CANDIDATES = 24
"""Candidates screened for each start beyond the first; chosen: a value costs some hundredth of a fit."""
_AGREES = 1e-4  # relative difference of sums of squares of starts that found the same minimum
_EXACT = 1e-16  # sum of squares over that of the data below which a fit is exact, whatever its sum of squares is
CORRELATED = 0.5
"""Correlation of neighbouring residuals from which standard errors are called too small."""


class CalibrationWarning(UserWarning):
    """The data do not tell a parameter, or the fit is not to be trusted."""


def calibrate(
    model: Any,
    traces: Sequence[Trace] | Trace,
    prediction: AbstractPrediction,
    free: Sequence[str | Variable],
    *,
    ties: Sequence[Tie] = (),
    errors: Errors = None,
    starts: int = 4,
    steps: int = 200,
    tolerance: float = 1e-8,
    progress: Callable[[str], None] | None = None,
) -> Calibration:
    """Fit parameters of a model to measured traces.

    Args:
        model: any tree of models with declared parameters; where the search begins.
        traces: of `hfsim.io`, in one unit.
        prediction: what the model says of a trace.
        free: names of the parameters to fit, or `Variable`s with bounds.
        ties: parameters that follow.
        errors: standard deviation of the data, in their unit: a number, a column of the traces, or a function of a
            trace. None takes it from the residuals, the same for all.
        starts: searches; more find out whether there are other minima.
        steps: most iterations of each.
        tolerance: relative change of parameters and sum of squares at which a search ends.
        progress: called with a line for each start.

    Returns:
        The fitted model with values, standard errors, correlations, residuals, flags. What is flagged is warned of
        (`CalibrationWarning`).

    Raises:
        InputError: a parameter that the model does not have, bounds that do not hold its value, traces that do not fit
            together, or a prediction that is not finite at any start.
    """
    for name, count in (("starts", starts), ("steps", steps)):
        if not isinstance(count, int) or count < 1:
            raise InputError(name, "be an integer >= 1", repr(count))
    task = experiment(prediction, traces, errors)
    variables = [Variable(v) if isinstance(v, str) else v for v in free]
    with jax.enable_x64(True):
        design = Design(in_double(model, variables), variables, ties)
        frame, numbers = Frame(design, task), _Numbers(design.model, task.prediction, task.stack())
        found = _search(frame, numbers, starts, steps, tolerance, progress)
        best = min(found, key=lambda f: f.cost)
        if not np.isfinite(best.cost):
            raise InputError("model", "predict finite values at a start", "NaN or infinity", "start it elsewhere")
        result = _judge(model, frame, numbers, best, found)
    for flag in result.flags:
        warnings.warn(flag, CalibrationWarning, stacklevel=2)
    return result


def in_double(model: Any, variables: Sequence[Variable] = ()) -> Any:
    """The model with its real numbers in double precision; call where double precision is on.

    A number at a bound, declared or of a variable, stays there: 0.1 in single precision is above 0.1 in double.
    """
    own = {variable.name: (variable.low, variable.high) for variable in variables}
    bounds: dict[int, list[float]] = {}
    for name, spec, value in parameters(model):
        ends = (spec.lower, spec.upper, *own.get(name, ()))
        bounds.setdefault(id(value), []).extend(end for end in ends if end is not None and np.isfinite(end))

    def doubled(x):
        if not eqx.is_inexact_array(x):
            return x
        found = x.astype(jnp.float64)
        for end in bounds.get(id(x), ()):
            found = jnp.where(x == jnp.asarray(end, x.dtype), end, found)
        return found

    return jax.tree.map(doubled, model)


class _Found(NamedTuple):
    z: Float[np.ndarray, " free"]
    cost: float
    steps: int


class _Numbers(NamedTuple):
    """What a compiled fit takes: the model that is given, the prediction, and the data."""

    model: Any
    prediction: AbstractPrediction
    stack: Stack


def _residual(frame: Frame, z, numbers: _Numbers) -> Float[Array, " points"]:
    design, task = frame.with_numbers(numbers.model, numbers.prediction)
    return jnp.ravel(task.residuals(design.model_of(z), numbers.stack)) / _scale(numbers.stack)


@eqx.filter_jit
def _cost(frame: Frame, z, numbers: _Numbers) -> Float[Array, ""]:
    return jnp.sum(_residual(frame, z, numbers) ** 2)


@eqx.filter_jit
def _solve(frame: Frame, z, numbers: _Numbers, steps: int, tolerance: float):
    """(free numbers, iterations) of one search."""
    solver = optx.LevenbergMarquardt(rtol=tolerance, atol=min(tolerance, 1e-8))
    found = optx.least_squares(
        lambda z, numbers: _residual(frame, z, numbers), solver, z, args=numbers, max_steps=steps, throw=False
    )
    return found.value, found.stats["num_steps"]


@eqx.filter_jit
def _slopes(frame: Frame, values: dict[str, Array], numbers: _Numbers):
    """Slopes of the residuals by the parameters in their units, the residuals, and what is predicted."""
    design, task = frame.with_numbers(numbers.model, numbers.prediction)

    def residual(values):
        predicted = task.predicted(design.with_values(values), numbers.stack)
        r = jnp.ravel(task.weighed(predicted, numbers.stack))
        return r, (r, predicted)

    slopes, (r, predicted) = jax.jacfwd(residual, has_aux=True)(values)
    J = jnp.concatenate([slopes[name].reshape(r.shape[0], -1) for name in design.specs], axis=1)
    return J, r, predicted


def _search(frame: Frame, numbers: _Numbers, starts: int, steps: int, tolerance: float, progress) -> list[_Found]:
    def judged(z) -> float:
        value = float(_cost(frame, z, numbers))
        return value if np.isfinite(value) else np.inf

    begins = [frame.design.start()]
    if starts > 1:
        candidates = _candidates(begins[0], CANDIDATES * (starts - 1))
        costs = np.array([judged(z) for z in candidates])
        halves = np.array_split(np.arange(len(candidates)), 2)
        ranked = [half[np.argsort(costs[half], kind="stable")] for half in halves]
        begins += [candidates[ranked[(k + 1) % 2][k // 2]] for k in range(starts - 1)]
    found = []
    for number, begin in enumerate(begins):
        end, count = _solve(frame, jnp.asarray(begin), numbers, steps, tolerance)
        value, z = min(((judged(z), k) for k, z in enumerate((end, begin))))
        found.append(_Found(np.asarray((end, begin)[z]), value, int(count)))
        if progress is not None:
            share = np.sqrt(value / frame.task.points)
            progress(f"start {number + 1} of {len(begins)}: {share:.4g} of the data's spread after {count} steps")
    return found


def _scale(stack: Stack) -> Float[Array, ""]:
    """Root of the mean square of the data about their mean, weighted: residuals of order 1 are as large as the data."""
    counts = stack.weight > 0
    number = jnp.sum(counts)
    values = stack.weight * stack.measured
    mean = jnp.sum(jnp.where(counts, stack.measured, 0.0)) / number
    spread = jnp.sqrt(jnp.sum(jnp.where(counts, values - stack.weight * mean, 0.0) ** 2) / number)
    return jnp.where(spread > 0, spread, jnp.sqrt(jnp.sum(values**2) / number) + (jnp.sum(values**2) == 0))


def _candidates(first: Float[Array, " free"], number: int) -> Float[np.ndarray, "number free"]:
    """Free numbers: the first half around the start, the others over the bounds."""
    width = first.shape[0]
    root = _generalised_golden(width)
    shares = (0.5 + np.outer(np.arange(1, number + 1), root ** -np.arange(1.0, width + 1))) % 1.0
    shares = np.clip(shares, 1e-3, 1 - 1e-3)
    logit = np.log(shares) - np.log1p(-shares)
    near = number // 2 + number % 2
    around = np.asarray(first) + logit[:near]
    return np.concatenate([around, logit[near:]])


def _generalised_golden(dimensions: int) -> float:
    """The root of x^(d + 1) = x + 1, whose powers fill the cube most evenly (the golden ratio for d = 1)."""
    x = 2.0
    for _ in range(60):
        x = (1 + x) ** (1 / (dimensions + 1))
    return x


def _judge(model: Any, frame: Frame, numbers: _Numbers, best: _Found, found: list[_Found]) -> Calibration:
    design, task, stack = frame.design, frame.task, numbers.stack
    values = design.values(jnp.asarray(best.z))
    J, r, predicted = map(np.asarray, _slopes(frame, values, numbers))
    x = np.concatenate([np.ravel(v) for v in values.values()])
    if not np.all(np.isfinite(J)):
        bad = [label for label, column in zip(design.labels, J.T, strict=True) if not np.all(np.isfinite(column))]
        remedy = "fix them, or bound them"
        raise InputError("free", "have finite slopes at the best fit", f"none in {', '.join(bad)}", remedy)
    specs = [design.specs[label.partition("[")[0]] for label in design.labels]
    degrees = task.points - len(design.labels) - task.constants
    squares = float(np.sum(r**2))
    nothing = _EXACT * task.points
    exact = squares <= nothing * float(_scale(stack)) ** 2
    sigma = 1.0 if task.errors is not None else (np.sqrt(squares / degrees) if degrees > 0 else np.inf)
    if task.errors is None and exact and degrees > 0:
        sigma = 0.0
    known = identify(J, r, sigma, x, specs, design.labels)
    lengths = [len(trace) for trace in task.traces]
    residuals = [
        (row[:n] - np.asarray(task.prediction.measured(trace)))[task.prediction.given :]
        for row, n, trace in zip(predicted, lengths, task.traces, strict=True)
    ]
    flags = (
        *known.flags,
        *([] if exact and degrees > 0 else _flags(degrees, known.rank, residuals, known.lean)),
    )
    return Calibration(
        model=Design(model, design.variables, design.ties).with_values({n: np.asarray(v) for n, v in values.items()}),
        prediction=task.prediction,
        traces=task.traces,
        labels=tuple(design.labels),
        units=tuple(design.units),
        values=x,
        specs=tuple(specs),
        errors=known.errors,
        correlation=known.correlation,
        covariance=known.covariance,
        ties=tuple(design.ties),
        predicted=tuple(row[:n] for row, n in zip(predicted, lengths, strict=True)),
        residuals=tuple(residuals),
        degrees=degrees,
        chi_squared=None if task.errors is None else squares,
        flags=flags,
        starts=tuple(Start(float(np.sqrt((f.cost + nothing) / (best.cost + nothing))), f.steps) for f in found),
    )


def _flags(degrees: int, rank: int, residuals, lean: float) -> list[str]:
    flags = []
    if degrees <= 0:
        flags.append(
            f"not enough data for errors: {rank} parameters or combinations are told by as many values or fewer"
        )
    if lean > LEANS:
        flags.append(f"not converged: residuals still lean on a parameter by {lean:.1e}; allow more steps")
    correlation = neighbours(residuals)
    if correlation > CORRELATED:
        more = np.sqrt((1 + correlation) / (1 - correlation)) if correlation < 1 else np.inf
        flags.append(
            f"the model leaves a pattern: neighbouring residuals correlate by {correlation:.2f}, "
            f"so that standard errors are {more:.1f} times too small if it were noise"
        )
    return flags


def neighbours(residuals: Sequence[np.ndarray]) -> float:
    """Correlation of each residual with the next one of its trace, about 0; 0 where there are too few."""
    above = sum(float(np.sum(r[1:] * r[:-1])) for r in residuals)
    below = sum(float(np.sum(0.5 * (r[1:] ** 2 + r[:-1] ** 2))) for r in residuals)
    number = sum(max(len(r) - 1, 0) for r in residuals)
    return above / below if below > 0 and number >= 10 else 0.0
