"""Phase-change memory: programming noise, drift by a power law, 1/f read noise.

S. R. Nandakumar et al., IEEE ICECS (2019), IEEE Xplore document 8964852; the coefficients of the analog
hardware kit's `PCMLikeNoiseModel`. With r = G/G_max:

    G_prog = target + N(0, c_0 + c_1 r + c_2 r^2)
    G(t)   = G_prog (1 + t/t_0)^-nu,   nu = |N(mu(r), s(r))| drawn once at each programming
    mu = clip(mu_1 ln r + mu_0, mu_min, mu_max),   s = clip(s_1 ln r + s_0, s_min, s_max)       (r of the target)
    one read: N(0, G(t) Q sqrt(ln((t' + t_r)/(2 t_r)))),  Q = min(Q_max, Q_0/r^p), t' = t + t_0   (r as programmed)

t counts from the first read, t_0 after programming: so does the kit. The published law is t_0 = 20 s. The trajectory
of a device is its own power law and has no other randomness than nu; `mean` and `sigma` are the exact moments of it.
"""

import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from hfsim.cards import Card
from hfsim.devices.relaxation import log_read_time, log_time
from hfsim.devices.retention.interface import AbstractRetention, RetentionState, Window
from hfsim.draws import normal
from hfsim.parameters import parameter
from hfsim.units import NANOSECONDS

R_MIN = 1e-7  # least r in ln r, as published
CAP = 25.0  # of exponents; far outside the published coefficients


class PCMRetention(AbstractRetention):
    """Phase-change devices after programming."""

    G_max: Float[Array, "..."] = parameter(unit="uS", bounds=(0.1, 1e3), doc="conductance at r = 1", logarithmic=True)
    c_0: Float[Array, "..."] = parameter(unit="uS", bounds=(0.0, 50.0), doc="programming spread at r = 0")
    c_1: Float[Array, "..."] = parameter(unit="uS", bounds=(-50.0, 50.0), doc="its slope in r")
    c_2: Float[Array, "..."] = parameter(unit="uS", bounds=(-50.0, 50.0), doc="its curvature in r")
    mu_0: Float[Array, "..."] = parameter(unit="1", bounds=(-1.0, 1.0), doc="mean drift exponent at r = 1, unclipped")
    mu_1: Float[Array, "..."] = parameter(unit="1", bounds=(-1.0, 1.0), doc="its slope in ln r")
    mu_min: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 1.0), doc="least mean drift exponent")
    mu_max: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 1.0), doc="largest mean drift exponent")
    s_0: Float[Array, "..."] = parameter(unit="1", bounds=(-1.0, 1.0), doc="spread of the exponent at r = 1, unclipped")
    s_1: Float[Array, "..."] = parameter(unit="1", bounds=(-1.0, 1.0), doc="its slope in ln r")
    s_min: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 1.0), doc="least spread of the exponent")
    s_max: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 1.0), doc="largest spread of the exponent")
    t_0: Float[Array, "..."] = parameter(unit="s", bounds=(1e-6, 1e6), doc="time of the first read", logarithmic=True)
    E_relax: Float[Array, ""] = parameter(unit="eV", bounds=(0.0, 4.0), doc="activation energy of drift")
    Q_0: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 1.0), doc="relative read noise at r = 1")
    Q_power: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 2.0), doc="power of 1/r in the read noise")
    Q_max: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 1.0), doc="largest relative read noise")
    t_read: Float[Array, "..."] = parameter(unit="ns", bounds=(1.0, 1e9), doc="duration of a read", logarithmic=True)
    window: Window | None = None

    def __check_init__(self):
        self._require_one_clock("E_relax")

    @classmethod
    def from_card(cls, card: Card, *, clip: bool = True) -> "PCMRetention":
        """The card's model, clipped to its window (conductances >= 0) or not."""
        return card.build(cls, "retention", window=card.build(Window, "window") if clip else None)

    def programming_sigma(self, target):
        r = target / self.G_max
        return jnp.maximum(self.c_0 + r * (self.c_1 + r * self.c_2), 0.0)

    def exponent(self, state: RetentionState) -> Float[Array, "*devices"]:
        """The drift exponent nu of each device, drawn at its programming."""
        mean, spread = self._exponent_law(state)
        draw = normal(self.event_key(state, "drift"), state.target.shape, state.target.dtype)
        return jnp.abs(mean + spread * draw)

    def mean(self, state: RetentionState):
        return state.programmed * self._moments(state)[0]

    def sigma(self, state: RetentionState):
        variance = self._moments(state)[1]
        spread = variance > 1e-12
        return jnp.abs(state.programmed) * jnp.where(spread, jnp.sqrt(jnp.where(spread, variance, 1.0)), 0.0)

    def trajectory(self, state: RetentionState):
        return state.programmed * jnp.exp(-self.exponent(state) * log_time(state.clock.seconds, self.t_0))

    def read_sigma(self, state: RetentionState):
        r = jnp.maximum(jnp.abs(state.programmed) / self.G_max, R_MIN)
        Q = jnp.minimum(self.Q_max, self.Q_0 * jnp.exp(-self.Q_power * jnp.log(r)))
        since = log_read_time(state.clock.seconds + self.t_0, self.t_read / NANOSECONDS)
        return jnp.abs(self.conductance(state)) * Q * since

    def _exponent_law(self, state: RetentionState):
        ln_r = jnp.log(jnp.maximum(jnp.abs(state.target) / self.G_max, R_MIN))
        mean = jnp.clip(self.mu_1 * ln_r + self.mu_0, self.mu_min, self.mu_max)
        return mean, jnp.clip(self.s_1 * ln_r + self.s_0, self.s_min, self.s_max)

    def _moments(self, state: RetentionState):
        """Mean and variance of exp(-nu u), nu folded normal: those of the log-normal, and what the fold changes."""
        mean, spread = self._exponent_law(state)
        s, u = jnp.maximum(spread, 1e-4), log_time(state.clock.seconds, self.t_0)

        def power(order):
            """Unfolded moment of an order, and the change by the fold: exp(+-) over nu < 0, as differences of tails."""
            w = order * u
            half = (w * s) ** 2 / 2
            straight = jnp.exp(jnp.minimum(-w * mean + half, CAP) + norm.logcdf(-mean / s + w * s))
            folded = jnp.exp(jnp.minimum(w * mean + half + norm.logcdf(-mean / s - w * s), CAP))
            return jnp.exp(jnp.minimum(-w * mean + half, CAP)), folded - straight

        (first, change), (_, square) = power(1.0), power(2.0)
        variance = first**2 * jnp.expm1(jnp.minimum((u * s) ** 2, CAP))
        return first + change, jnp.maximum(variance + square - change * (2 * first + change), 0.0)
