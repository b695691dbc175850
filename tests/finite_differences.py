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
    compiled: Callable[[list[jax.Array]], jax.Array] | None = None,
) -> list[jax.Array]:
    """Assert that d scalar(model)/d parameter is right for each parameter, in a random direction of its entries.

    `insensitive` names the parameters that must have a zero gradient; any other zero is a failure, so that no
    gradient is silently missing. Those of `implicit` are asked to be finite and not zero alone. `compiled` is the
    scalar as a compiled function of the list of values, from a caller that has it. Returns the gradients, in the
    order of `parameters`.
    """
    names = [name for name, _, _ in parameters(model)]
    values = [value for _, _, value in parameters(model)]
    assert names, "the model declares no parameter"
    assert all(v.dtype == np.float64 for v in values), "run under the x64 fixture"

    def leaves(tree):
        return [value for _, _, value in parameters(tree)]

    def at(new):
        return scalar(eqx.tree_at(leaves, model, new))

    function = jax.jit(at) if compiled is None else compiled
    gradients = jax.jit(jax.grad(at))(values)
    rng = np.random.default_rng(0)
    for index, name in enumerate(names):
        if name in implicit:
            assert np.all(np.isfinite(gradients[index])) and np.any(gradients[index] != 0), name
            continue
        direction = rng.choice([-1.0, 1.0], size=values[index].shape) * np.maximum(np.abs(values[index]), 1e-2)

        def moved(factor, index=index, direction=direction):
            return float(function([*values[:index], values[index] + factor * direction, *values[index + 1 :]]))

        # Richardson: central differences of two steps, so that truncation stays below the tolerance
        fine = (moved(step) - moved(-step)) / (2 * step)
        coarse = (moved(2 * step) - moved(-2 * step)) / (4 * step)
        expected = (4 * fine - coarse) / 3
        got = float(np.sum(np.asarray(gradients[index]) * direction))
        if name in insensitive:
            assert got == 0 and abs(expected) < 1e-6, f"{name}: gradient {got}, differences {expected}"
        else:
            assert got != 0, f"{name}: the gradient is silently zero, differences give {expected}"
            assert abs(got - expected) <= tolerance * abs(expected), f"{name}: {got} against {expected}"
    return gradients
