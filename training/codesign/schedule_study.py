"""Study `schedule`: when to transfer, learned with the network.

    lower over the knots of ln k(t):    E[loss of the validation part] + w E/E_ref,    E_ref the energy at k = 100

by runs in pairs at drawn knots (`Perturbation`), with fresh draws at every iterate: the clock is used as it is, no gate
is relaxed. Beside it: constant periods, random search and a grid of the knots at the
same cost, all judged again by fresh draws, each against the constant period of the same number of transfers.
"""

import time
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from hfsim.draws import address, stream
from hfsim.errors import InputError
from hfsim.estimators import Perturbation
from hfsim.learning import KnotSchedule
from hfsim.studies.codesign import grid_points
from hfsim.studies.design import Design, Variable
from training.codesign import schedule_estimators
from training.codesign.configuration import CoDesign
from training.codesign.schedule_model import Outcome, Task, even_phases, mean_and_error, run_keys
from training.codesign.schedule_page import results_of
from training.codesign.stage import Found, Stage
from training.job import Results

SHARES = (0.0, 0.5, 0.9, 1.0)
"""Places of the knots in the training; chosen: a trial on validation parts showed that the end matters most."""
LOW, HIGH = 2.0, 1000.0
"""Bounds of the periods at the knots [samples]; chosen: wider than any that was found."""
PERIODS = (5, 10, 20, 40, 60, 100, 150, 200, 300, 400, 600)
"""Constant ones of the curve."""
REFERENCE = 100
"""The article's period, whose energy is the unit of energy in what is lowered."""
WEIGHTS = (0.1, 0.3, 1.0)
"""Loss that the reference energy is worth; chosen: the best constant periods then lie between 60 and 400."""
STEPS = 50
"""Iterates; chosen: the knots have then settled to within the spread of an iterate."""
RATE = 0.1
"""Of Adam, in free numbers; chosen: the whole range of a knot in the iterates."""
WIDTH = 0.2
"""Of the drawn knots, in free numbers; chosen: 0.3 of ln k in the middle of the range."""
RUNS = 32
"""Trainings of an iterate, of each period of the curve, and of each schedule of the check: standard error of the loss
0.02 and less."""
ESTIMATOR_FACTOR = 4
"""Runs that estimators are measured with, for each of those."""
SEARCH_RUNS = 16
"""Trainings of each schedule in a search; chosen: designs and repeats in balance."""


class Setting(NamedTuple):
    """What the stages share."""

    task: Task
    key: Any
    steps: int
    runs: int


def stages(config: CoDesign) -> list[Stage]:
    """Estimators, ways, constant periods, learned schedules, searches, check."""
    steps = STEPS if config.steps is None else config.steps
    runs = RUNS if config.chips is None else config.chips
    if runs < 2 or runs % 2:
        raise InputError(
            "--chips", "be an even number for the study schedule", runs, "its gradient takes runs in pairs"
        )
    s = Setting(Task(config), jax.random.key(config.seed), steps, runs)
    learn = [Stage(learned_name(w), partial(_learn, s, w)) for w in WEIGHTS]
    return [
        Stage("estimators", lambda _: _estimators(s)),
        Stage("ways", lambda _: schedule_estimators.ways_table(s.task, stream(s.key, "ways"), SHARES)),
        Stage("constant", lambda _: _constant(s)),
        *learn,
        Stage("random", partial(_search, s, False)),
        Stage("grid", partial(_search, s, True)),
        Stage("check", partial(_check, s)),
    ]


def present(config: CoDesign, found: dict[str, Found]) -> Results:
    """What is done by now."""
    return results_of(config.dataset or "digits", found, SHARES, WEIGHTS)


def learned_name(weight: float) -> str:
    """The stage of an energy weight."""
    return f"learned_{weight:g}"


def _estimators(s: Setting) -> Found:
    return schedule_estimators.estimator_table(s.task, stream(s.key, "estimators"), ESTIMATOR_FACTOR * s.runs)


def _energy_share(s: Setting, transfers) -> Any:
    return s.task.energy(transfers) / s.task.energy(s.task.samples / REFERENCE)


