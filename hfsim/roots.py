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
    start: Float[Array, "*shape"] | None = None,
    tolerance: float | None = None,
    steps: int = 120,
) -> Float[Array, "*shape"]:
    """Solve function(x) = 0 for each element, where each element increases with its own x alone.

    Newton's method kept inside a bracket that each evaluation narrows; a step that leaves it, or is more than
    half of the step before the last, becomes a bisection (`rtsafe` of Press et al., Numerical Recipes), so that
    no cycle survives. The derivative of the root is -(df/dtheta)/(df/dx), by `jax.lax.custom_root`: forward and
    reverse mode, any order.

    Args:
        function: maps x of the devices' shape to residuals of that shape, in any one unit.
        lower, upper: ends of the bracket; a root outside it gives the nearer end.
        start: where to begin, inside the bracket; its middle by default.
        tolerance: an element rests once it moves by no more than this share of its bracket's larger end, and the loop
            ends when all do; four roundings by default. Newton's step is quadratic: after one of the square root of a
            rounding the root is good to about a rounding.
        steps: the most iterations.

    Returns:
        The roots, of the common shape of `lower` and `upper`.
    """
    lower, upper = jnp.broadcast_arrays(lower, upper)
    start = 0.5 * (lower + upper) if start is None else jnp.broadcast_to(start, lower.shape)
    share = 4 * jnp.finfo(start.dtype).eps if tolerance is None else tolerance
    least = share * jnp.maximum(jnp.abs(lower), jnp.abs(upper))

    def solve(f, x):
        def unfinished(carry):
            return (carry[0] < steps) & jnp.any(carry[-1])

        def iterate(carry):
            count, x, low, high, before, last, moving = carry
            value, slope = jax.jvp(f, (x,), (jnp.ones_like(x),))
            low, high = jnp.where(value <= 0, x, low), jnp.where(value >= 0, x, high)
            newton = x - value / jnp.where(slope > 0, slope, 1.0)
            inside = (slope > 0) & (newton >= low) & (newton <= high) & (2 * jnp.abs(newton - x) <= before)
            new = jnp.where(moving, jnp.where(inside, newton, 0.5 * (low + high)), x)
            step = jnp.abs(new - x)
            return count + 1, new, low, high, last, step, moving & (step > least)

        low, high = jax.lax.stop_gradient((lower, upper))
        start = (0, x, low, high, high - low, high - low, jnp.ones(x.shape, bool))
        return jax.lax.while_loop(unfinished, iterate, start)[1]

    def tangent_solve(linear, y):
        return y / linear(jnp.ones_like(y))  # element-wise: its matrix is diagonal

    return jax.lax.custom_root(function, jax.lax.stop_gradient(start), solve, tangent_solve)
