"""Every device model through one table: value, jvp, vjp, vmap, finite differences, precision, corners.

The number that a case computes is a short life of the device, so that these tests see the model as its users do.
Compiling it is nearly all of their time, so the tests of one case follow each other and share what they compile.
"""

from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.parameters import parameters
from tests.device_cases import all_cases
from tests.finite_differences import check_parameter_gradients

CASES = {case.name: case for case in all_cases()}
RANDOM_CORNERS = 12
BATCH = 32  # points that one call of a compiled number takes


def leaves(tree):
    return [value for _, _, value in parameters(tree)]


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def case(request):
    """One model. Of the module, so that the tests of a case follow each other."""
    return request.param


def number_of(case):
    """A function of the list of parameter values, it with its gradients compiled, and those values."""
    return _number_of(case, jnp.result_type(float))


@lru_cache(maxsize=2)  # one case in both precisions
def _number_of(case, dtype):
    model = case.model()

    def number(values):
        return case.scalar(eqx.tree_at(leaves, model, values))

    return number, jax.jit(jax.value_and_grad(number)), leaves(model)


@lru_cache(maxsize=1)
def many_of(case):
    """The number at many lists of values and its slope along as many lists of tangents: vmap of jvp, in float64."""
    number, _, _ = number_of(case)
    compiled = jax.jit(jax.vmap(lambda values, tangents: jax.jvp(number, (values,), (tangents,))))

    def many(points, tangents=None):
        """In batches of one size, so that it is compiled once; without tangents the slopes are 0."""
        rows = [np.stack([np.asarray(point[i]) for point in points]) for i in range(len(points[0]))]
        moved = [np.zeros_like(row) for row in rows]
        for i, tangent in enumerate(tangents or ()):
            moved[i][:] = tangent
        found = []
        for start in range(0, len(points), BATCH):
            at = np.minimum(np.arange(start, start + BATCH), len(points) - 1)
            found.append(compiled([row[at] for row in rows], [row[at] for row in moved]))
        return tuple(np.concatenate(part)[: len(points)] for part in zip(*found, strict=True))

    return many


@lru_cache(maxsize=1)
def at_corners(case):
    """Corners of the bounds as {name: value}, and the number and its gradients there, in float32.

    The first has no name: it is the model as it stands. Then each parameter alone at either bound, and random corners
    of all at once.
    """
    number, _, values = number_of(case)
    declared = [(name, ends(spec, value)) for name, spec, value in parameters(case.model())]
    chosen = [i for i, (name, _) in enumerate(declared) if case.corners_of is None or name in case.corners_of]
    rng = np.random.default_rng(2)
    corners = [{}, *({i: end} for i in chosen for end in (0, 1))]
    corners += [dict(zip(chosen, rng.integers(0, 2, len(chosen)), strict=True)) for _ in range(RANDOM_CORNERS)]
    stacked = [
        jnp.stack([jnp.full_like(v, declared[i][1][corner[i]]) if i in corner else v for corner in corners])
        for i, v in enumerate(values)
    ]
    found, slopes = jax.jit(jax.vmap(jax.value_and_grad(number)))(stacked)
    return [{declared[i][0]: declared[i][1][end] for i, end in corner.items()} for corner in corners], found, slopes


def ends(spec, value):
    """Both bounds of a parameter; where there is none, ten times the value and one away."""
    nominal = np.asarray(value, np.float64)
    low = spec.lower if np.isfinite(spec.lower) else np.min(nominal) - 10 * np.max(np.abs(nominal)) - 1
    high = spec.upper if np.isfinite(spec.upper) else np.max(nominal) + 10 * np.max(np.abs(nominal)) + 1
    return low, high


def test_value_and_derivatives(case, x64):
    # Reverse mode against Richardson differences for each parameter, forward mode against reverse mode along one
    # direction of all: the two modes share no code path through custom rules and scans.
    _, compiled, values = number_of(case)
    many = many_of(case)
    value, gradients = compiled(values)
    check_parameter_gradients(
        case.model(),
        case.scalar,
        tolerance=case.tolerance,
        step=case.step,
        insensitive=case.insensitive,
        implicit=case.implicit,
        gradients=gradients,
        at_points=lambda points: many(points)[0],
    )
    rng = np.random.default_rng(1)
    tangents = [rng.uniform(-1, 1, v.shape) * np.maximum(np.abs(v), 1e-2) for v in values]
    slope = many([values], tangents)[1].item()
    terms = [float(jnp.sum(g * t)) for g, t in zip(gradients, tangents, strict=True)]
    assert np.isfinite(value) and 1e-3 < abs(float(value)) < 1e3, f"the case's number should be of order 1: {value}"
    # the directions may cancel: compare on the scale of the largest term
    assert abs(slope - sum(terms)) <= 1e-6 * max(map(abs, terms))


def test_a_population_is_the_same_model_with_larger_leaves(case, x64):
    # vmap over three models whose parameters differ by 0.1 % is the same as one after the other.
    _, compiled, values = number_of(case)
    several = [[v * (1 - 1e-3 * i) for v in values] for i in range(3)]
    together, _ = many_of(case)(several)
    np.testing.assert_allclose(together, [compiled(one)[0] for one in several], rtol=case.vmap, atol=1e-12)


def test_single_precision(case):
    # Both precisions start from the same float32 parameters.
    _, _, values = number_of(case)
    assert all(v.dtype == jnp.float32 for v in values)
    _, found, _ = at_corners(case)
    assert found.dtype == jnp.float32
    single = float(found[0])
    with jax.enable_x64(True):
        _, compiled, _ = number_of(case)
        double = float(compiled([jnp.asarray(np.asarray(v, np.float64)) for v in values])[0])
    assert abs(single - double) <= case.float32 * max(abs(double), 1e-3)


def test_nothing_overflows_at_the_corners_of_the_bounds(case):
    # Each parameter alone at either bound, and random corners of all at once, in float32: value and gradient finite.
    corners, found, slopes = at_corners(case)
    bad = [corners[row] for row in np.flatnonzero(~np.isfinite(found))]
    assert not bad, f"the value is not finite at {bad[:3]}"
    for (name, _, _), slope in zip(parameters(case.model()), slopes, strict=True):
        rows = np.flatnonzero(~np.all(np.isfinite(np.asarray(slope)).reshape(len(corners), -1), axis=1))
        assert not rows.size, f"the gradient with respect to {name} is not finite at {corners[rows[0]]}"
