"""Gradient descent on a design, from several starts, with a log of every iterate; random search and grid beside it."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from hfsim.draws import address, stream
from hfsim.errors import InputError
from hfsim.studies.design import Design, require_matter
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


def optimise(
    design: Design,
    objective: Objective,
    key: Key[Array, ""],
    *,
    optimiser: optax.GradientTransformation | None = None,
    steps: int = 200,
    restarts: int = 1,
    log: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Found:
    """Lower an objective by its gradient.

    Args:
        design: what is free; the first start is its model, others are drawn inside the bounds.
        objective: judged with one key throughout, so that designs are compared with the same draws.
        key: of draws and starts.
        optimiser: an optax transformation; None takes Adam at 0.05 with a cosine decay over the steps.
        steps: of each start.
        restarts: starts.
        log: a JSONL file that gets a line for every iterate; one that exists is gone on with: finished starts are not
            run again, an unfinished one begins anew.
        progress: called with a line now and then.

    Raises:
        InputError: counts below 1; a free parameter without influence; a log of another search.
    """
    for name, count in (("steps", steps), ("restarts", restarts)):
        if not isinstance(count, int) or count < 1:
            raise InputError(name, "be an integer >= 1", repr(count))
    chosen = optimiser or optax.adam(optax.cosine_decay_schedule(0.05, steps))
    draws = stream(key, "population")
    require_matter(design, lambda model: objective(model, draws).value)

    def judged(z):
        found = objective(design.model_of(z), draws)
        return found.value, found.terms

    @jax.jit
    def step(z, state):
        (value, terms), gradient = jax.value_and_grad(judged, has_aux=True)(z)
        change, state = chosen.update(gradient, state, z)
        return optax.apply_updates(z, change), state, value, terms, jnp.linalg.norm(gradient)

    starts = jnp.concatenate([design.start()[None], design.random(stream(key, "starts"), restarts - 1)])
    journal = Journal(log, {"labels": design.labels, "steps": steps, "terms": [t.name for t in objective.terms]})
    for start in range(restarts):
        if journal.finished(start):
            continue
        z, state, lines = starts[start], chosen.init(starts[start]), []
        for number in range(steps):
            before = z
            z, state, value, terms, slope = step(z, state)
            line = {
                "start": start,
                "step": number,
                "value": float(value),
                "slope": float(slope),
                "terms": {name: float(x) for name, x in terms.items()},
                "z": np.asarray(before, float).tolist(),
            }
            if not np.isfinite(line["value"]):
                break
            lines.append(line)
            journal.write(line)
            if progress is not None and number % max(1, steps // 10) == 0:
                progress(f"start {start}, step {number}: {line['value']:.6g}")
    return journal.best()


class Journal:
    """Every iterate of a search, in memory and in a file.

    Raises:
        InputError: the file is of another search, or no journal.
    """

    def __init__(self, path: Path | None, about: dict[str, Any]):
        self.lines: list[dict[str, Any]] = []
        self._path = path
        if path is None:
            return
        if path.is_file():
            lines = _read(path, about)
            counts = Counter(line["start"] for line in lines)
            self.lines = [line for line in lines if counts[line["start"]] >= about["steps"]]
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
        # written anew: the start that a kill cut short is gone
        temporary = path.with_suffix(".part")
        kept = [json.dumps(about)] + [json.dumps(line) for line in self.lines]
        temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        os.replace(temporary, path)

    def finished(self, start: int) -> bool:
        """Whether the iterates of a start are there."""
        return any(line["start"] == start for line in self.lines)

    def write(self, line: dict[str, Any]) -> None:
        """One more iterate."""
        self.lines.append(line)
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def best(self) -> Found:
        """The iterate of the least value.

        Raises:
            InputError: no iterate had a finite value.
        """
        if not self.lines:
            raise InputError("objective", "be finite at some start", "none")
        values = np.array([line["value"] for line in self.lines])
        line = self.lines[int(np.argmin(values))]
        cost = GRADIENT_COST * np.arange(1, len(values) + 1)
        best = np.stack([cost, np.minimum.accumulate(values)], axis=1)
        return Found(np.asarray(line["z"]), line["value"], line["terms"], best)


def _read(path: Path, about: dict[str, Any]) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        first = json.loads(lines[0])
    except (IndexError, ValueError) as error:
        raise InputError("log", "be the journal of a search, or not there yet", str(path)) from error
    if first != about:
        raise InputError("log", f"be of this search ({about})", f"{path} of another ({first})", "choose another file")
    found = []
    for line in lines[1:]:
        try:
            found.append(json.loads(line))
        except ValueError:
            break  # the last line of a killed run
    return found


def search(
    design: Design, objective: Objective, key: Key[Array, ""], *, number: int, together: int = 64, grid: bool = False
) -> Found:
    """The best of `number` designs drawn evenly inside the bounds, or of a full grid of about as many.

    The same draws as `optimise` with the same key; `together` designs are judged at once.
    """
    draws = stream(key, "population")
    points = grid_points(design, number) if grid else design.random(address(stream(key, "search"), 0), number)

    @jax.jit
    def judge(z):
        found = jax.lax.map(lambda one: objective(design.model_of(one), draws), z, batch_size=together)
        return found.value, found.terms

    values, terms = jax.tree.map(np.asarray, judge(points))
    values = np.where(np.isfinite(values), values, np.inf)
    best = int(np.argmin(values))
    curve = np.stack([np.arange(1, len(values) + 1), np.minimum.accumulate(values)], axis=1)
    return Found(np.asarray(points[best]), float(values[best]), {k: float(v[best]) for k, v in terms.items()}, curve)


def grid_points(design: Design, number: int) -> Float[Array, "points free"]:
    """A full grid: as many points on each axis as make at most `number` of them, at the middles of equal shares."""
    axes = len(design.labels)
    each = max(1, int(np.floor(number ** (1 / axes) + 1e-9)))
    share = (np.arange(each) + 0.5) / each
    grid = np.stack(np.meshgrid(*[share] * axes, indexing="ij"), axis=-1).reshape(-1, axes)
    return jnp.asarray(np.log(grid) - np.log1p(-grid))
