"""Many identical pulses of a linear device at once, in closed form.

A step that is linear in the weight makes one pulse an affine map. In x, the weight counted in the direction of the
pulses, Delta(x) = a - k x and, before the bounds act,

    additive noise:      x_m = x + Delta(x) S_m + s sqrt(V_m) N,        S_m = sum of (1 - k)^i, V_m = sum of (1 - k)^2i
    proportional noise:  x_m = x + Delta(x) g,   1 - k g = product of m factors 1 - k (1 + sigma N_i)

The first is normal. The second has, exactly,

    <g> = S_m,    var g = sigma^2 (1-k)^(2m-2) [(1 + r^2)^m - 1]/r^2,    r = sigma k/(1 - k)
    skew of the product = [(1 + 3 r^2)^m - 3 (1 + r^2)^m + 2]/[(1 + r^2)^m - 1]^(3/2)

and is drawn as the shifted log-normal with these three moments (a normal number for m = 1).

Bounds. Clipping after each pulse makes, for increasing maps and one bound x >= L (D. V. Lindley, Proc. Camb. Phil.
Soc. 48, 277 (1952)),

    x_m = max(unclipped x_m, L + max over l of T_l),    T_l = what the last l pulses do to a device at L

T is a Gaussian walk: its largest value, given its last one, is that of a Brownian bridge of variance v, drawn as
M = [T + sqrt(T^2 - 2 v ln U)]/2 with U uniform, and lowered by 0.5826 (1 + 0.43/m) spacings for a walk of m points
(D. Siegmund, Adv. Appl. Probab. 11, 701 (1979); the term in 1/m is ours, and makes the mean right for short bridges at
T = 0). For k > 0 the spacing shrinks along the walk and its drift bends; both are taken at the mean place of the
largest value, a share M/(2M - T) of the bridge. The other bound is treated alike, and the last pulse as it is.

So: without noise, n steps to rounding; away from the bounds, mean, variance and skew exact; n <= `rounds`, exact. At a
bound, with the two rounds of the default, mean and deviation are within 2 % of the true deviation or of one step's
noise, whichever is larger (tested over k from 0.002 to 0.5 and noise up to the step and beyond), and nearer with more.

Traps: a step beyond its own fixed point (k > 1) alternates, and then only the last pulse is exact: all earlier ones
act as if k = 0.999. The exponents of (1 - k)^m and (1 + r^2)^m are capped at 30, and the skew is that of r <= 5.
"""

import abc
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from hfsim.devices.pulsed.interface import AbstractPulsedDevice, PulsedState, checked_counts, clipped, drawn, once
from hfsim.devices.pulsed.noise import AdditiveNoise, ProportionalNoise
from hfsim.draws import address, require_key, stream
from hfsim.errors import InputError

_MOST_K = 0.999
_LARGEST = 30.0  # of exponents
_SPACING, _SHORT = 0.5826, 0.25  # -zeta(1/2)/sqrt(2 pi), and its correction for short bridges


