"""Many devices, several curves each, fitted at once: means, spreads and correlations of their parameters.

    y_t = f(x_t) + error,    x = exp(u) or u,    u_t = m_i + N(0, C),    m_i = mu + N(0, D)

for curve t of device i: D is the spread from device to device, C that from cycle to cycle (`random_effects`). Each
curve is fitted, the model is taken as linear about it, mu, D and C are those of the largest restricted likelihood, and
the model is taken as linear again about what they make of each curve, until nothing changes (M. J. Lindstrom,
D. M. Bates, Biometrics 46, 673 (1990)). So a curve that leaves a parameter open borrows it from the others, and errors
of the data are not taken for spread.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float

from hfsim.errors import InputError
from hfsim.io.traces import Trace
from hfsim.parameters import ParameterSpec
from hfsim.studies.calibration.fit import CORRELATED, CalibrationWarning, calibrate, in_double, neighbours
from hfsim.studies.calibration.predictions import AbstractPrediction
from hfsim.studies.calibration.random_effects import Curves, Shape, Spreads, estimate, posterior, spreads
from hfsim.studies.calibration.residuals import Errors, Experiment, Stack, experiment
from hfsim.studies.calibration.spread import TOLD, PopulationFit
from hfsim.studies.design import Design, Variable

_WIDE = 3.0  # standard deviation, in free numbers, of the weak hold on each curve's own first fit
_CURVE_STEPS = 40
_START = 0.7  # of the spread of the curves' own fits, for devices and for cycles
_INNER = 2  # noise and spreads depend on each other
_DONE = 0.02  # standard errors by which means, spreads and noise may still change
_LEAST = 1e-3  # of a parameter's size: the smallest unit in which its spread is counted
_CURVED = 0.2  # relative departure of the residuals from those of the linear model that is told


def calibrate_population(
    model: Any,
    devices: Mapping[str, Sequence[Trace]],
    prediction: AbstractPrediction,
    free: Sequence[str | Variable],
    *,
    shared: Sequence[str] = (),
    distributions: Mapping[str, str] | None = None,
    errors: Errors = None,
    starts: int = 2,
    rounds: int = 20,
    progress: Callable[[str], None] | None = None,
) -> PopulationFit:
    """Fit the parameters of a population of devices.

    Args:
        model: as of `calibrate`; one device.
        devices: curves of each device by its name. Several of one device are its cycles.
        prediction: of a curve.
        free: scalar parameters.
        shared: those of `free` that are the same for all devices and cycles.
        distributions: "lognormal" or "normal" by parameter; by default lognormal where it can only be positive.
        errors: as of `calibrate`.
        starts: of the fit of all curves by one device, from which the others begin.
        rounds: most times that the model is taken as linear.
        progress: called with a line for each round.

    Returns:
        Means, spreads and correlations with their errors, and the parameters of each device.

    Raises:
        InputError: fewer than three curves, a parameter that is an array, names that are not free, no round, or as
            `calibrate`.
    """
    if not isinstance(rounds, int) or rounds < 1:
        raise InputError("rounds", "be an integer >= 1", repr(rounds))
    names, traces, device = _gathered(devices)
    variables = [Variable(v) if isinstance(v, str) else v for v in free]
    for argument, given in (("shared", shared), ("distributions", distributions or {})):
        if unknown := sorted(set(given) - {v.name for v in variables}):
            raise InputError(argument, f"name free parameters ({', '.join(v.name for v in variables)})", unknown[0])
    with warnings.catch_warnings():  # one device for all leaves a pattern, of course
        warnings.simplefilter("ignore", CalibrationWarning)
        pooled = calibrate(model, traces, prediction, variables, errors=errors, starts=starts)
    kinds = _kinds(pooled.labels, pooled.specs, pooled.values, distributions)
    varying = tuple(i for i, label in enumerate(pooled.labels) if label not in shared)
    over_cycles = varying if len(traces) > len(names) else ()
    shape = Shape(len(pooled.labels), len(names), varying if len(names) > 1 else (), over_cycles)
    open_ = [flag for flag in pooled.flags if flag.startswith("not identified")]
    if open_:
        raise InputError("free", "be told by all curves together", open_[0])
    with jax.enable_x64(True):
        design = Design(in_double(pooled.model, variables), variables)
        curve = _Curve(design, experiment(prediction, traces, errors), kinds)
        stack = curve.task.stack()
        sigma = pooled.rms if errors is None else 1.0
        found = _rounds(curve, stack, device, shape, curve.own_fits(stack, sigma), rounds, progress)
        predicted = np.asarray(jax.jit(curve.predictions)(jnp.asarray(found.curves), stack))
    result = _result(pooled, tuple(names), traces, device, kinds, shape, found, predicted)
    for flag in result.flags:
        warnings.warn(flag, CalibrationWarning, stacklevel=2)
    return result


def _gathered(devices: Mapping[str, Sequence[Trace]]) -> tuple[list[str], list[Trace], np.ndarray]:
    if not isinstance(devices, Mapping) or not all(devices.values()):
        raise InputError("devices", "map each device's name to its curves, one or more", type(devices).__name__)
    traces = [trace for curves in devices.values() for trace in curves]
    if len(traces) < 3:
        raise InputError("devices", "hold three curves or more", len(traces))
    device = np.repeat(np.arange(len(devices)), [len(curves) for curves in devices.values()])
    return [*devices], traces, device


def _kinds(labels, specs: Sequence[ParameterSpec], values, distributions: Mapping[str, str] | None) -> tuple[str, ...]:
    """Normal or lognormal, for each parameter."""
    given = distributions or {}
    kinds = []
    for label, spec, value in zip(labels, specs, values, strict=True):
        if "[" in label:
            raise InputError("free", "be scalar parameters for a population", label, "fit arrays with `calibrate`")
        kind = given.get(label, "lognormal" if spec.lower >= 0 and value > 0 else "normal")
        if kind not in ("normal", "lognormal") or (kind == "lognormal" and not value > 0):
            raise InputError("distributions", "be normal, or lognormal for what is positive", f"{label}: {kind}")
        kinds.append(kind)
    return tuple(kinds)


class _Curve(NamedTuple):
    """The model of single curves, in u."""

    design: Design
    task: Experiment
    kinds: tuple[str, ...]

    def x_of(self, u: Float[Array, " free"]) -> Float[Array, " free"]:
        """Parameters within their bounds."""
        logarithmic = np.array([kind == "lognormal" for kind in self.kinds])
        x = jnp.where(logarithmic, jnp.exp(jnp.where(logarithmic, u, 0.0)), u)
        specs = [self.design.specs[label] for label in self.design.labels]
        return jnp.clip(x, np.array([s.lower for s in specs]), np.array([s.upper for s in specs]))

    def sizes(self) -> Float[np.ndarray, " free"]:
        """Of the parameters in u."""
        values = [float(v) for v in self.design.values(self.design.start()).values()]
        return np.array([1.0 if k == "lognormal" else abs(v) or 1.0 for k, v in zip(self.kinds, values, strict=True)])

    def u_of(self, x: Float[Array, " free"]) -> Float[Array, " free"]:
        logarithmic = np.array([kind == "lognormal" for kind in self.kinds])
        return jnp.where(logarithmic, jnp.log(jnp.where(logarithmic, x, 1.0)), x)

    def model_of(self, u: Float[Array, " free"]) -> Any:
        return self.design.with_values(dict(zip(self.design.labels, self.x_of(u), strict=True)))

    def residual(self, u: Float[Array, " free"], one: Stack) -> Float[Array, " rows"]:
        """Of one curve, whose stack has no axis of curves."""
        alone = jax.tree.map(lambda x: x[None], one)
        return self.task.residuals(self.model_of(u), alone)[0]

    def predictions(self, u: Float[Array, "curves free"], stack: Stack) -> Float[Array, "curves rows"]:
        def one(u, one):
            return self.task.predicted(self.model_of(u), jax.tree.map(lambda x: x[None], one))[0]

        return jax.vmap(one)(u, stack)

    def own_fits(self, stack: Stack, sigma: float) -> Float[Array, "curves free"]:
        """Each curve fitted alone, weakly held to the fit of all."""
        z0 = self.design.start()
        solver = optx.LevenbergMarquardt(rtol=1e-6, atol=1e-8)

        def residual(z, one):
            alone = jax.tree.map(lambda x: x[None], one)
            r = self.task.residuals(self.design.model_of(z), alone)[0] / sigma
            return jnp.concatenate([r, (z - z0) / _WIDE])

        def fit(one):
            z = optx.least_squares(residual, solver, z0, args=one, max_steps=_CURVE_STEPS, throw=False).value
            z = jnp.where(jnp.all(jnp.isfinite(residual(z, one))), z, z0)
            return self.u_of(jnp.stack([*self.design.values(z).values()]))

        return jax.jit(lambda stack: jax.lax.map(fit, stack))(stack)


class _Estimate(NamedTuple):
    """After all rounds, in u: mean, its covariance, devices, curves, spreads; noise, and how it ended."""

    mean: Float[np.ndarray, " free"]
    covariance: Float[np.ndarray, "free free"]
    devices: Float[np.ndarray, "devices free"]
    curves: Float[np.ndarray, "curves free"]
    spreads: Spreads
    sigma: float
    curved: float
    change: float


def _rounds(curve: _Curve, stack: Stack, device, shape: Shape, u, rounds: int, progress) -> _Estimate:
    """Linear about each curve, largest likelihood, and again."""
    slopes = jax.jit(jax.vmap(jax.jacfwd(lambda u, one: (curve.residual(u, one),) * 2, has_aux=True)))
    J, r = slopes(u, stack)
    task, points = curve.task, curve.task.points - curve.task.constants
    sigma = 1.0 if task.errors is not None else float(jnp.sqrt(jnp.sum(r**2) / max(points - u.size, 1)))
    unit = np.maximum(np.std(np.asarray(u), axis=0), _LEAST * curve.sizes())
    theta, last, change, curved = shape.start(_START), None, np.inf, 0.0
    posterior_of = jax.jit(posterior, static_argnums=3)
    for count in range(1, rounds + 1):
        centre = jnp.mean(u, 0)
        for _ in range(1 if task.errors is not None else _INNER):
            curves = _information(r / sigma, J * unit / sigma, (u - centre) / unit, device)
            theta = estimate(curves, shape, theta)
            D, C = (root @ root.T for root in shape.roots(jnp.asarray(theta)))
            found = posterior_of(D, C, curves, shape.devices)
            left = r + jnp.einsum("tri,ti->tr", J * unit, found.curves - (u - centre) / unit)
            if task.errors is None:
                loose = jnp.einsum("tri,tij,trj->", J * unit, found.curve_covariance, J * unit)
                sigma = float(jnp.sqrt((jnp.sum(left**2) + loose) / points))
        known = spreads(curves, shape, theta)
        mean = np.asarray(centre + unit * found.mean)
        u = centre + unit * found.curves
        J, r = slopes(u, stack)
        curved = float(jnp.linalg.norm(r - left) / jnp.maximum(jnp.linalg.norm(r), 1e-300))
        now = (mean / unit, known.device, known.cycle, np.log(sigma))
        within = (
            np.sqrt(np.diag(found.mean_covariance)),
            known.device_errors,
            known.cycle_errors,
            np.sqrt(0.5 / points),
        )
        change = np.inf if last is None else _change(now, last, within)
        last = now
        if progress is not None:
            progress(f"round {count}: noise {sigma:.4g}, changed by {change:.2g} standard errors")
        if change < _DONE:
            break
    square = np.outer(unit, unit)
    return _Estimate(
        mean=mean,
        covariance=np.asarray(found.mean_covariance) * square,
        devices=np.asarray(centre + unit * found.devices),
        curves=np.asarray(u),
        spreads=Spreads(known.D * square, known.C * square, known.device_errors * unit, known.cycle_errors * unit),
        sigma=sigma,
        curved=curved,
        change=change,
    )


def _change(now, last, errors) -> float:
    """Largest change in standard errors; what has none is open and may wander."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = [np.abs(a - b) / e for a, b, e in zip(now, last, errors, strict=True)]
    known = np.concatenate([np.ravel(share)[np.isfinite(np.ravel(share))] for share in shares])
    return float(np.max(known, initial=0.0))


