"""Straighten the staircase: eight levels as evenly apart as areas, voltages, widths and a transistor allow.

Under each of the two fitted mechanisms: the design by gradients, random search and a grid of the same cost, the front
against energy, what each tolerance costs, and synapses drawn anew that count the misreads. Then windows and spreads
that are free too, and networks that learn on the levels before and after.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from hfsim.draws import stream
from hfsim.hybrid import MeasuredTransfer
from hfsim.studies import LBFGS, check, optimise, pareto, search, sensitivities
from training.codesign import staircase_model as model
from training.codesign.configuration import CoDesign
from training.codesign.stage import Found, Stage
from training.codesign.staircase_figures import draw
from training.codesign.staircase_tables import accuracy_table, designs_table, free_table, slopes_table, values_table
from training.hybrid.task import TASKS
from training.job import Results, metric
from training.tables.configuration import Tables
from training.tables.systems import data_of, make_experiment, task_of

STEPS = 150
"""Of L-BFGS from each start, at most."""
OPTIMISER = LBFGS(tolerance=1e-8)
"""Relative fall of the objective of an iteration below which it ends, chosen: below the rounding of its value, so that
it goes on until no line search finds better."""
WIDTHS = (1.0, 0.2)
"""Of the pulses, over the published one, to begin from the published chip with; chosen: from the first alone the search
ends where wear is at its limit. Further starts are drawn inside the bounds."""
ENERGIES = (0.5, 0.25, 0.125)
"""Limits of the front, in shares of the published transfer's energy."""
FREE_STEPS = 40
"""Of each search with a free window, at most: one step costs five times as much, and begins near its end."""
EXPONENTS = (0.0, 1.0)
"""Of the memristor's own spread over its conductance, chosen: 0 is published, 1 is a constant relative spread."""
SYNAPSES = 64
"""Drawn for the sensitivities."""
TOLERANCE = 0.02
"""Of every parameter in the sensitivities: 2 % of its value."""
DIFFERENCE = 1e-4
"""Step of the free numbers in central differences."""
REPEATS = 20
EPOCHS, SEEDS = 1, 5


def stages(config: CoDesign) -> list[Stage]:
    """Under each mechanism; then the free windows and the networks."""
    found = []
    for mechanism in model.MECHANISMS:
        steps: tuple[tuple[str, Callable[[CoDesign, str, dict[str, Found]], Found]], ...] = (
            ("design", _design),
            ("searches", _searches),
            ("front", _front),
            ("tolerances", _tolerances),
            ("slopes", _slopes),
            ("check", _check),
            ("free", _free),
        )
        for name, run in steps:
            found.append(Stage(f"{name} {mechanism}", lambda done, r=run, m=mechanism: r(config, m, done)))
    return [*found, Stage("accuracy", lambda done: _accuracy(config, done))]


def _key(config: CoDesign, name: str):
    return stream(jax.random.key(config.seed), name)


def _steps(config: CoDesign) -> int:
    return config.steps or STEPS


def _made(mechanism: str, z: Any):
    """The design on its manufacturing grid."""
    design = model.design(mechanism)
    return design.with_values(design.made(jnp.asarray(z, design.start().dtype)))


def _design(config: CoDesign, mechanism: str, done: dict[str, Found]) -> Found:
    design = model.design(mechanism)
    key, number = _key(config, "design"), config.restarts or len(WIDTHS)
    chips = [eqx.tree_at(lambda m: m.drive.width, design.model, w * design.model.drive.width) for w in WIDTHS]
    drawn = design.random(key, max(number - len(WIDTHS), 0)).astype(design.start().dtype)
    starts = jnp.concatenate([jnp.stack([design.free_of(chip) for chip in chips])[:number], drawn])
    cost, curve = 0.0, []
    for order in model.ORDERS:
        objective, options = model.objective(mechanism, order), {"optimiser": OPTIMISER, "steps": _steps(config)}
        found = optimise(design, objective, key, starts=starts, **options)
        starts = jnp.asarray(found.z, design.start().dtype)[None]
        curve = [[cost + spent, value] for spent, value in found.best_by_cost.tolist()]  # of the last order
        cost = curve[-1][0]
    before, after = design.model, _made(mechanism, found.z)
    made = {name: np.asarray(x, float).tolist() for name, x in design.made(jnp.asarray(found.z)).items()}
    given = {name: np.asarray(x, float).tolist() for name, x in design.values(design.start()).items()}
    return {
        "before": model.as_json(model.describe(before, jnp.float32(model.sigma()))),
        "after": model.as_json(model.describe(after, jnp.float32(model.sigma()))),
        "values": {"before": given, "after": made},
        "z": found.z.tolist(),
        "value": found.value,
        "terms": found.terms,
        "curve": curve,
    }


