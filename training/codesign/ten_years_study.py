"""Ten years: window, acceptance, overshoot, reference columns and noise of training, for least loss under an energy.

The design lowers the mean cross-entropy of sampled chips ten years after programming, at 25 C, on the validation part
of the digits, and may spend the energy of the published point. What is found is built again as whole chips
(`ten_years_check`), on the test part.
"""

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from hfsim.draws import address, stream
from hfsim.studies import Design, Expectation, Found, Objective, Term, Variable, optimise, search
from training.codesign.configuration import CoDesign
from training.codesign.stage import Found as Record
from training.codesign.stage import Stage
from training.codesign.ten_years_check import check
from training.codesign.ten_years_energy import ACCEPTANCES, LEVELS, Costs, Counts, energy, fitted, simulated_counts
from training.codesign.ten_years_model import HOT, LIFE, RetrainedObjective, Task, TenYears, loss_after
from training.codesign.ten_years_present import present as present
from training.data.digits import load_digits

VARIABLES = (
    Variable("G_min"),
    Variable("G_max"),
    Variable("acceptance"),
    Variable("overshoot"),
    Variable("references", low=0.05, grid=1.0),
    Variable("reference_weight"),
    Variable("training_noise"),
)
INSIDE = 0.05
"""The published point lies at bounds, where a free number would be infinite: a search begins this share inside."""
STEPS, RESTARTS = 30, 2
RATE, MEMORY = 0.3, 0.9
"""Adam's first rate, which falls as a cosine, and its decay of squares (chosen: a range is crossed in some twenty
steps, and the steep wall of the energy is forgotten as fast)."""
RETRAININGS, CHIPS = 4, 16
"""Networks of an objective, and chips of each: with one network and 16 chips in all a search found designs that suited
these draws, and lost all that it had gained on others."""
PENALTY = 1000.0
"""Of the squared relative excess of energy: 1 % too much costs 0.1 nats, half of what there is to gain."""
UNBOUNDED = 1e9
"""An energy [uJ] that limits nothing."""
BUDGETS = (0.5,)
"""Further budgets, over the published energy."""
TOGETHER = 4
"""Designs that random search and grid judge at once."""
CHECKED_CHIPS, NETWORKS = 100, 5
"""Chips of the independent check, and the retrainings that they share."""
FRESH_CHIPS = 48
"""Chips of a fresh population under the design's own model."""
SLOPES = ("loss", "energy")
SLOPE_POINT = {
    "G_min": 12.0,
    "G_max": 80.0,
    "acceptance": 0.5,
    "overshoot": 1e5,
    "references": 1.0,
    "reference_weight": 0.3,
    "training_noise": 2.0,
}
"""Where gradients are compared with differences: far from all bounds."""
DIFFERENCE = 1e-5
"""Of a free number, for central differences."""


def stages(config: CoDesign) -> list[Stage]:
    """What is done, in this order."""
    study = Study(config)
    names = ("counts", "slopes", "published", "gradient", "random", "grid", "budgets", "parts", "check")
    return [Stage(name, getattr(study, name)) for name in names]