def _design(start: float) -> Design:
    model = KnotSchedule(periods=jnp.full(len(SHARES), start), shares=SHARES)
    return Design(model, [Variable("periods", LOW, HIGH)])


def _expected(s: Setting, schedule: KnotSchedule) -> Any:
    """Expected transfers of a training."""
    clock = schedule.start()._replace(samples=jnp.int32(s.task.samples))
    return schedule.expected(schedule.resumed(clock, s.task.samples))


def _schedule(periods: Any) -> KnotSchedule:
    """Of periods at the knots, or of one period throughout."""
    return KnotSchedule(periods=jnp.broadcast_to(jnp.asarray(periods, float), (len(SHARES),)), shares=SHARES)


def _judge(s: Setting, schedules: list[KnotSchedule], keys, tested=None) -> list[Outcome]:
    """Outcomes of every schedule with the same keys and even phases; in blocks of one size, for one program."""
    periods = np.repeat(np.stack([schedule.periods for schedule in schedules]), len(keys), axis=0)
    wanted = np.tile(np.arange(len(keys)), len(schedules))
    phases, parts = even_phases(keys), []
    for begin in range(0, len(wanted), s.runs):
        places = np.arange(begin, begin + s.runs) % len(wanted)  # the last block begins again, for its size
        chosen = keys[wanted[places]]
        leaves = (jnp.asarray(periods[places]), phases[wanted[places]])
        block = eqx.tree_at(lambda one: (one.periods, one.phase), schedules[0], leaves)  # one for each run
        parts.append(s.task.runs(block, chosen, s.task.validation, tested))
    found = jax.tree.map(lambda *x: np.concatenate(x)[: len(wanted)].reshape(len(schedules), -1), *parts)
    return [jax.tree.map(lambda x, i=i: x[i], found) for i in range(len(schedules))]


def _constant(s: Setting) -> Found:
    """The curve on the validation part: what learned schedules start from is chosen by it."""
    keys = run_keys(stream(s.key, "constant"), s.runs)
    outcomes = _judge(s, [_schedule(k) for k in PERIODS], keys)
    rows = [
        {
            "period": k,
            "loss": mean_and_error(found.loss),
            "accuracy": mean_and_error(found.accuracy),
            "transfers": s.task.samples / k,
        }
        for k, found in zip(PERIODS, outcomes, strict=True)
    ]
    best = {
        f"{w:g}": min(rows, key=lambda row: row["loss"][0] + w * float(_energy_share(s, row["transfers"])))["period"]
        for w in WEIGHTS
    }
    return {"rows": rows, "best": best}