def _searches(config: CoDesign, mechanism: str, done: dict[str, Found]) -> Found:
    design, objective, key = model.design(mechanism), model.objective(mechanism), _key(config, "design")
    cost = int(done[f"design {mechanism}"]["curve"][-1][0])
    found = {}
    for name, grid in (("random", False), ("grid", True)):
        best = search(design, objective, key, number=max(cost, 1), grid=grid)
        line = model.describe(design.model_of(jnp.asarray(best.z)), jnp.float32(model.sigma()))
        found[name] = {"value": best.value, "curve": best.best_by_cost.tolist(), "after": model.as_json(line)}
    return found


def _front(config: CoDesign, mechanism: str, done: dict[str, Found]) -> Found:
    design, objective = model.design(mechanism), model.objective(mechanism)
    energy = done[f"design {mechanism}"]["before"]["energy"]
    limits = [share * energy for share in ENERGIES]
    key = _key(config, "design")
    z = jnp.asarray(done[f"design {mechanism}"]["z"], design.start().dtype)
    front = pareto(
        design, objective, key, name="energy", limits=limits, begin=z, optimiser=OPTIMISER, steps=_steps(config)
    )
    after = [model.describe(_made(mechanism, found.z), jnp.float32(model.sigma())) for found in front]
    return {"limits": limits, "after": [model.as_json(one) for one in after]}


def _tolerances(config: CoDesign, mechanism: str, done: dict[str, Found]) -> Found:
    design, measure = model.design(mechanism), model.misread_of_a_synapse(model.sigma())
    z = jnp.asarray(done[f"design {mechanism}"]["z"], design.start().dtype)
    key = _key(config, "tolerances")
    found = sensitivities(design, measure, z, key, samples=SYNAPSES, tolerance=TOLERANCE)
    return {name: x.tolist() if isinstance(x, np.ndarray) else x for name, x in found._asdict().items()}


def _slopes(config: CoDesign, mechanism: str, done: dict[str, Found]) -> Found:
    """Gradient of every term in every free number against central differences, double precision, at the chip."""
    with jax.enable_x64(True):
        design, objective = model.design(mechanism), model.objective(mechanism)
        names, key = [term.name for term in objective.terms], _key(config, "design")

        def terms(z):
            found = objective(design.model_of(z), key).terms
            return jnp.stack([found[name] for name in names])

        z = jnp.asarray(design.start(), float)
        steps = DIFFERENCE * jnp.eye(len(z))
        gradient = jax.jit(jax.jacrev(terms))(z)
        ends = jax.jit(lambda points: jax.lax.map(terms, points))(jnp.concatenate([z + steps, z - steps]))
        differences = (ends[: len(z)] - ends[len(z) :]).T / (2 * DIFFERENCE)
        found = {"gradient": np.asarray(gradient).tolist(), "differences": np.asarray(differences).tolist()}
    return {"terms": names, "labels": design.labels, **found}


