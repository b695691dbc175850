"""Bias, spread and price of the gradient estimators of a schedule; time and memory of the ways through a training."""

import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from hfsim.draws import stream
from hfsim.estimators import AbstractEstimator, Exact, Perturbation, ScoreFunction, Soft, SoftGradient
from hfsim.learning import AbstractSchedule, ChangeSchedule, ConstantSchedule, KnotSchedule, RandomSchedule, Training
from training.codesign.schedule_model import Task, even_phases, mean_and_error, run_keys
from training.codesign.stage import Found

PERIOD = 30.0
"""Samples; chosen: about ten transfers in a short training."""
SHORT = 300
"""Samples of the trainings that estimators are measured on; chosen: short, so that brute force is precise."""
STEP = 0.2
"""Of the brute-force central difference, in ln of the parameter; chosen: curvature within the standard error."""
BRUTE_FACTOR = 16
"""Brute-force pairs of runs for each run of an estimator."""
MEGABYTE = 2**20
WIDTH = 0.1
"""Periods; of the gates of a whole training."""
LAST_CHUNKS = 1
"""That the truncated gradient goes through."""
THRESHOLD = 12.0
"""Hidden steps; chosen: about ten transfers in a short training."""
PERTURBATION = "perturbation"
ESTIMATORS = (
    ("period", "straight-through", 0.1, None),
    ("period", "straight-through", 0.3, None),
    ("period", "soft", 0.1, None),
    ("period", "straight-through", 0.1, LAST_CHUNKS),
    ("period", PERTURBATION, STEP, None),
    ("phase", "straight-through", 0.3, None),
    ("phase", "soft", 0.3, None),
    ("phase", PERTURBATION, STEP, None),
    ("threshold", "straight-through", 0.3, None),
    ("threshold", "soft", 0.3, None),
    ("threshold", PERTURBATION, STEP, None),
    ("probability", "straight-through", 0.3, None),
    ("probability", "soft", 0.3, None),
    ("probability", "score function", None, None),
)
"""Parameter, kind, width (of gates in periods, of a perturbation in the place), last chunks that are differentiated."""
CHUNKS, TRUNCATED = "reverse, in chunks", "reverse, last chunk alone"
KEPT, FORWARD = "reverse, everything kept", "forward, knots alone"
WAYS = (CHUNKS, TRUNCATED, KEPT, FORWARD)
"""Through a whole training."""


def estimator_of(kind: str, width: float | None) -> AbstractEstimator:
    """The estimator of a row."""
    if width is None:
        return ScoreFunction()
    kinds = {"straight-through": SoftGradient, "soft": Soft, PERTURBATION: Perturbation}
    return kinds[kind](width=jnp.asarray(width))


def named(kind: str, width: float | None, last: int | None) -> str:
    """A row's name."""
    return kind + ("" if width is None else f", width {width:g}") + ("" if last is None else ", truncated")


def divisor(samples: int) -> int:
    """Samples of a chunk: of the divisors the nearest to the root, in ratio, so that no chunk is shorter."""
    divisors = [n for n in range(1, samples + 1) if samples % n == 0]
    return min(divisors, key=lambda n: abs(np.log(n * n / samples)))


def schedule_of(parameter: str, place, phase) -> AbstractSchedule:
    """The schedule with a parameter at this place: its logarithm, the phase as it is."""
    match parameter:
        case "phase":
            return ConstantSchedule(period=PERIOD, phase=place)
        case "period":
            return ConstantSchedule(period=jnp.exp(place), phase=phase)
        case "threshold":
            return ChangeSchedule(threshold=jnp.exp(place), phase=phase)
    return RandomSchedule(probability=jnp.exp(place))


PLACES = {
    "period": float(np.log(PERIOD)),
    "phase": 0.5,
    "threshold": float(np.log(THRESHOLD)),
    "probability": -float(np.log(PERIOD)),
}
"""Where slopes are taken."""


def brute_force(task: Task, parameter: str, keys) -> tuple[list[float], float]:
    """Mean slope of the loss in the parameter's place with its standard error, and seconds of one training.

    Central differences of exact trainings, the same draws on both sides, phases even.
    """
    both = jnp.concatenate([keys, keys])
    at = PLACES[parameter] + STEP * jnp.repeat(jnp.array([1.0, -1.0]), len(keys))
    values, seconds = exact(task, parameter, at, both)
    up, down = np.split(np.asarray(values), 2)
    return mean_and_error((up - down) / (2 * STEP)), seconds / len(both)


def exact(task: Task, parameter: str, places, keys) -> tuple[Any, float]:
    """Losses of exact trainings, phases even, and the seconds of all."""
    steps = min(SHORT, task.samples)

    @jax.jit
    def judged(places, keys):
        def one(inputs):
            place, key, phase = inputs
            training = Training(task.memory, schedule_of(parameter, place, phase))
            return task.run(training, key, task.validation, steps=steps).loss

        return jax.lax.map(one, (places, keys, even_phases(keys)))

    return timed(judged.lower(places, keys).compile(), places, keys)


