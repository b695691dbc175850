"""Objectives and searches: statistics against closed forms, logs, resuming, and what searches find."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
from jaxtyping import Array, Float
from scipy.stats import norm

from hfsim import InputError
from hfsim.devices import Pulse
from hfsim.draws import normal
from hfsim.studies import (
    LBFGS,
    Design,
    Expectation,
    Objective,
    Quantile,
    SquaredNorm,
    Term,
    Variable,
    Worst,
    optimise,
    pareto,
    search,
)
from hfsim.studies.codesign import GRADIENT_COST

PULSE = Pulse(2.0, 100.0)
DESIGN = Design(PULSE, [Variable("voltage", -3.0, 3.0), Variable("width", 1.0, 1e4)])


def bowl(pulse, key):
    """Least, 0.25, at 1.2 V and 400 ns."""
    return (pulse.voltage - 1.2) ** 2 + jnp.log(pulse.width / 400.0) ** 2 + 0.25


@pytest.mark.parametrize(
    ("statistic", "expected", "off"),
    [
        (Expectation(4000), 2.0, 0.06),
        (Quantile(0.9, 4000), 2.0 + norm.ppf(0.9), 0.1),
        (Quantile(0.5, 4000), 2.0, 0.07),
        (Worst(4000, 1.0), 2.5, 0.15),  # T ln E exp(v/T) of a normal number is mean + variance/2T
    ],
)
def test_statistics_of_a_population(statistic, expected, off):
    term = Term("noisy", lambda pulse, key: pulse.voltage + normal(key, (), jnp.float32), statistic=statistic)
    judge = jax.jit(lambda v, k: Objective([term])(Pulse(v, 1.0), k).value)
    assert float(judge(2.0, jax.random.key(0))) == pytest.approx(expected, abs=off)
    assert float(jax.grad(judge)(2.0, jax.random.key(0))) == pytest.approx(1.0, abs=1e-4)


def test_weights_and_limits_add_up():
    terms = [
        Term("bowl", bowl, weight=2.0),
        Term("width", lambda p, k: p.width, weight=0.0, limit=50.0, penalty=3.0),
        Term("voltage", lambda p, k: p.voltage, weight=0.0, limit=5.0),
    ]
    judged = Objective(terms)(PULSE, jax.random.key(0))
    assert float(judged.value) == pytest.approx(2 * (0.64 + np.log(0.25) ** 2 + 0.25) + 3.0 * 1.0, rel=1e-5)
    assert set(judged.terms) == {"bowl", "width", "voltage"} and float(judged.terms["width"]) == 100.0


def test_the_gradient_finds_the_least():
    found = optimise(DESIGN, Objective([Term("bowl", bowl)]), jax.random.key(0), steps=150, restarts=2)
    values = DESIGN.values(jnp.asarray(found.z))
    assert float(values["voltage"]) == pytest.approx(1.2, abs=0.02)
    assert float(values["width"]) == pytest.approx(400.0, rel=0.03)
    assert found.value == pytest.approx(0.25, abs=1e-3) and found.best_by_cost.shape == (300, 2)
    assert np.all(np.diff(found.best_by_cost[:, 1]) <= 0)
    np.testing.assert_array_equal(np.diff(found.best_by_cost[:, 0], prepend=0.0), GRADIENT_COST)


class Bowl(eqx.Module):
    """A bowl whose middle is an array; `traced` counts how often it is traced."""

    middle: Float[Array, ""]
    traced: list[int] = eqx.field(static=True)

    def __call__(self, pulse, key):
        self.traced.append(1)
        return (pulse.voltage - self.middle) ** 2 + jnp.log(pulse.width / 400.0) ** 2


class Counted(list):
    """A list that is itself, whatever it holds."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


def test_objectives_that_differ_in_arrays_share_a_program():
    design, traced = DESIGN.of(PULSE), Counted()
    for middle in (1.2, -0.4):
        objective = Objective([Term("bowl", Bowl(jnp.asarray(middle), traced))])
        found = optimise(design, objective, jax.random.key(0), optimiser=LBFGS(), steps=60)
        assert float(design.values(jnp.asarray(found.z))["voltage"]) == pytest.approx(middle, abs=1e-3)
        assert len(traced) == 1
    optimise(DESIGN.of(PULSE), objective, jax.random.key(0), optimiser=LBFGS(), steps=1)
    assert len(traced) == 2  # another design has programs of its own


def test_limits_hold_nearly():
    terms = [Term("bowl", bowl), Term("width", lambda p, k: p.width, weight=0.0, limit=200.0, penalty=1e4)]
    found = optimise(DESIGN, Objective(terms), jax.random.key(0), steps=300)
    assert found.terms["width"] == pytest.approx(200.0, rel=0.02)