def _check(config: CoDesign, mechanism: str, done: dict[str, Found]) -> Found:
    objective, key, found = model.counted(mechanism), _key(config, "check"), done[f"design {mechanism}"]
    checked = {}
    for which, line in (("before", model.published(mechanism)), ("after", _made(mechanism, found["z"]))):
        claimed = {"misread": max(found[which]["misreads"]), "weight error": found[which]["weight_error"]}
        result = check(line, claimed, objective, key, repeats=config.chips or REPEATS)
        checked[which] = {name: dict(one._asdict()) for name, one in result.items()}
    return checked


def _free(config: CoDesign, mechanism: str, done: dict[str, Found]) -> Found:
    design, found = model.design(mechanism), {}
    start = jnp.asarray(done[f"design {mechanism}"]["z"], design.start().dtype)[None]
    for exponent in EXPONENTS:
        objective = model.free_objective(mechanism, exponent)
        key = _key(config, "free")
        steps = min(FREE_STEPS, _steps(config))
        best = optimise(design, objective, key, optimiser=OPTIMISER, steps=steps, starts=start)
        line, spread = _made(mechanism, best.z), model.free_spread(mechanism, exponent)
        both = {"before": design.model, "after": line}
        found[f"{exponent:g}"] = {which: model.as_json(model.describe(m, spread(m))) for which, m in both.items()}
    return found


def _accuracy(config: CoDesign, done: dict[str, Found]) -> Found:
    """Of networks that learn with the levels of each design, at the published spread."""
    levels = {"published": done[f"design {model.MECHANISMS[0]}"]["before"]["levels"]}
    levels |= {mechanism: done[f"design {mechanism}"]["after"]["levels"] for mechanism in model.MECHANISMS}
    levels["even"] = np.linspace(model.LOW, model.HIGH, 8).tolist()
    name = f"{config.dataset or 'mnist'}-online"
    epochs = config.epochs or EPOCHS
    systems = Tables(seed=config.seed, seeds=SEEDS, samples=config.samples, epochs=epochs, data=config.data)
    task = task_of(systems, name)
    data, found = data_of(systems, task), {}
    for which, mean in levels.items():
        transfer = MeasuredTransfer(mean=jnp.asarray(mean), sigma=jnp.asarray(model.sigma()), twin_noise=True)
        experiment = make_experiment(systems, task, data, transfer)
        chips = experiment.start()
        for epoch in range(epochs):
            chips, _ = experiment.train(chips, epoch)
        accuracy = experiment.accuracy(experiment.finish(chips).params, data.test)
        found[which] = np.asarray(accuracy, float).tolist()
    return {"accuracy": found, "task": TASKS[name].title, "epochs": epochs}


def present(config: CoDesign, found: dict[str, Found]) -> Results:
    """What is done by now."""
    metrics: dict[str, Any] = {}
    for mechanism in model.MECHANISMS:
        if f"design {mechanism}" in found:
            metrics |= _metrics(mechanism, found[f"design {mechanism}"])
    tables = [designs_table(found), values_table(found), free_table(found), slopes_table(found), accuracy_table(found)]
    metrics["found"] = {"value": found, "unit": "1"}
    return Results(
        title="Straighten the staircase",
        metrics=metrics,
        highlights=[
            (f"{metrics[f'{m}_smallest_gap']['value']:.2f} sigma", f"smallest gap, {m}")
            for m in model.MECHANISMS
            if f"{m}_smallest_gap" in metrics
        ],
        figures=draw(found),
        tables=[table for table in tables if table.rows],
        summary=["  ".join(row) for row in designs_table(found).rows],
    )


def _metrics(mechanism: str, found: Found) -> dict[str, Any]:
    after, before = found["after"], found["before"]
    return {
        f"{mechanism}_smallest_gap": metric(min(after["gaps"]), "sigma"),
        f"{mechanism}_smallest_gap_before": metric(min(before["gaps"]), "sigma"),
        f"{mechanism}_worst_misread": metric(max(after["misreads"]), "1"),
        f"{mechanism}_worst_misread_before": metric(max(before["misreads"]), "1"),
        f"{mechanism}_weight_error": metric(after["weight_error"], "levels"),
        f"{mechanism}_weight_error_before": metric(before["weight_error"], "levels"),
    }
