"""Powers and exponentials for the inner loop of an ensemble.

An ensemble takes several powers for each class of domains and pulse; they are most of its time. In float32 these
two split off the binary exponent of the number and evaluate one polynomial (Chebyshev fits of log2(1 + m)/m on
[1/sqrt 2, sqrt 2] - 1 and of (2^f - 1)/f on [-1/2, 1/2], relative errors 3e-8 and 5e-9): half the time of
`jnp.exp(y * jnp.log(x))` on a CPU. In float64 they are that expression. Their derivatives are the exact rules, in
both modes, and so are those of their derivatives.

The polynomials cost so little that XLA computes them again wherever their result is used; optimisation barriers around
the results keep it at one evaluation (here in the derivatives; where it matters, by the caller).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

COSTLY = "hfsim.costly"
"""Name under which these values may be kept by a checkpoint's policy, in place of being computed again."""
_LOG2 = (1.4426950, -0.72134733, 0.4809106, -0.36070484, 0.28791833, -0.23892035, 0.21566986, -0.20742103, 0.12614846)
_EXP2 = (0.69314718, 0.24022651, 0.05550357, 0.009618057, 0.0013390867, 0.00015461448)
_SQRT_HALF_BITS = 0x3F3504F3
_EXPONENT_MIN, _EXPONENT_MAX = -126.0, 127.0  # of a normal float32


def _horner(coefficients: tuple[float, ...], x: Array) -> Array:
    total = jnp.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + np.float32(coefficient)
    return total


def _log2(x: Array) -> Array:
    bits = lax.bitcast_convert_type(x, jnp.int32)
    exponent = (bits - _SQRT_HALF_BITS) >> 23
    m = lax.bitcast_convert_type(bits - (exponent << 23), jnp.float32) - 1
    return exponent.astype(jnp.float32) + m * _horner(_LOG2, m)


def _exp2(y: Array) -> Array:
    y = jnp.clip(y, _EXPONENT_MIN, _EXPONENT_MAX)
    whole = jnp.round(y)
    f = y - whole
    bits = lax.bitcast_convert_type(1 + f * _horner(_EXP2, f), jnp.int32)
    return lax.bitcast_convert_type(bits + (whole.astype(jnp.int32) << 23), jnp.float32)


@jax.custom_jvp
def _ln(x: Array) -> Array:
    return _log2(x) * np.float32(np.log(2)) if x.dtype == jnp.float32 else jnp.log(x)


@_ln.defjvp
def _ln_jvp(primals, tangents):
    return _ln(*primals), tangents[0] / primals[0]


@jax.custom_jvp
def _over(numerator: Array, x: Array) -> Array:
    """numerator/x, whose derivative takes no 1/x^2: that of a history of 1e-30 is no float32."""
    return numerator / x


@_over.defjvp
def _over_jvp(primals, tangents):
    value = _over(*primals)
    return value, (tangents[0] - value * tangents[1]) / primals[1]


@jax.custom_jvp
def power(x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, "..."]:
    """x^y of positive normal numbers; a result below 1e-38 is 1e-38 in float32."""
    if jnp.result_type(x, y) == jnp.float32:
        return _exp2(y * _log2(x))
    return jnp.exp(y * jnp.log(x))


@power.defjvp
def _power_jvp(primals, tangents):
    (x, y), (x_dot, y_dot) = primals, tangents
    value = checkpoint_name(lax.optimization_barrier(power(x, y)), COSTLY)
    by_x, by_y = lax.optimization_barrier((_over(value * y, x), value * _ln(jnp.asarray(x, value.dtype))))
    return value, by_x * x_dot + by_y * y_dot


@jax.custom_jvp
def exponential(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """e^x; a result below 1e-38 is 1e-38 in float32."""
    if jnp.result_type(x) == jnp.float32:
        return _exp2(x * np.float32(np.log2(np.e)))
    return jnp.exp(x)


@exponential.defjvp
def _exponential_jvp(primals, tangents):
    value = checkpoint_name(lax.optimization_barrier(exponential(primals[0])), COSTLY)
    return value, value * tangents[0]


@jax.custom_jvp
def switched(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """1 - e^-x of numbers >= 0, without cancellation: its series below 0.25."""
    series = x * (1 - x * (0.5 - x * (1 / 6 - x * (1 / 24 - x * (1 / 120 - x / 720)))))
    if jnp.result_type(x) != jnp.float32:
        return -jnp.expm1(-x)
    return jnp.where(x < 0.25, series, 1 - exponential(-x))


@switched.defjvp
def _switched_jvp(primals, tangents):
    value = checkpoint_name(lax.optimization_barrier(switched(primals[0])), COSTLY)
    return value, (1 - value) * tangents[0]