def test_a_search_goes_on_where_its_log_ends(tmp_path):
    objective, key, log = Objective([Term("bowl", bowl)]), jax.random.key(3), tmp_path / "log.jsonl"
    options = {"steps": 70, "restarts": 3}
    whole = optimise(DESIGN, objective, key, log=tmp_path / "whole.jsonl", **options)
    lines = (tmp_path / "whole.jsonl").read_text().splitlines()
    assert len(lines) == 1 + 3 * 70 + 2 and json.loads(lines[0])["labels"] == ["voltage", "width"]
    # killed in the second block: 150 iterates, a state, then 10 iterates and a piece of one
    log.write_text("\n".join(lines[:162]) + '\n{"start": 1, "st')
    resumed = optimise(DESIGN, objective, key, log=log, **options)
    again = [json.loads(line) for line in log.read_text().splitlines() if "start" in json.loads(line)][-210:]
    assert again == [json.loads(line) for line in lines if "start" in json.loads(line)][-210:]
    assert resumed.value == whole.value and resumed.z.tolist() == whole.z.tolist()
    with pytest.raises(InputError, match="be of this search"):
        optimise(DESIGN, objective, key, steps=71, restarts=3, log=log)
    narrower = Design(PULSE, [Variable("voltage", -2.0, 3.0), Variable("width")])
    heavier, other = Objective([Term("bowl", bowl, 2.0)]), jax.random.key(4)
    for d, o, k in ((DESIGN, objective, other), (DESIGN, heavier, key), (narrower, objective, key)):
        with pytest.raises(InputError, match="be of this search"):
            optimise(d, o, k, log=log, **options)
    log.write_text("not a journal")
    with pytest.raises(InputError, match="journal"):
        optimise(DESIGN, objective, key, steps=20, log=log)


def test_a_quasi_newton_search_needs_few_gradients_and_goes_on_where_its_log_ends(tmp_path):
    objective, key, log = Objective([Term("bowl", bowl)]), jax.random.key(0), tmp_path / "log.jsonl"
    options = {"optimiser": LBFGS(), "steps": 12, "restarts": 2}
    found = optimise(DESIGN, objective, key, log=log, **options)
    assert found.value == pytest.approx(0.25, abs=1e-5) and len(found.best_by_cost) < 60
    lines = log.read_text().splitlines()
    log.write_text("\n".join(lines[:14]))
    again = optimise(DESIGN, objective, key, log=log, **options)
    assert again.value == found.value and len(again.best_by_cost) == len(found.best_by_cost)
    values = [json.loads(line).get("value") for line in log.read_text().splitlines() if "start" in json.loads(line)]
    assert values == [json.loads(line).get("value") for line in lines if "start" in json.loads(line)]


@pytest.mark.parametrize("scale", [1.0, 1e-6])
@pytest.mark.parametrize("voltage", [2.5, 3.0])
def test_a_quasi_newton_search_goes_on_however_small_the_slope(scale, voltage):
    design = Design(Pulse(voltage, 100.0), [Variable("voltage", -3.0, 3.0)])  # 3 V: its slope in z is 1e-6
    objective = Objective([Term("bowl", lambda p, k: scale * (p.voltage - 1.2) ** 2)])
    found = optimise(design, objective, jax.random.key(0), optimiser=LBFGS(), steps=60)
    assert float(design.values(jnp.asarray(found.z))["voltage"]) == pytest.approx(1.2, abs=2e-2)


def test_a_quasi_newton_search_turns_back_from_what_is_not_finite():
    term = Term("edge", lambda p, k: jnp.where(p.voltage > 1.0, jnp.log(p.voltage - 1.0) ** 2, jnp.nan) + 0 * p.width)
    design = Design(PULSE, [Variable("voltage", -3.0, 3.0)])
    found = optimise(design, Objective([term]), jax.random.key(0), optimiser=LBFGS(), steps=30)
    start = design.free_of(Pulse(2.9, 100.0))[None]
    away = optimise(design, Objective([term]), jax.random.key(0), optimiser=LBFGS(), steps=30, starts=start)
    assert found.value == pytest.approx(0.0, abs=1e-6) and away.value == pytest.approx(0.0, abs=1e-5)


def test_a_start_that_leaves_the_finite_stays_and_the_others_go_on():
    term = Term("edge", lambda p, k: jnp.where(p.voltage > -2.0, bowl(p, k), jnp.nan))
    starts = jnp.stack([DESIGN.start(), DESIGN.free_of(Pulse(-2.5, 100.0))])
    found = optimise(DESIGN, Objective([term]), jax.random.key(0), starts=starts, steps=150)
    assert found.value == pytest.approx(0.25, abs=1e-2)


def test_starts_of_another_width_are_refused():
    with pytest.raises(InputError, match=r"starts.*\(starts, 2\)"):
        optimise(DESIGN, Objective([Term("bowl", bowl)]), jax.random.key(0), starts=jnp.zeros((4, 3)))


def residuals(pulse, key):
    """Of the bowl, without its floor."""
    return jnp.stack([pulse.voltage - 1.2, jnp.log(pulse.width / 400.0)])