def _information(r, J, v, device) -> Curves:
    """What residuals r and slopes J at v say: -|r + J (w - v)|^2/2 = -w' H w/2 + w' h + const."""
    H = jnp.einsum("tri,trj->tij", J, J)
    return Curves(H, jnp.einsum("tij,tj->ti", H, v) - jnp.einsum("tri,tr->ti", J, r), jnp.asarray(device))


def _result(pooled, names, traces, device, kinds, shape: Shape, found: _Estimate, predicted) -> PopulationFit:
    logarithmic = np.array([kind == "lognormal" for kind in kinds])

    def x_of(u):
        return np.where(logarithmic, np.exp(np.where(logarithmic, u, 0.0)), u)

    values = x_of(found.mean)
    errors = np.sqrt(np.diag(found.covariance)) * np.where(logarithmic, values, 1.0)
    given = pooled.prediction.given
    rows = tuple(row[: len(trace)] for row, trace in zip(predicted, traces, strict=True))
    residuals = tuple(
        (row - np.asarray(pooled.prediction.measured(trace)))[given:] for row, trace in zip(rows, traces, strict=True)
    )
    by_name = dict(zip(pooled.labels, values, strict=True))
    variables = [Variable(label) for label in pooled.labels]
    return PopulationFit(
        model=Design(pooled.model, variables).with_values(by_name),
        prediction=pooled.prediction,
        traces=tuple(traces),
        names=names,
        device=device,
        labels=pooled.labels,
        units=pooled.units,
        kinds=kinds,
        values=values,
        errors=errors,
        D=found.spreads.D,
        C=found.spreads.C,
        device_errors=found.spreads.device_errors,
        cycle_errors=found.spreads.cycle_errors,
        devices=x_of(found.devices),
        curves=x_of(found.curves),
        noise=found.sigma,
        predicted=rows,
        residuals=residuals,
        flags=_flags(pooled, shape, found, residuals),
    )


