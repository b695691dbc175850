"""Searches for the best design: by gradients from several starts, by least squares, at random, on a grid.

    z <- z - U(d value/d z),      value = objective(design(z)), the same draws in every iterate

All starts are one vectorised program, in blocks of steps; every iterate is kept in a journal, from which a search that
was killed goes on to the bit.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx
from jaxtyping import Array, Float, Key
from scipy.optimize import minimize

from hfsim.draws import address, stream
from hfsim.errors import InputError
from hfsim.studies.design import Design, require_matter
from hfsim.studies.journal import Journal, finite
from hfsim.studies.objective import Objective


class Found(NamedTuple):
    """The best design of a search.

    Args:
        z: its free numbers.
        value: of the objective, as the search saw it.
        terms: statistic of each term.
        best_by_cost: (evaluations, least value so far) after each iterate, a gradient counted as `GRADIENT_COST`.
    """

    z: Float[np.ndarray, " free"]
    value: float
    terms: dict[str, float]
    best_by_cost: Float[np.ndarray, "iterates 2"]


GRADIENT_COST = 5.0
"""Evaluations that one value with its gradient is taken to cost, in comparisons with searches without gradients."""
_BLOCK = 50
"""Steps between two entries of the journal."""
_FAR = 1e10
"""In place of a value that is not finite."""


class LBFGS(NamedTuple):
    """The quasi-Newton search of Byrd, Lu, Nocedal and Zhu (scipy's L-BFGS-B), every evaluation of its line searches
    an iterate: for few parameters and narrow valleys, where a step of a fixed length creeps.

    Args:
        memory: pairs of steps and slopes that it keeps.
        tolerance: fall of the value in an iteration below which it ends, as a share of the value, or of the start's
            or of 1, the smaller of these two, where that is larger; no slope is too small for it.
    """

    memory: int = 20
    tolerance: float = 1e-6


def optimise(
    design: Design,
    objective: Objective,
    key: Key[Array, ""],
    *,
    optimiser: optax.GradientTransformation | LBFGS | optx.AbstractLeastSquaresSolver | None = None,
    steps: int = 200,
    restarts: int = 1,
    starts: Float[Array, "starts free"] | None = None,
    log: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Found:
    """Lower an objective by its gradient.

    A start whose value or gradient is not finite stays where it is.

    Args:
        design: what is free; the first start is its model, others are drawn inside the bounds.
        objective: judged with one key throughout, so that designs are compared with the same draws.
        key: of draws and starts.
        optimiser: an optax transformation; `LBFGS()`, for narrow valleys of few parameters; or an optimistix
            least-squares solver for an objective of squares and limits. None takes Adam at 0.05 with a cosine decay
            over the steps.
        steps: of each start; all but an optax transformation may end before.
        restarts: starts.
        starts: free numbers to start from in place of those.
        log: a JSONL file that gets a line for every iterate; one that exists is gone on with.
        progress: called with a line after each block of steps.

    Raises:
        InputError: counts below 1; a free parameter without influence; a log of another search; least squares of terms
            that are none; no start with a finite value.
    """
    for name, count in (("steps", steps), ("restarts", restarts)):
        if not isinstance(count, int) or count < 1:
            raise InputError(name, "be an integer >= 1", repr(count))
    draws = stream(key, "population")
    gradient = _gradient(design, objective, draws)
    require_matter(design, lambda z: _slope(gradient, z, objective.limits))
    given = starts
    if starts is None:
        drawn = design.random(stream(key, "starts"), restarts - 1)
        starts = jnp.concatenate([design.start()[None], drawn.astype(design.start().dtype)])
    elif np.ndim(starts) != 2 or np.shape(starts)[0] < 1 or np.shape(starts)[1] != len(design.labels):
        raise InputError("starts", f"have the shape (starts, {len(design.labels)})", str(np.shape(starts)))
    journal = Journal(log, _about(design, objective, key, optimiser, steps, starts, given))
    if isinstance(optimiser, optx.AbstractLeastSquaresSolver):
        _solve(design, objective, draws, optimiser, steps, starts, journal, progress)
    elif isinstance(optimiser, LBFGS):
        _quasi_newton(lambda z: gradient(z, objective.limits), optimiser, steps, starts, journal, progress)
    else:
        chosen = optimiser or optax.adam(optax.cosine_decay_schedule(0.05, steps))
        _descend(design, objective, draws, chosen, steps, starts, journal, progress)
    return _best(journal)


def _about(design, objective, key, optimiser, steps, starts, given) -> dict[str, Any]:
    """What tells a search from another; measures and the settings of an optimiser have no name."""
    return {
        "labels": design.labels,
        "bounds": [[spec.lower, spec.upper] for spec in design.specs.values()],
        "begin": np.asarray(design.start()).tolist(),
        "terms": [t.name for t in objective.terms],
        "weights": [float(t.weight) for t in objective.terms],
        "limits": [None if t.limit is None else float(t.limit) for t in objective.terms],
        "penalties": [float(t.penalty) for t in objective.terms],
        "statistics": [repr(t.statistic) for t in objective.terms],
        "key": jax.random.key_data(key).tolist(),
        "search": "optax" if optimiser is None else type(optimiser).__name__,
        "steps": steps,
        "starts": len(starts) if given is None else np.asarray(given).tolist(),
    }


def _gradient(design: Design, objective: Objective, draws) -> Callable[..., Any]:
    """(z, limits) to ((value, terms), gradient), compiled once for a design and objectives that differ in arrays."""

    def judged(z, objective, draws, limits):
        found = objective(design.model_of(z), draws, limits)
        return found.value, found.terms

    program = design.programs.setdefault("gradient", eqx.filter_jit(jax.value_and_grad(judged, has_aux=True)))
    return lambda z, limits: program(z, objective, draws, limits)


def _slope(gradient, z, limits) -> tuple[Any, Any]:
    """Value and gradient alone."""
    (value, _), slope = gradient(z, limits)
    return value, slope


def _descend(design, objective, draws, optimiser, steps, starts, journal, progress) -> None:
    """Steps of an optax transformation from all starts at once."""

    def judged(z):
        found = objective(design.model_of(z), draws)
        return found.value, found.terms

    def step(carry, _):
        z, state = carry
        (value, terms), gradient = jax.value_and_grad(judged, has_aux=True)(z)
        change, moved = optimiser.update(gradient, state, z)
        new: Any = (optax.apply_updates(z, change), moved)
        sound = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient))
        carry = jax.tree.map(lambda a, b: jnp.where(sound, a, b), new, (z, state))
        return carry, (z, value, jnp.linalg.norm(gradient), terms)

    @jax.jit
    def block(carry, length):
        return jax.vmap(lambda one: jax.lax.scan(step, one, length=len(length)))(carry)

    carry, done = (starts, jax.vmap(optimiser.init)(starts)), 0
    if journal.state is not None:
        leaves, tree = jax.tree.flatten(carry)
        kept = [jnp.asarray(x, leaf.dtype) for x, leaf in zip(journal.state["carry"], leaves, strict=True)]
        carry, done = jax.tree.unflatten(tree, kept), journal.state["done"]
    while done < steps:
        size = min(_BLOCK, steps - done)
        carry, (z, value, slope, terms) = jax.tree.map(np.asarray, block(carry, np.empty(size)))
        lines = [
            {
                "start": start,
                "step": done + number,
                "value": finite(value[start, number]),
                "slope": finite(slope[start, number]),
                "terms": {name: finite(x[start, number]) for name, x in terms.items()},
                "z": z[start, number].tolist(),
            }
            for number in range(size)
            for start in range(len(starts))
        ]
        done += size
        journal.write(lines, {"done": done, "carry": [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(carry)]})
        if progress is not None:
            progress(f"{done} of {steps} steps: {_best(journal).value:.6g}")


def _quasi_newton(gradient, optimiser, steps, starts, journal, progress) -> None:
    """Iterates of L-BFGS, one start after another; what the journal holds is not computed again."""
    kept = list(journal.lines)
    for number, start in enumerate(starts):
        scale = []

        def judged(z, number=number, start=start, scale=scale):
            if kept and kept[0]["start"] == number:
                line = kept.pop(0)
            else:
                (value, terms), slope = jax.tree.map(np.asarray, gradient(jnp.asarray(z, start.dtype)))
                sound = bool(np.isfinite(value) and np.all(np.isfinite(slope)))
                line = {
                    "start": number,
                    "step": sum(one["start"] == number for one in journal.lines),
                    "value": float(value) if sound else None,
                    "slope": slope.tolist() if sound else None,
                    "terms": {name: finite(x) for name, x in terms.items()},
                    "z": np.asarray(z, float).tolist(),
                }
                journal.write([line], {})
            if line["value"] is None:  # the line search turns back
                return _FAR, np.zeros(len(start))
            if not scale:  # scipy takes no fall below its tolerance times 1 for one
                scale.append(1 / min(1.0, abs(line["value"]) or 1.0))
            return scale[0] * line["value"], scale[0] * np.asarray(line["slope"], float)

        options = {"maxiter": steps, "maxcor": optimiser.memory, "ftol": optimiser.tolerance, "gtol": 0.0}
        minimize(judged, np.asarray(start, float), jac=True, method="L-BFGS-B", options=options)
        if progress is not None:
            progress(f"start {number}: {_best(journal).value:.6g}")


def _solve(design, objective, draws, solver, steps, starts, journal, progress) -> None:
    """Iterates of a least-squares solver, one start after another."""

    def residuals(z, args):
        model = design.model_of(z)
        return objective.residuals(model, draws), objective(model, draws)

    shapes = jax.eval_shape(residuals, starts[0], None)
    options: dict[str, Any] = {}
    fixed = {"fn": residuals, "args": None, "options": options, "tags": frozenset()}
    step = eqx.filter_jit(eqx.Partial(solver.step, **fixed))
    ended = eqx.filter_jit(eqx.Partial(solver.terminate, **fixed))
    judge = jax.jit(lambda z: residuals(z, None)[1])
    for start in range(0 if journal.state is None else journal.state["done"], len(starts)):
        z, lines = starts[start], []
        state = solver.init(residuals, z, None, options, *shapes, frozenset())
        for number in range(steps):
            found = jax.tree.map(np.asarray, judge(z))
            terms = {name: finite(x) for name, x in found.terms.items()}
            line = {"start": start, "step": number, "value": finite(found.value), "terms": terms}
            lines.append({**line, "z": np.asarray(z).tolist()})
            if bool(ended(y=z, state=state)[0]):
                break
            z, state, _ = step(y=z, state=state)
        journal.write(lines, {"done": start + 1})
        if progress is not None:
            progress(f"start {start}: {_best(journal).value:.6g}")


def _best(journal: Journal) -> Found:
    """The iterate of the least value."""
    values = np.array([np.inf if line["value"] is None else line["value"] for line in journal.lines])
    if not np.any(np.isfinite(values)):
        raise InputError("objective", "be finite at some start", "none")
    line = journal.lines[int(np.argmin(values))]
    cost = GRADIENT_COST * np.arange(1, len(values) + 1)
    best = np.stack([cost, np.minimum.accumulate(values)], axis=1)
    return Found(np.asarray(line["z"]), line["value"], line["terms"], best)


def pareto(
    design: Design,
    objective: Objective,
    key: Key[Array, ""],
    *,
    name: str,
    limits: list[float],
    begin: Float[Array, " free"] | None = None,
    optimiser: LBFGS = LBFGS(),
    steps: int = 200,
    progress: Callable[[str], None] | None = None,
) -> list[Found]:
    """Best designs for each limit of one term: the front of the objective against it.

    Each limit starts from the best design of the one before it, and from where the first began.

    The program is compiled once for all limits.

    Args:
        design: what is free.
        objective: whose term `name` gets the limits.
        key: of draws, the same for each limit.
        name: of the term, which must have a limit.
        limits: in the order of the search.
        begin: free numbers to begin with; None takes those of the design's model.
        optimiser: how each is found.
        steps: of each start.
        progress: called with a line for each limit.

    Raises:
        InputError: no such term, a limit that is not above 0, or as `optimise`.
    """
    for limit in limits:
        if not limit > 0:
            raise InputError("limits", "be above 0", limit)
    draws = stream(key, "population")
    place = objective.place(name)
    gradient = _gradient(design, objective, draws)
    require_matter(design, lambda z: _slope(gradient, z, objective.limits))
    first = design.start() if begin is None else begin
    front, best = [], first
    for limit in limits:
        journal, given = Journal(None, {}), objective.limits.at[place].set(limit)
        starts = jnp.stack([first, best])
        _quasi_newton(lambda z, given=given: gradient(z, given), optimiser, steps, starts, journal, None)
        found = _best(journal)
        best = jnp.asarray(found.z, best.dtype)
        front.append(found)
        if progress is not None:
            progress(f"{name} <= {limit:g}: {found.value:.6g}")
    return front


def search(
    design: Design, objective: Objective, key: Key[Array, ""], *, number: int, together: int = 64, grid: bool = False
) -> Found:
    """The best of `number` designs drawn evenly inside the bounds, or of a full grid of at most as many.

    The same draws as `optimise` with the same key; `together` designs are judged at once.

    Raises:
        InputError: counts below 1, or no design of a finite value.
    """
    for name, count in (("number", number), ("together", together)):
        if not isinstance(count, int) or count < 1:
            raise InputError(name, "be an integer >= 1", repr(count))
    draws = stream(key, "population")
    points = grid_points(design, number) if grid else design.random(address(stream(key, "search"), 0), number)

    @jax.jit
    def judge(points):
        found = jax.lax.map(lambda z: objective(design.model_of(z), draws), points, batch_size=together)
        return found.value, found.terms

    values, terms = jax.tree.map(np.asarray, judge(points))
    values = np.where(np.isfinite(values), values, np.inf)
    best = int(np.argmin(values))
    if not np.isfinite(values[best]):
        raise InputError("objective", "be finite at some design", "none")
    curve = np.stack([np.arange(1, len(values) + 1), np.minimum.accumulate(values)], axis=1)
    return Found(np.asarray(points[best]), float(values[best]), {k: float(v[best]) for k, v in terms.items()}, curve)


def grid_points(design: Design, number: int) -> Float[Array, "points free"]:
    """A full grid: as many points on each axis as make at most `number` of them, at the middles of equal shares."""
    axes = len(design.labels)
    each = max(1, int(np.floor(number ** (1 / axes) + 1e-9)))
    share = (np.arange(each) + 0.5) / each
    grid = np.stack(np.meshgrid(*[share] * axes, indexing="ij"), axis=-1).reshape(-1, axes)
    return jnp.asarray(np.log(grid) - np.log1p(-grid))