class Study:
    """The stages; each depends on the configuration and on what the earlier ones found."""

    def __init__(self, config: CoDesign):
        self.steps, self.restarts = config.steps or STEPS, config.restarts or RESTARTS
        self.chips = config.chips or CHECKED_CHIPS
        self.key = jax.random.key(config.seed)
        self.data = load_digits()
        self.task = Task.of(self.data, stream(self.key, "network"))
        self.model = TenYears.from_card()

    def counts(self, found: dict[str, Record]) -> Record:
        """Pulses to each level and acceptance, and the fit."""
        counts = simulated_counts(stream(self.key, "counts"))
        fit = fitted(counts)
        pulses = np.stack([np.asarray(fit.pulses(jnp.asarray(LEVELS), a)) for a in ACCEPTANCES])
        costs = Costs.of(fit)
        return {
            "counts": counts.tolist(),
            "fitted": pulses.tolist(),
            "approach": np.asarray(fit.approach).tolist(),
            "search": np.asarray(fit.search).tolist(),
            "pulse_energy": np.asarray(costs.pulse_energy).tolist(),
        }

    def slopes(self, found: dict[str, Record]) -> Record:
        """Gradients of loss and energy in each free number against central differences, in double precision."""
        with jax.enable_x64(True):
            design, measures = slope_case(double(self.task), _costs(found))
            z = design.start()
            gradient = jax.jit(jax.jacrev(measures))(z)
            run, step = jax.jit(measures), DIFFERENCE * jnp.eye(len(z))
            differences = jnp.stack([(run(z + e) - run(z - e)) / (2 * DIFFERENCE) for e in step], axis=1)
            return {
                "measures": list(SLOPES),
                "labels": design.labels,
                "gradient": np.asarray(gradient).tolist(),
                "differences": np.asarray(differences).tolist(),
            }

    def published(self, found: dict[str, Record]) -> Record:
        """What the published point has and spends; what a value and a gradient cost."""
        objective, design = self.objective(_costs(found), UNBOUNDED), self.design()
        draws = stream(self.key, "population")
        value = jax.jit(lambda model: objective(model, draws))
        gradient = jax.jit(jax.value_and_grad(lambda z: objective(design.model_of(z), draws).value))
        told = value(self.model).terms
        return {
            "loss": float(told["loss"]),
            "energy": float(told["energy"]),
            "value_seconds": _seconds(value, self.model),
            "gradient_seconds": _seconds(gradient, design.start()),
        }

    def gradient(self, found: dict[str, Record]) -> Record:
        """From next to the published point, and from elsewhere."""
        design = self.design()
        objective = self.objective(_costs(found), found["published"]["energy"])
        return self._record(design, self._optimised(design, objective, self.restarts))

    def random(self, found: dict[str, Record]) -> Record:
        """As many designs at random as the gradient's cost counts."""
        return self._searched(found, grid=False)

    def grid(self, found: dict[str, Record]) -> Record:
        """The largest full grid of no more designs."""
        return self._searched(found, grid=True)

    def budgets(self, found: dict[str, Record]) -> Record:
        """The best designs of smaller budgets, each from the last one."""
        records, values = {}, found["gradient"]["values"]
        for share in BUDGETS:
            design = self.design(values)
            objective = self.objective(_costs(found), share * found["published"]["energy"])
            records[str(share)] = self._record(design, self._optimised(design, objective, 1))
            values = records[str(share)]["values"]
        return records

    def parts(self, found: dict[str, Record]) -> Record:
        """Losses of fresh chips under the design's own model: of points, and of the found one without each choice."""
        costs, best = _costs(found), found["gradient"]["values"]
        terms = [
            Term("loss", loss_after(self.task), statistic=Expectation(FRESH_CHIPS)),
            Term("hot", loss_after(self.task, LIFE, HOT), statistic=Expectation(FRESH_CHIPS)),
            Term("energy", energy(costs, self.task)),
        ]
        judge = eqx.filter_jit(RetrainedObjective(terms, self.task))

        def told(model):
            keys = [address(stream(self.key, "fresh"), n) for n in range(NETWORKS)]
            each = [judge(model, key).terms for key in keys]
            return {name: [float(terms[name]) for terms in each] for name in each[0]}

        back = {
            "window": ("G_min", "G_max"),
            "acceptance": ("acceptance",),
            "overshoot": ("overshoot",),
            "references": ("references", "reference_weight"),
            "training noise": ("training_noise",),
        }
        points = {name: told(model) for name, model in self._points(found).items()}
        without = {name: told(self._with({k: v for k, v in best.items() if k not in n})) for name, n in back.items()}
        return {"points": points, "without": without}

    def check(self, found: dict[str, Record]) -> Record:
        """Whole chips on the test part."""
        images, labels = (jnp.asarray(part) for part in self.data.test)
        networks = min(NETWORKS, self.chips)
        run = partial(
            check,
            task=self.task,
            costs=_costs(found),
            images=images,
            labels=labels,
            key=stream(self.key, "check"),
            chips=self.chips // networks,
            networks=networks,
        )
        checked = {name: run(model) for name, model in self._points(found).items()}
        checked["published, compensated in numbers"] = run(self.model, compensated=True)
        return {name: jax.tree.map(_plain, it._asdict()) for name, it in checked.items()}

    # ------------------------------------------------------------------------------------------------- inside

    def design(self, values: dict[str, float] | None = None) -> Design:
        """What is free, begun at `values` or at the published point, at least `INSIDE` its bounds."""
        model = self.model if values is None else self._with(values)
        outline = Design(TenYears.from_card(references=0.05), VARIABLES)
        inside = {name: _inside(float(getattr(model, name)), spec) for name, spec in outline.specs.items()}
        return Design(self._with(inside), VARIABLES)

    def objective(self, costs: Costs, budget: float) -> Objective:
        """Loss at ten years; energy up to `budget` [uJ]."""
        limit = Term("energy", energy(costs, self.task), weight=0.0, limit=budget, penalty=PENALTY)
        return RetrainedObjective([self._loss(), limit], self.task, RETRAININGS)

    def _loss(self) -> Term:
        return Term("loss", loss_after(self.task), statistic=Expectation(CHIPS))

    def _optimised(self, design: Design, objective: Objective, restarts: int) -> Found:
        optimiser = optax.adam(optax.cosine_decay_schedule(RATE, self.steps), b2=MEMORY)
        return optimise(design, objective, self.key, optimiser=optimiser, steps=self.steps, restarts=restarts)

    def _searched(self, found: dict[str, Record], *, grid: bool) -> Record:
        design = self.design()
        objective = self.objective(_costs(found), found["published"]["energy"])
        number = int(found["gradient"]["curve"][-1][0])
        best = search(design, objective, self.key, number=number, together=TOGETHER, grid=grid)
        return self._record(design, best)

    def _record(self, design: Design, best: Found) -> Record:
        values = {name: float(value) for name, value in design.values(jnp.asarray(best.z)).items()}
        return {"value": best.value, **best.terms, "values": values, "curve": best.best_by_cost.tolist()}

    def _with(self, values: dict[str, Any]) -> TenYears:
        return dataclasses.replace(self.model, **{name: jnp.asarray(value) for name, value in values.items()})

    def _points(self, found: dict[str, Record]) -> dict[str, TenYears]:
        """The designs that are compared; reference columns whole, as they are made."""

        def made(values):
            number = round(values["references"])
            weight = values["reference_weight"] if number else 0.0
            return self._with(values | {"references": float(number), "reference_weight": weight})

        return {
            "published": self.model,
            "published, overshoot to ten years": self._with({"overshoot": LIFE}),
            "found": made(found["gradient"]["values"]),
            "found at random": made(found["random"]["values"]),
            **{f"found, {share:.0%} of the energy": made(found["budgets"][str(share)]["values"]) for share in BUDGETS},
        }