def _flags(pooled, shape: Shape, found: _Estimate, residuals) -> tuple[str, ...]:
    flags = [flag for flag in pooled.flags if flag.startswith("at its bound")]
    if not shape.over_cycles:
        flags.append("one curve for each device: the spread of devices holds that of cycles")
    if shape.devices == 1:
        flags.append("one device: its cycles alone have a spread")
    sides = (
        ("devices", found.spreads.D, found.spreads.device_errors),
        ("cycles", found.spreads.C, found.spreads.cycle_errors),
    )
    for side, covariance, errors in sides:
        for i in shape.over_devices if side == "devices" else shape.over_cycles:
            deviation = float(np.sqrt(covariance[i, i]))
            if not deviation > TOLD * errors[i]:
                flags.append(f"not told from none: the spread of {pooled.labels[i]} over {side}")
    if (correlation := neighbours(residuals)) > CORRELATED:
        told = f"neighbouring residuals correlate by {correlation:.2f}"
        flags.append(f"the model leaves a pattern: {told}, so that spreads are known worse than their errors say")
    if found.change >= _DONE:
        flags.append(f"not converged: estimates still change by {found.change:.2g} standard errors; allow more rounds")
    if found.curved > _CURVED:
        flags.append(f"far from linear: residuals depart by {found.curved:.0%} from what linear curves leave")
    return tuple(flags)