class AbstractLinearDevice(AbstractPulsedDevice):
    """A pulsed device whose step is linear in its weight."""

    @abc.abstractmethod
    def slope(self, up: Bool[Array, "..."]) -> Float[Array, "..."]:
        """Relative loss of the step per unit of weight in its own direction."""

    def magnitude(self, w, up):
        return self.scale(up) * (1 - self.slope(up) * jnp.where(up, w, -w))

    def pulses(
        self,
        state: PulsedState,
        n: Int[Array, "..."],
        key: Key[Array, ""] | None = None,
        *,
        limit: int | None = None,
        rounds: int = 2,
    ) -> PulsedState:
        """State after n identical pulses each, in closed form: see the module.

        Args:
            state: state before.
            n: integers that fit the devices' shape.
            key: address of the event.
            limit: the largest |n| if there is one; a noise that has no closed form needs it inside jit.
            rounds: number of draws per device. One is the closed form alone, exact away from the bounds; of more,
                the last is the last pulse as it is and the others share the rest.
        """
        if not isinstance(self.noise, AdditiveNoise | ProportionalNoise):
            return super().pulses(state, n, key, limit=limit)
        if rounds < 1:
            raise InputError("rounds", "be an integer >= 1", rounds)
        n = checked_counts(n, limit, state.w.shape)
        number, direction, up, w = jnp.abs(n), jnp.sign(n), n > 0, state.w
        groups = max(rounds - 1, 1)
        # reverse mode computes a round again, in fused loops, rather than keep what it computes on the way
        moved = jax.checkpoint(lambda *round_: self._moved(*round_))
        rest = number if rounds == 1 else jnp.maximum(number - 1, 0)
        for group in range(groups):
            m = (rest + group) // groups
            draws = None if key is None else _draw(address(stream(key, "pulses"), group), w)
            w = jnp.where(m > 0, moved(w, jnp.maximum(m, 1), up, draws), w)
        if rounds > 1:
            xi = None if key is None else drawn(stream(key, "step"), w.shape, w.dtype)
            w = self.stepped(w, direction, xi)
        if limit is not None:
            w = jnp.where(number > limit, jnp.nan, w)
        return self.written(state, w, n != 0, key)

    def _moved(self, w, m, up, draws):
        """Weights after m >= 1 pulses up where `up` and down elsewhere."""
        m = m.astype(w.dtype)
        forwards = jnp.where(up, 1, -1).astype(w.dtype)
        low, high = jnp.where(up, self.w_min, -self.w_max), jnp.where(up, self.w_max, -self.w_min)
        a = self.scale(up)
        a, low, high = once(a), once(low), once(high)
        k = once(a * self.slope(up))
        x = once(forwards * w)
        # one pulse as it is: the kept factor only rules how the powers of 1 - k grow
        walk = _Walk(m, jnp.minimum(k, _MOST_K))
        noise = self.noise
        if draws is None:
            end, below, above = x + (a - k * x) * walk.sum(), 0.0, 0.0
        elif isinstance(noise, AdditiveNoise):
            s = noise.sigma * self.dw_min
            end, below, above = _additive(walk, x, a - k * x, a - k * low, a - k * high, s, draws)
        else:
            assert isinstance(noise, ProportionalNoise)  # `pulses` sends all others elsewhere
            end, below, above = _proportional(walk, x, a - k * x, a - k * low, a - k * high, noise.sigma, draws)
        end, below, above = once(end), once(below), once(above)
        several = m > 1
        end = jnp.maximum(end, low + jnp.where(several, below, 0))
        return forwards * clipped(jnp.minimum(end, high - jnp.where(several, above, 0)), low, high)


class _Walk(NamedTuple):
    """m affine maps that keep 1 - k of the distance to their fixed point."""

    m: Float[Array, "..."]
    k: Float[Array, "..."]

    def kept(self, power=1.0):
        """(1 - k)^(power m)."""
        return once(jnp.exp(jnp.minimum(power * self.m * jnp.log1p(-self.k), _LARGEST)))

    def sum(self):
        """S_m, of (1 - k)^i over i < m."""
        return once(_geometric(-self.k, self.m))

    def sum_of_squares(self):
        """V_m, of (1 - k)^2i over i < m."""
        return once(_geometric(-self.k * (2 - self.k), self.m))


class _Draws(NamedTuple):
    """What one round draws for each device: a normal number and a random word."""

    normal: Float[Array, "..."]
    word: UInt32[Array, "..."]


def _additive(walk: _Walk, x, step, at_low, at_high, s, draws: _Draws):
    """x_m, and how far noise keeps it from the lower and the upper bound."""
    V = walk.sum_of_squares()
    noise = s * jnp.sqrt(V) * draws.normal
    S, log_u = walk.sum(), _log_uniforms(draws, x.dtype)
    below = _largest(at_low * S + noise, s, V, walk, at_low, log_u[0])
    above = _largest(-at_high * S - noise, s, V, walk, -at_high, log_u[1])
    return x + step * S + noise, below, above


def _proportional(walk: _Walk, x, step, at_low, at_high, sigma, draws: _Draws):
    """x_m, and how far noise keeps it from the lower and the upper bound."""
    m, k = walk
    r = sigma * k / (1 - k)
    deviation = sigma * walk.kept() / (1 - k) * jnp.sqrt(_geometric(r**2, m))
    g = walk.sum() - deviation * _skewed(_skew(r, m), draws.normal)
    # -ln(1 - k g)/k is a walk of even steps, whose largest and smallest values give those of g
    h = g * _log_ratio(jnp.maximum(-k * g, -1 + 1e-6))
    s = sigma / (1 - k) * jnp.sqrt(_log_ratio(r**2))
    even, log_u = _Walk(m, jnp.zeros_like(m)), _log_uniforms(draws, x.dtype)
    h_max, h_min = _largest(h, s, m, even, 0.0, log_u[0]), -_largest(-h, s, m, even, 0.0, log_u[1])
    g_max, g_min = (y * _exp_ratio(-k * y) for y in (h_max, h_min))
    below = at_low * jnp.where(at_low > 0, g_max, g_min)
    above = -at_high * jnp.where(at_high > 0, g_min, g_max)
    return x + step * g, below, above


