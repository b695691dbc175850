"""Every device model through one table: value, jvp, vjp, vmap, finite differences, precision, corners.

The number that a case computes is a short life of the device, so that these tests see the model as its users do.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.parameters import parameters
from tests.device_cases import all_cases
from tests.finite_differences import check_parameter_gradients

CASES = {case.name: case for case in all_cases()}
every_model = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
RANDOM_CORNERS = 12


def leaves(tree):
    return [value for _, _, value in parameters(tree)]


def number_of(case):
    """A compiled function of the list of parameter values, and those values."""
    model = case.model()

    def number(values):
        return case.scalar(eqx.tree_at(leaves, model, values))

    return number, leaves(model)


@every_model
def test_value_and_derivatives(case, x64):
    # Reverse mode against Richardson differences for each parameter, forward mode against reverse mode along one
    # direction of all: the two modes share no code path through custom rules and scans.
    gradients = check_parameter_gradients(
        case.model(),
        case.scalar,
        tolerance=case.tolerance,
        step=case.step,
        insensitive=case.insensitive,
        implicit=case.implicit,
    )
    number, values = number_of(case)
    rng = np.random.default_rng(1)
    tangents = [jnp.asarray(rng.uniform(-1, 1, v.shape) * np.maximum(np.abs(v), 1e-2)) for v in values]
    value, slope = jax.jit(lambda v, t: jax.jvp(number, (v,), (t,)))(values, tangents)
    terms = [float(jnp.sum(g * t)) for g, t in zip(gradients, tangents, strict=True)]
    assert np.isfinite(value) and 1e-3 < abs(float(value)) < 1e3, f"the case's number should be of order 1: {value}"
    # the directions may cancel: compare on the scale of the largest term
    assert abs(float(slope) - sum(terms)) <= 1e-6 * max(map(abs, terms))


@every_model
def test_a_population_is_the_same_model_with_larger_leaves(case, x64):
    # vmap over three models whose parameters differ by 0.1 % is the same as one after the other.
    number, values = number_of(case)
    several = [jnp.stack([v * (1 - 1e-3 * i) for i in range(3)]) for v in values]
    together = jax.jit(jax.vmap(number))(several)
    alone = jax.jit(number)
    np.testing.assert_allclose(together, [alone([v[i] for v in several]) for i in range(3)], rtol=case.vmap, atol=1e-12)


@every_model
def test_single_precision(case):
    # Both precisions start from the same float32 parameters.
    number, values = number_of(case)
    assert all(v.dtype == jnp.float32 for v in values)
    single = jax.jit(number)(values)
    assert single.dtype == jnp.float32
    with jax.enable_x64(True):
        number, _ = number_of(case)
        double = jax.jit(number)([jnp.asarray(np.asarray(v, np.float64)) for v in values])
    assert abs(float(single) - float(double)) <= case.float32 * max(abs(float(double)), 1e-3)


@every_model
def test_nothing_overflows_at_the_corners_of_the_bounds(case):
    # Each parameter alone at either bound, and random corners of all at once, in float32: value and gradient finite.
    number, values = number_of(case)
    names = [name for name, _, _ in parameters(case.model())]
    specs = [spec for _, spec, _ in parameters(case.model())]
    chosen = [i for i, name in enumerate(names) if case.corners_of is None or name in case.corners_of]

    def ends(i):
        nominal = np.asarray(values[i], np.float64)
        below, above = specs[i].lower, specs[i].upper
        low = below if np.isfinite(below) else np.min(nominal) - 10 * np.max(np.abs(nominal)) - 1
        high = above if np.isfinite(above) else np.max(nominal) + 10 * np.max(np.abs(nominal)) + 1
        return low, high

    corners = [{i: end} for i in chosen for end in (0, 1)]
    rng = np.random.default_rng(2)
    corners += [dict(zip(chosen, rng.integers(0, 2, len(chosen)), strict=True)) for _ in range(RANDOM_CORNERS)]
    stacked = [
        jnp.stack([jnp.full_like(v, ends(i)[corner[i]]) if i in corner else v for corner in corners])
        for i, v in enumerate(values)
    ]
    found, slopes = jax.jit(jax.vmap(jax.value_and_grad(number)))(stacked)

    def describe(row):
        return {names[i]: ends(i)[end] for i, end in corners[row].items()}

    bad = [describe(row) for row in np.flatnonzero(~np.isfinite(found))]
    assert not bad, f"the value is not finite at {bad[:3]}"
    for name, slope in zip(names, slopes, strict=True):
        rows = np.flatnonzero(~np.all(np.isfinite(np.asarray(slope)).reshape(len(corners), -1), axis=1))
        assert not rows.size, f"the gradient with respect to {name} is not finite at {describe(rows[0])}"
