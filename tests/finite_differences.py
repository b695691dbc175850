"""Gradients of every declared parameter of a model against central differences, in float64."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from hfsim.estimators import AbstractEstimator
from hfsim.parameters import parameters


class Unrounded(AbstractEstimator):
    """What straight-through estimators differentiate: no decision at all."""

    def step(self, x):
        return x

    def round(self, x):
        return x

    def floor(self, x):
        return x


def check_parameter_gradients(
    model: Any,
    scalar: Callable[[Any], jax.Array],
    *,
    tolerance: float = 1e-4,
    step: float = 1e-5,
    insensitive: tuple[str, ...] = (),
    implicit: tuple[str, ...] = (),
    gradients: list[jax.Array] | None = None,
    at_points: Callable[[list[list[Any]]], Any] | None = None,
) -> None:
    """Assert that d scalar(model)/d parameter is right for each parameter, in a random direction of its entries.

    `insensitive` names the parameters that must have a zero gradient; any other zero is a failure, so that no
    gradient is silently missing. Those of `implicit` are asked to be finite and not zero alone. `gradients`, in the
    order of `parameters`, and `at_points`, the scalar at each of many lists of values, are for a caller that has
    compiled them.
    """
    names = [name for name, _, _ in parameters(model)]
    values = [value for _, _, value in parameters(model)]
    assert names, "the model declares no parameter"
    assert all(v.dtype == np.float64 for v in values), "run under the x64 fixture"

    def leaves(tree):
        return [value for _, _, value in parameters(tree)]

    def at(new):
        return scalar(eqx.tree_at(leaves, model, new))

    if gradients is None:
        gradients = jax.jit(jax.grad(at))(values)
    if at_points is None:
        function = jax.jit(at)

        def at_points(points):
            return [float(function(point)) for point in points]

    rng = np.random.default_rng(0)
    directions = [rng.choice([-1.0, 1.0], size=v.shape) * np.maximum(np.abs(v), 1e-2) for v in values]
    compared = [i for i, name in enumerate(names) if name not in implicit]
    seen = at_points(
        [
            [*values[:i], values[i] + factor * directions[i], *values[i + 1 :]]
            for i in compared
            for factor in (step, -step, 2 * step, -2 * step)
        ]
    )
    for name, gradient in zip(names, gradients, strict=True):
        if name in implicit:
            assert np.all(np.isfinite(gradient)) and np.any(gradient != 0), name
    for i, (above, below, far_above, far_below) in zip(compared, np.reshape(seen, (-1, 4)), strict=True):
        # Richardson: central differences of two steps, so that truncation stays below the tolerance
        fine = (above - below) / (2 * step)
        coarse = (far_above - far_below) / (4 * step)
        expected = (4 * fine - coarse) / 3
        got, name = float(np.sum(np.asarray(gradients[i]) * directions[i])), names[i]
        if name in insensitive:
            assert got == 0 and abs(expected) < 1e-6, f"{name}: gradient {got}, differences {expected}"
        else:
            assert got != 0, f"{name}: the gradient is silently zero, differences give {expected}"
            assert abs(got - expected) <= tolerance * abs(expected), f"{name}: {got} against {expected}"