def _largest(T, s, V, walk: _Walk, drift, log_u):
    """Largest of 0, T_1, ..., T_m = T of a walk with first spacing s, variance s^2 V and a drift at its start."""
    T = once(T)
    square = T**2 - 2 * s**2 * V * log_u
    root = jnp.sqrt(jnp.where(square > 0, square, 1.0))
    M = once(0.5 * (T + jnp.where(square > 0, root, 0.0)))
    share = once(jnp.where(square > 0, M / root, 0.0))
    lost = -jnp.expm1(jnp.minimum(2 * walk.m * jnp.log1p(-walk.k), _LARGEST))  # 1 - (1 - k)^2m
    kept, place = walk.kept(), jnp.sqrt(jnp.maximum(1 - lost * share, 1e-6))
    bend = (2 - walk.k) * V * share * (1 - share) * lost / ((1 + place) * (kept + place) * (1 + kept))
    return jnp.maximum(jnp.maximum(T, 0), M - drift * bend - (_SPACING + _SHORT / walk.m) * s * place)


def _skew(r, m):
    """Skew of a product of m factors 1 + r N, with the sign of r; 3 r (m - 1)/sqrt(m) for small r."""
    small = jnp.abs(r) < 1e-3
    x = jnp.clip(r**2, 1e-6, 25.0)  # beyond, the bounds decide
    b = jnp.expm1(jnp.minimum(m * jnp.log1p(x), 10.0))
    # (1 + x)^3 - (1 + 3 x), which the two sums below would lose
    narrower = -jnp.expm1(m * jnp.log1p(-(x**2) * (3 + x) / (1 + x) ** 3))
    exact = (b**2 * (3 + b) - (1 + b) ** 3 * narrower) / b**1.5
    return jnp.where(small, 3 * r * (m - 1) / jnp.sqrt(m), jnp.sign(r) * jnp.maximum(exact, 0))


def _skewed(skew, xi):
    """Shifted log-normal number of mean 0, variance 1 and this skew, from a normal one."""
    t = 2 * jnp.sinh(jnp.arcsinh(skew / 2) / 3)
    small = jnp.abs(t) < 1e-3
    safe = jnp.where(small, 1.0, t)
    variance = jnp.log1p(safe**2)
    number = jnp.expm1(jnp.sign(safe) * jnp.sqrt(variance) * xi - variance / 2) / safe
    return jnp.where(small, xi + t / 2 * (xi**2 - 1), number)


def _geometric(x, m):
    """Sum of (1 + x)^i over i < m, in value and derivative also at x = 0."""
    small = jnp.abs(x) * m < 0.03
    safe = jnp.where(small, 1.0, x)
    whole = jnp.expm1(jnp.minimum(m * jnp.log1p(safe), _LARGEST)) / safe
    series = 1.0
    for i in (5, 4, 3, 2):
        series = 1 + (m - i + 1) * x / i * series
    return jnp.where(small, m * series, whole)


def _log_ratio(y):
    """ln(1 + y)/y."""
    small = jnp.abs(y) < 1e-4
    safe = jnp.where(small, 1.0, y)
    return jnp.where(small, 1 - y / 2, jnp.log1p(safe) / safe)


def _exp_ratio(y):
    """(e^y - 1)/y."""
    small = jnp.abs(y) < 1e-4
    safe = jnp.where(small, 1.0, jnp.clip(y, -_LARGEST, _LARGEST))
    return jnp.where(small, 1 + y / 2, jnp.expm1(safe) / safe)


def _draw(key, w) -> _Draws:
    words = jax.random.bits(stream(require_key(key), "uniform"), w.shape, jnp.uint32)
    return _Draws(drawn(stream(key, "normal"), w.shape, w.dtype), jax.lax.optimization_barrier(words))


def _log_uniforms(draws: _Draws, dtype):
    """Logarithms of two uniform numbers per device, of 16 bits each."""
    halves = (draws.word & 0xFFFF, draws.word >> 16)
    return [jnp.log((half.astype(dtype) + 0.5) / 2**16) for half in halves]
