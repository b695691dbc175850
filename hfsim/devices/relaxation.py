"""Time at rest of an array, and a Brownian path in its logarithm.

A filament relaxes in ln t. The path of each device is one Brownian motion W(u), u = ln(1 + t/t_0), given at any
u by Levy's construction (P. Levy, Processus stochastiques et mouvement brownien, 1948; Z. Ciesielski, Bull.
Acad. Polon. Sci. 8, 217 (1960)): on [0, U], with k = floor(2^l u/U),

    W(u) = Z u/sqrt(U) + sum over l = 0..L of Z_{l,k} phi_{l,k}(u)

where phi is the tent over the k-th of 2^l intervals and each normal Z is drawn at its address (l, k). So a read
at two times is the same trajectory, and `wait(a)` then `wait(b)` gives what `wait(a + b)` gives.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hfsim.compensated import Compensated
from hfsim.draws import address, normal
from hfsim.units import BOLTZMANN, ROOM_TEMPERATURE

LOG_TIME_MAX = 64.0
"""U, the end of the path; ten years from 1 s is u = 19.6."""
_LEVELS = 12  # tents down to a width of 1/64 in u; between their corners a straight line, its variance kept


class Clock(eqx.Module):
    """Effective seconds since programming, as an unevaluated sum of two floats.

    The second one holds what the first one rounds off, so a million short waits are not lost in float32.
    """

    seconds: Float[Array, ""]
    remainder: Float[Array, ""]

    @classmethod
    def start(cls, dtype=None) -> "Clock":
        zero = jnp.zeros((), jnp.result_type(float) if dtype is None else dtype)
        return cls(zero, zero)

    def advance(self, seconds: Float[Array, ""]) -> "Clock":
        """The clock after `seconds` more."""
        total = Compensated(self.seconds, self.remainder).add(seconds)
        return Clock(total.value, total.remainder)


def arrhenius_acceleration(activation_energy, temperature, reference=ROOM_TEMPERATURE):
    """How much faster time runs at `temperature` than at `reference` [K] for an energy in eV."""
    return jnp.exp(activation_energy / BOLTZMANN * (1 / reference - 1 / temperature))


def log_time(seconds, onset):
    """u = ln(1 + t/t_0)."""
    return jnp.log1p(seconds / onset)


def log_read_time(seconds, t_read):
    """sqrt(ln((t + t_r)/(2 t_r))): 1/f noise seen at t over its value at 1 e-fold; 0 up to t = t_r."""
    late = seconds > t_read
    excess = jnp.where(late, (seconds - t_read) / (2 * t_read), 1.0)
    return jnp.where(late, jnp.sqrt(jnp.log1p(excess)), 0.0)


def brownian_path(key: Key[Array, ""], u: Float[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """W(u) for each device of an array of `shape`: W(0) = 0, variance u.

    The derivative with respect to u is that of sqrt(u) Z at fixed Z = W/sqrt(u): the path itself has none, and
    this one is exact in expectation for any function of the state at one time.
    """
    share = jnp.clip(jax.lax.stop_gradient(u).astype(jnp.float32) / LOG_TIME_MAX, 0.0, 1.0)

    def tent(path, level):
        intervals = 2.0 ** (level - 1)
        k = jnp.minimum(jnp.floor(share * intervals), intervals - 1)
        inside = share * intervals - k
        height = jnp.sqrt(LOG_TIME_MAX / intervals) * jnp.minimum(inside, 1 - inside)
        slope = share * LOG_TIME_MAX**0.5  # the first term, a straight line
        where = address(key, level.astype(jnp.int32), k.astype(jnp.int32))
        return path + jnp.where(level == 0, slope, height) * normal(where, shape, jnp.float32), None

    levels = jnp.arange(_LEVELS + 2, dtype=jnp.float32)
    path = jax.lax.scan(tent, jnp.zeros(shape, jnp.float32), levels)[0]
    # the straight line between two corners has the variance low + f^2 of a corner's spacing in place of low + f
    place = share * 2.0 ** (_LEVELS + 1)
    low, f = jnp.floor(place), place - jnp.floor(place)
    path = path * jnp.sqrt(jnp.where(place > 0, (low + f) / jnp.where(place > 0, low + f**2, 1.0), 0.0))
    path = jax.lax.stop_gradient(path).astype(u.dtype)
    moved = u > 0
    root = jnp.sqrt(jnp.where(moved, u, 1.0))
    return jnp.where(moved, root * jax.lax.stop_gradient(path / root), 0.0)


def normalised_path(key: Key[Array, ""], share: Float[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Z = W(s)/sqrt(s): the standard normal numbers of a trajectory whose clock s went from 0 to `share` of its end.

    sigma(t) Z(s(t)) is a Gauss-Markov process with deviation sigma(t) for any clock that does not fall: Brownian motion
    where s is proportional to sigma^2. Devices keep their Z while the clock rests. Z has no derivative: sigma has it.

    Args:
        key: the address of the array's path.
        share: of the clock, in [0, 1]; scalar, for all devices alike. At 0 the path is 0.
        shape: of the array.
    """
    u = jax.lax.stop_gradient(jnp.clip(share, 0.0, 1.0) * LOG_TIME_MAX)
    path = brownian_path(key, u, shape)
    return jax.lax.stop_gradient(jnp.where(u > 0, path / jnp.sqrt(jnp.where(u > 0, u, 1.0)), 0.0))