def slope_case(task: Task, costs: Costs) -> tuple[Design, Callable]:
    """A design at `SLOPE_POINT`, and loss and energy [uJ] as a function of its free numbers, retraining included."""
    chosen: dict[str, Any] = SLOPE_POINT
    design = Design(TenYears.from_card(**chosen), VARIABLES)
    terms = [
        Term("loss", loss_after(task), statistic=Expectation(CHIPS)),
        Term("energy", energy(costs, task)),
    ]
    objective, key = RetrainedObjective(terms, task), jax.random.key(1)

    def measures(z):
        found = objective(design.model_of(z), key).terms
        return jnp.stack([found[name] for name in SLOPES])

    return design, measures


def double(task: Task) -> Task:
    """The task in double precision, under x64."""

    def cast(leaf):
        return leaf.astype(float) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(cast, task)


def _costs(found: dict[str, Record]) -> Costs:
    fit = found["counts"]
    return Costs.of(Counts(jnp.asarray(fit["approach"]), jnp.asarray(fit["search"])))


def _inside(value: float, spec: Any) -> float:
    low, high = (np.log(x) if spec.logarithmic else x for x in (spec.lower, spec.upper))
    place = np.log(value) if spec.logarithmic else value
    kept = float(np.clip(place, low + INSIDE * (high - low), high - INSIDE * (high - low)))
    return float(np.exp(kept)) if spec.logarithmic else kept


def _seconds(run: Callable, at: Any) -> float:
    """Wall time of one call [s], the least of three after the first."""
    jax.block_until_ready(run(at))
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        jax.block_until_ready(run(at))
        times.append(time.perf_counter() - begun)
    return min(times)


def _plain(value: Any) -> Any:
    return np.asarray(value).tolist()