def perturbed(task: Task, parameter: str, estimator: Perturbation, keys, draws):
    """Slopes of pairs of runs, each pair with one draw, and seconds of a run."""
    normals = jax.random.normal(draws, (len(keys) // 2, 1))
    place = jnp.full(1, PLACES[parameter])
    runs = estimator.places(place, normals)[:, 0]
    losses, seconds = exact(task, parameter, runs, jnp.tile(keys[: len(normals)], 2))
    each = jax.vmap(lambda pair, normal: jax.grad(lambda z: estimator.mean(pair, z, normal[None]))(place)[0])
    return np.asarray(each(losses.reshape(2, -1).T, normals), float), seconds / len(runs)


def estimated(task: Task, parameter: str, estimator: AbstractEstimator, last: int | None, keys):
    """Slopes of single runs, those of a score function with the others' mean as baseline, and seconds of each."""
    every = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(keys), *jnp.shape(x))), estimator)
    arguments = task, parameter, last, every, keys
    (slopes, loss), seconds = timed(_slopes.lower(*arguments).compile(), *arguments)
    if isinstance(estimator, ScoreFunction):
        # what ScoreFunction.mean differentiates, run by run
        slopes = slopes * (loss - (jnp.sum(loss) - loss) / (len(keys) - 1))
    return np.asarray(slopes, float), seconds / len(keys)


@eqx.filter_jit
def _slopes(task: Any, parameter: str, last: int | None, estimators: AbstractEstimator, keys):
    """Slope of the loss of each run, or of the logarithm of its probability, and the losses."""
    steps = min(SHORT, task.samples)
    chunk = None if last is None else divisor(steps)

    def one(inputs):
        estimator, key, phase = inputs

        def judged(place):
            training = Training(task.memory, schedule_of(parameter, place, phase), estimator)
            found = task.run(training, key, task.validation, steps=steps, chunk=chunk, last=last)
            return (found.log_probability if isinstance(estimator, ScoreFunction) else found.loss), found.loss

        return jax.grad(judged, has_aux=True)(PLACES[parameter])

    return jax.lax.map(one, (estimators, keys, even_phases(keys)))


def estimator_table(task: Task, key, runs: int) -> Found:
    """A row for each estimator: brute force, mean, spread of a run, bias, price in trainings."""
    brute = {
        parameter: brute_force(task, parameter, run_keys(jax.random.fold_in(key, place), BRUTE_FACTOR * runs))
        for place, parameter in enumerate(PLACES)
    }
    rows = []
    for parameter, kind, width, last in ESTIMATORS:
        estimator = estimator_of(kind, width)
        (truth, error), evaluation = brute[parameter]
        keys, draws = run_keys(stream(key, "runs"), runs), stream(key, "draws")
        if isinstance(estimator, Perturbation):
            slopes, seconds = perturbed(task, parameter, estimator, keys, draws)
        else:
            slopes, seconds = estimated(task, parameter, estimator, last, keys)
        mean, own = mean_and_error(slopes)
        rows.append(
            {
                "parameter": parameter,
                "estimator": named(kind, width, last),
                "brute_force": [truth, error],
                "mean": mean,
                "spread": float(own * np.sqrt(runs)),  # of a run: a pair's times the root of 2
                "bias": [mean - truth, float(np.hypot(own, error))],
                "price": seconds / evaluation,
            }
        )
    return {"rows": rows, "runs": runs, "samples": min(SHORT, task.samples)}


def ways_table(task: Task, key, shares: tuple[float, ...]) -> Found:
    """Time and memory of the gradient of a whole training in all its parameters, and of the knots forward.

    With the loss of each program's own run: where two programs round differently, a word may be rounded the other way,
    and what follows is another training.
    """
    schedule = KnotSchedule(periods=jnp.full(len(shares), PERIOD), shares=shares)
    training = Training(task.memory, schedule, SoftGradient(jnp.asarray(WIDTH)))
    place = (jnp.log(schedule.periods), *(jnp.log(x) for x in _numbers(training)))

    def loss(place, *, estimator=None, **how):
        moved = eqx.tree_at(lambda t: (t.schedule.periods, *_numbers(t)), training, tuple(jnp.exp(x) for x in place))
        if estimator is not None:
            moved = eqx.tree_at(lambda t: t.estimator, moved, estimator)
        return task.run(moved, key, task.validation, **how).loss

    def forward(place):
        def twice(knots):
            found = loss((knots, *place[1:]))
            return found, found

        slopes, found = jax.jacfwd(twice, has_aux=True)(place[0])
        return found, (slopes,)

    chunk = divisor(task.samples)
    value = jax.jit(lambda p: loss(p, estimator=Exact())).lower(place).compile()
    ways: dict[str, Any] = {
        CHUNKS: jax.value_and_grad(lambda p: loss(p, chunk=chunk)),
        TRUNCATED: jax.value_and_grad(lambda p: loss(p, chunk=chunk, last=LAST_CHUNKS)),
        KEPT: jax.value_and_grad(loss),
        FORWARD: forward,
    }
    exact_loss, evaluation = timed(value, place)
    found = []
    for name in WAYS:
        function = jax.jit(ways[name]).lower(place).compile()
        memory = function.memory_analysis().temp_size_in_bytes / MEGABYTE
        row = {"way": name, "megabytes": float(memory), "seconds": None, "loss": None, "slope": None}
        if name != KEPT:  # compiled for its memory alone
            (own, slopes), row["seconds"] = timed(function, place)
            row |= {"loss": float(own), "slope": float(np.sum(np.asarray(slopes[0])))}
        found.append(row)
    return {
        "rows": found,
        "evaluation_s": evaluation,
        "loss": float(exact_loss),
        "samples": task.samples,
        "chunk": chunk,
    }


def _numbers(training: Any) -> tuple[Any, ...]:
    """What is differentiated beside the schedule."""
    memory = training.memory
    return memory.learning_rate, memory.transfer.sigma


def timed(compiled: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """What a compiled program returns, and the seconds that it takes."""
    begin = time.perf_counter()
    found = jax.block_until_ready(compiled(*arguments))
    return found, time.perf_counter() - begin