def _learn(s: Setting, weight: float, found: dict[str, Found]) -> Found:
    """Descend from the best constant period; the mean of the later half of the iterates."""
    design = _design(float(found["constant"]["best"][f"{weight:g}"]))
    key = stream(s.key, learned_name(weight))
    optimiser = optax.adam(optax.cosine_decay_schedule(RATE, s.steps))
    z = design.start()
    state = optimiser.init(z)
    keys = [address(key, number) for number in range(s.steps)]
    begin, path, values = time.perf_counter(), [], []
    for own in keys:
        path.append(np.asarray(design.values(z)["periods"]).tolist())
        total, slope = _descend(s, design, z, own, weight)
        change, state = optimiser.update(slope, state, z)
        z = jnp.asarray(optax.apply_updates(z, change))
        values.append(float(total))
    logs = np.log([*path, np.asarray(design.values(z)["periods"]).tolist()])
    return {
        "periods": np.exp(logs[len(logs) // 2 :].mean(axis=0)).tolist(),
        "path": path,
        "values": values,
        "seconds": time.perf_counter() - begin,
        "trainings": s.steps * s.runs,
    }


def _descend(s: Setting, design: Design, z, key, weight: float) -> tuple[Any, Any]:
    """Loss plus weighted energy around a design, and its slope in the free numbers: one training each run."""
    estimator, pairs = Perturbation(width=WIDTH), s.runs // 2
    normals = jax.random.normal(stream(key, "knots"), (pairs, len(z)))
    keys = jnp.tile(run_keys(stream(key, "runs"), pairs), 2)
    schedules = [design.model_of(place) for place in estimator.places(z, normals)]
    block = eqx.tree_at(lambda one: one.phase, _stacked(schedules), even_phases(keys))
    losses = s.task.runs(block, keys, s.task.validation).loss

    def value(z):
        return estimator.mean(losses, z, normals) + weight * _energy_share(s, _expected(s, design.model_of(z)))

    return jax.value_and_grad(value)(z)


def _stacked(schedules: list[KnotSchedule]) -> KnotSchedule:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *schedules)


def _search(s: Setting, grid: bool, found: dict[str, Found]) -> Found:
    """Schedules of the same cost as learning one: the best for each weight, as the search saw it."""
    trainings = max(found[learned_name(w)]["trainings"] for w in WEIGHTS)
    runs = min(SEARCH_RUNS, s.runs)
    number = max(1, int(trainings / runs))
    design, key = _design(float(REFERENCE)), stream(s.key, "grid" if grid else "random")
    points = grid_points(design, number) if grid else design.random(address(key, 0), number)
    schedules = [design.model_of(z) for z in points]
    outcomes = _judge(s, schedules, run_keys(address(key, 1), runs))
    losses = np.array([float(np.mean(outcome.loss)) for outcome in outcomes])
    shares = np.array([float(_energy_share(s, _expected(s, schedule))) for schedule in schedules])
    best = {}
    for w in WEIGHTS:
        place = int(np.argmin(losses + w * shares))
        value = float(losses[place] + w * shares[place])
        best[f"{w:g}"] = {"periods": np.asarray(schedules[place].periods).tolist(), "value": value}
    return {"best": best, "designs": len(schedules), "runs": runs}


def _check(s: Setting, found: dict[str, Found]) -> Found:
    """Fresh draws; the test samples, used once: every constant period, every schedule and its constant equal."""
    keys = run_keys(stream(s.key, "check"), s.runs)
    rows: list[tuple[str, float | None, list[float]]] = [("constant", None, [float(k)]) for k in PERIODS]
    for w in WEIGHTS:
        chosen = {"learned": found[learned_name(w)]["periods"]}
        chosen |= {kind: found[kind]["best"][f"{w:g}"]["periods"] for kind in ("random", "grid")}
        rows.append(("best constant", w, [float(found["constant"]["best"][f"{w:g}"])]))
        for kind, periods in chosen.items():
            equal = max(1.0, s.task.samples / float(_expected(s, _schedule(periods))))
            rows += [(kind, w, periods), (f"{kind}_equal", w, [equal])]
    outcomes = _judge(s, [_schedule(periods) for _, _, periods in rows], keys, s.task.test)
    following = [*outcomes[1:], outcomes[-1]]  # of a schedule that is found: its constant equal, with the same draws
    return {"rows": [_row(s, *one) for one in zip(rows, outcomes, following, strict=True)], "runs": s.runs}


def _row(s: Setting, row: tuple[str, float | None, list[float]], outcome: Outcome, following: Outcome) -> Found:
    kind, weight, periods = row
    expected = float(_expected(s, _schedule(periods)))
    said: Found = {
        "kind": kind,
        "weight": weight,
        "periods": periods,
        "transfers": float(np.mean(outcome.transfers)),
        "expected_transfers": expected,
        "energy_nJ": float(s.task.energy(expected)),
        "wear": s.task.wear(expected),
        "loss": mean_and_error(outcome.loss),
        "validation": mean_and_error(outcome.accuracy),
        "test": mean_and_error(outcome.tested),
    }
    if weight is not None:
        said["value"] = said["loss"][0] + weight * float(_energy_share(s, expected))
    if len(periods) > 1:
        said["gain_validation"] = mean_and_error(outcome.accuracy - following.accuracy)
        said["gain_test"] = mean_and_error(np.asarray(outcome.tested) - np.asarray(following.tested))
    return said