def test_least_squares_needs_few_steps_and_keeps_limits(tmp_path):
    terms = [
        Term("bowl", residuals, statistic=SquaredNorm()),
        Term("width", lambda p, k: p.width, weight=0.0, limit=200.0, penalty=1e4),
    ]
    objective, key = Objective(terms), jax.random.key(0)
    solver = optx.LevenbergMarquardt(rtol=1e-6, atol=1e-6)
    found = optimise(DESIGN, objective, key, optimiser=solver, steps=40, log=tmp_path / "log.jsonl")
    assert found.terms["width"] == pytest.approx(200.0, rel=0.01)
    assert float(DESIGN.values(jnp.asarray(found.z))["voltage"]) == pytest.approx(1.2, abs=1e-3)
    judged = objective(PULSE, key)
    np.testing.assert_allclose(jnp.sum(objective.residuals(PULSE, key) ** 2), judged.value, rtol=1e-5)
    again = optimise(DESIGN, objective, key, optimiser=solver, steps=40, log=tmp_path / "log.jsonl")
    assert again.value == found.value and len(again.best_by_cost) == len(found.best_by_cost)
    with pytest.raises(InputError, match="SquaredNorm"):
        optimise(DESIGN, Objective([Term("bowl", bowl)]), key, optimiser=solver, steps=5)


def test_squares_of_the_residuals_of_a_population_add_up_to_the_value():
    def noisy(pulse, key):
        return residuals(pulse, key) + normal(key, (2,), jnp.float32)

    term = Term("bowl", noisy, weight=3.0, statistic=SquaredNorm(samples=5))
    objective, key = Objective([term]), jax.random.key(0)
    found = objective.residuals(PULSE, key)
    assert found.shape == (10,)
    np.testing.assert_allclose(jnp.sum(found**2), objective(PULSE, key).value, rtol=1e-5)


def test_a_front_trades_one_term_for_the_other():
    terms = [Term("bowl", bowl), Term("width", lambda p, k: p.width, weight=0.0, limit=300.0, penalty=100.0)]
    front = pareto(DESIGN, Objective(terms), jax.random.key(0), name="width", limits=[300.0, 200.0, 100.0], steps=60)
    for found, limit in zip(front, (300.0, 200.0, 100.0), strict=True):
        assert found.terms["width"] == pytest.approx(limit, rel=0.05)
        assert found.terms["bowl"] == pytest.approx(0.25 + np.log(found.terms["width"] / 400) ** 2, abs=0.02)
    with pytest.raises(InputError, match="limited terms .width."):
        pareto(DESIGN, Objective(terms), jax.random.key(0), name="energy", limits=[1.0])
    with pytest.raises(InputError, match="limits.*above 0"):
        pareto(DESIGN, Objective(terms), jax.random.key(0), name="width", limits=[100.0, -1.0])


def test_searches_without_gradients():
    objective = Objective([Term("bowl", bowl)])
    drawn = search(DESIGN, objective, jax.random.key(0), number=600)
    assert drawn.best_by_cost.shape == (600, 2) and 0.25 <= drawn.value < 0.6
    grid = search(DESIGN, objective, jax.random.key(0), number=110, grid=True)
    assert len(grid.best_by_cost) == 100
    volts, widths = np.meshgrid(-3 + 6 * (np.arange(10) + 0.5) / 10, 1 + 9999 * (np.arange(10) + 0.5) / 10)
    expected = np.min((volts - 1.2) ** 2 + np.log(widths / 400) ** 2 + 0.25)
    assert grid.value == pytest.approx(expected, rel=1e-3)
    with pytest.raises(InputError, match="number.*>= 1"):
        search(DESIGN, objective, jax.random.key(0), number=0)
    with pytest.raises(InputError, match="finite at some design"):
        search(DESIGN, Objective([Term("lost", lambda p, k: p.voltage * jnp.nan)]), jax.random.key(0), number=4)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Objective([]), "terms"),
        (lambda: Objective([Term("a", bowl), Term("a", bowl)]), "terms"),
        (lambda: Objective([Term("a", bowl, limit=0.0)]), "limit"),
        (lambda: Objective([Term("a", bowl, weight=0.0)]), "weight or a limit"),
        (lambda: Quantile(1.5, 10), "q"),
        (lambda: Quantile(0.5, 10, width=0.0), "width"),
        (lambda: Worst(0, 1.0), "samples"),
        (lambda: Worst(3, 0.0), "temperature"),
        (lambda: optimise(DESIGN, Objective([Term("a", bowl)]), jax.random.key(0), steps=0), "steps"),
    ],
)
def test_wrong_arguments_are_named(make, told):
    with pytest.raises(InputError, match=told):
        make()


def test_an_objective_without_a_finite_slope_is_refused():
    term = Term("log", lambda p, k: jnp.log(-p.width) + p.voltage)
    with pytest.raises(InputError, match="finite"):
        optimise(DESIGN, Objective([term]), jax.random.key(0))
