"""Local sensitivities of a design with their confidence, and an independent check of what a search claims.

    effect_i = d measure/d x_i * tolerance_i,      mean over draws +- t_{0.975, n-1} s/sqrt(n)

with the tolerance a share of the parameter's value (or of what the caller says), so that bars of a tornado can be
compared. The check judges the same terms again, on populations of its own.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from scipy import stats

from hfsim.draws import address, stream
from hfsim.errors import InputError
from hfsim.studies.design import Design
from hfsim.studies.objective import Measure, Objective

CONFIDENCE = 0.95


class Sensitivity(NamedTuple):
    """What a measure does when each free number moves by its tolerance.

    Args:
        labels: of the free numbers.
        tolerances: [unit of each].
        units: of the free numbers.
        effects: change of the measure, first order.
        half_widths: of the 95 % confidence interval of each effect; 0 where the measure draws nothing.
    """

    labels: list[str]
    tolerances: Float[np.ndarray, " free"]
    units: list[str]
    effects: Float[np.ndarray, " free"]
    half_widths: Float[np.ndarray, " free"]

    def order(self) -> Float[np.ndarray, " free"]:
        """Places of the effects, the largest first."""
        return np.argsort(-np.abs(self.effects))


def sensitivities(
    design: Design,
    measure: Measure,
    z: Float[Array, " free"],
    key: Key[Array, ""],
    *,
    samples: int = 1,
    tolerance: float | Mapping[str, float] = 0.05,
) -> Sensitivity:
    """Effects of the free numbers of a design on a measure.

    Args:
        design: what is free.
        measure: (model, key) -> number.
        z: where.
        key: addresses the samples.
        samples: draws; 1 for a measure that draws nothing, whose interval is then 0.
        tolerance: a share of each value, or the tolerance of each parameter by name in its unit.

    Raises:
        InputError: samples below 1, a tolerance that is not above 0 or missing, or a slope that is not finite.
    """
    if samples < 1:
        raise InputError("samples", "be an integer >= 1", samples)
    values = jnp.concatenate([jnp.ravel(x) for x in design.values(z).values()])
    tolerances = _tolerances(design, values, tolerance)
    keys = jax.vmap(lambda i: address(stream(key, "sensitivity"), i))(jnp.arange(samples))

    @jax.jit
    def slopes(z):
        def of(key):
            return jax.grad(lambda z: measure(design.model_of(z), key))(z)

        return jax.lax.map(of, keys)

    by_z = np.asarray(slopes(z), float)
    # x follows z one to one: dx/dz of each free number
    ones = jnp.ones_like(z)
    rates = jax.jvp(lambda z: jnp.concatenate([jnp.ravel(x) for x in design.values(z).values()]), (z,), (ones,))[1]
    effects = by_z / np.asarray(rates, float) * tolerances
    if not np.all(np.isfinite(effects)):
        bad = np.array(design.labels)[~np.all(np.isfinite(effects), axis=0)]
        raise InputError("measure", "have finite slopes", f"none in {', '.join(bad)}", "move it off its bounds")
    half = _half_width(effects) if samples > 1 else np.zeros(len(tolerances))
    return Sensitivity(design.labels, tolerances, design.units, effects.mean(axis=0), half)


def _tolerances(design: Design, values, tolerance) -> Float[np.ndarray, " free"]:
    if not isinstance(tolerance, Mapping):
        if not tolerance > 0:
            raise InputError("tolerance", "be above 0", tolerance)
        return tolerance * np.abs(np.asarray(values, float))
    names = [label.partition("[")[0] for label in design.labels]
    missing = sorted({name for name in names if not tolerance.get(name, 0) > 0})
    if missing:
        raise InputError("tolerance", f"be above 0 for each of {', '.join(dict.fromkeys(names))}", f"none of {missing}")
    return np.array([tolerance[name] for name in names])


def _half_width(values: Float[np.ndarray, "samples ..."]) -> Float[np.ndarray, "..."]:
    """Of the 95 % confidence interval of the mean."""
    n = len(values)
    return stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)


class Checked(NamedTuple):
    """A term as a search claims it, and as fresh draws show it.

    Args:
        claimed: by the search.
        measured: mean over repeats with keys of their own.
        low, high: 95 % confidence interval of `measured`.
    """

    claimed: float
    measured: float
    low: float
    high: float


def check(
    model: Any,
    claimed: Mapping[str, float],
    objective: Objective,
    key: Key[Array, ""],
    *,
    repeats: int = 20,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Checked]:
    """Judge a found model again: each repeat draws a population of its own.

    Args:
        model: `design.with_values(design.made(z))`, on the manufacturing grid.
        claimed: the terms that the search found, by name.
        objective: the same terms, at a higher fidelity: larger populations, fuller models.
        key: not the search's.
        repeats: populations.
        progress: called with a line for each term.

    Raises:
        InputError: fewer than two repeats, or a claim without its term.
    """
    if repeats < 2:
        raise InputError("repeats", "be an integer >= 2", repeats)
    missing = sorted(set(claimed) - {term.name for term in objective.terms})
    if missing:
        raise InputError("objective", "have every term that is claimed", f"no {', '.join(missing)}")
    judge = jax.jit(lambda key: objective(model, key).terms)
    found = [judge(address(stream(key, "check"), repeat)) for repeat in range(repeats)]
    checked = {}
    for name, claim in claimed.items():
        values = np.array([float(one[name]) for one in found])
        mean, half = float(values.mean()), float(_half_width(values))
        checked[name] = Checked(claim, mean, mean - half, mean + half)
        if progress is not None:
            progress(f"{name}: {claim:.4g} claimed, {mean:.4g} +- {half:.2g}")
    return checked
