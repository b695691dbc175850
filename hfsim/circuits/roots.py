"""Element-wise roots of monotone functions, differentiated implicitly."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def increasing_root(
    function: Callable[[Float[Array, "*shape"]], Float[Array, "*shape"]],
    lower: Float[Array, "*shape"],
    upper: Float[Array, "*shape"],
    *,
    steps: int = 60,
) -> Float[Array, "*shape"]:
    """Solve function(x) = 0 for each element, where each element increases with its own x alone.

    Newton's method kept inside a bracket that each evaluation narrows; a step that leaves it becomes a
    bisection. The derivative of the root is -(df/dtheta)/(df/dx), by `jax.lax.custom_root`: forward and
    reverse mode, any order.

    Args:
        function: maps x of the devices' shape to residuals of that shape, in any one unit.
        lower, upper: ends of the bracket; a root outside it gives the nearer end.
        steps: the most iterations; the loop ends when no element moves by more than four roundings of its
            bracket.

    Returns:
        The roots, of the common shape of `lower` and `upper`.
    """
    lower, upper = jnp.broadcast_arrays(lower, upper)
    start = 0.5 * (lower + upper)
    tolerance = 4 * jnp.finfo(start.dtype).eps * jnp.maximum(jnp.abs(lower), jnp.abs(upper))

    def solve(f, x):
        def unfinished(carry):
            return (carry[0] < steps) & jnp.any(carry[4])

        def iterate(carry):
            count, x, low, high, _ = carry
            value, slope = jax.jvp(f, (x,), (jnp.ones_like(x),))
            low, high = jnp.where(value <= 0, x, low), jnp.where(value >= 0, x, high)
            newton = x - value / jnp.where(slope > 0, slope, 1.0)
            inside = (slope > 0) & (newton >= low) & (newton <= high)
            new = jnp.where(inside, newton, 0.5 * (low + high))
            return count + 1, new, low, high, jnp.abs(new - x) > tolerance

        low, high = jax.lax.stop_gradient((lower, upper))
        return jax.lax.while_loop(unfinished, iterate, (0, x, low, high, jnp.ones(x.shape, bool)))[1]

    def tangent_solve(linear, y):
        return y / linear(jnp.ones_like(y))  # element-wise: its matrix is diagonal

    return jax.lax.custom_root(function, jax.lax.stop_gradient(start), solve, tangent_solve)
