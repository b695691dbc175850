"""Spreads of programmed conductances published as polynomials of the level, at one or more times.

    sigma_i(G) = sum over k of c_ki (G/G_ref)^k     at time t_i after programming

Wan et al., Nature 608, 504 (2022): 1 s, 1 day and 2 days, as fitted in the analog hardware kit's
`ReRamWan2022NoiseModel` or, at 1 s, by a cubic; Milo et al., IEEE Trans. Electron Devices 68, 3832 (2021) for HfO2:
one straight line. sigma is the spread about the *target*, programming included; the mean stays.

Between two times the variance is interpolated linearly in ln t; before the first and after the last it rests (nothing
is extrapolated). As a trajectory: where the variance grows, Brownian motion in ln t adds what is missing. Where it
shrinks (a fit below its neighbour: Wan's levels of 3 to 13 uS lose up to 2 % from 1 to 2 days) no motion can take it
away, and each device's deviation is scaled down, with nothing drawn. Either way every marginal is the published one at
each t_i.
"""

from itertools import pairwise

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from hfsim.cards import Card
from hfsim.devices.relaxation import normalised_path
from hfsim.devices.retention.interface import AbstractRetention, RetentionState, Window
from hfsim.draws import address
from hfsim.errors import InputError
from hfsim.parameters import parameter


class PolynomialRetention(AbstractRetention):
    """Devices whose spread is tabulated as polynomials; `t` and the coefficients have one entry for each time."""

    t: Float[Array, " times"] = parameter(unit="s", bounds=(1e-6, 1e12), doc="times of the table", logarithmic=True)
    c_0: Float[Array, " times"] = parameter(unit="uS", bounds=(-1e3, 1e3), doc="coefficient of degree 0")
    c_1: Float[Array, " times"] = parameter(unit="uS", bounds=(-1e3, 1e3), doc="coefficient of degree 1")
    c_2: Float[Array, " times"] = parameter(unit="uS", bounds=(-1e3, 1e3), doc="coefficient of degree 2")
    c_3: Float[Array, " times"] = parameter(unit="uS", bounds=(-1e3, 1e3), doc="coefficient of degree 3")
    c_4: Float[Array, " times"] = parameter(unit="uS", bounds=(-1e3, 1e3), doc="coefficient of degree 4")
    G_ref: Float[Array, ""] = parameter(unit="uS", bounds=(0.1, 1e3), doc="conductance of the polynomials' unit")
    G_low: Float[Array, ""] = parameter(unit="uS", bounds=(0.0, 1e3), doc="least level of the fit")
    G_high: Float[Array, ""] = parameter(unit="uS", bounds=(0.0, 1e3), doc="highest level of the fit")
    E_relax: Float[Array, ""] = parameter(unit="eV", bounds=(0.0, 4.0), doc="activation energy of relaxation")
    window: Window | None = None

    def __check_init__(self):
        self._require_one_clock("G_ref", "G_low", "G_high", "E_relax")
        if jnp.ndim(self.t) != 1:
            raise InputError("PolynomialRetention.t", "have one axis of times", f"of shape {jnp.shape(self.t)}")
        if not isinstance(self.t, Tracer) and not np.all(np.diff(np.asarray(self.t)) > 0):
            raise InputError("PolynomialRetention.t", "rise", np.asarray(self.t))

    @classmethod
    def from_card(cls, card: Card, section: str = "retention", *, clip: bool = True) -> "PolynomialRetention":
        """The card's model of `section`, clipped to its window or not."""
        return card.build(cls, section, window=card.build(Window, "window") if clip else None)

    def programming_sigma(self, target):
        return _root(self._variances(target)[0])

    def mean(self, state: RetentionState):
        return state.target

    def sigma(self, state: RetentionState):
        variance = self._variances(state.target)
        now = variance[0]
        for (before, after), share in zip(pairwise(variance), self._shares(state), strict=True):
            now = now + share * (after - before)
        return _root(now)

    def trajectory(self, state: RetentionState):
        variance = self._variances(state.target)
        deviation = state.programmed - state.target
        key = self.event_key(state, "relaxation")
        for number, ((before, after), share) in enumerate(zip(pairwise(variance), self._shares(state), strict=True)):
            gained = share * (after - before)
            path = normalised_path(address(key, number), share, deviation.shape)
            kept = _root(1 + jnp.minimum(gained, 0.0) / jnp.maximum(before, 1e-12))
            deviation = kept * deviation + _root(gained) * path
        return state.target + deviation

    def read_sigma(self, state: RetentionState):
        """Zero: the publications give no read noise of its own."""
        return jnp.zeros_like(state.programmed)

    def _variances(self, target) -> list:
        """sigma^2 [uS2] at each time of the table; levels outside the fit take its nearest."""
        r = jnp.clip(target, self.G_low, self.G_high) / self.G_ref
        table = zip(*(jnp.broadcast_to(c, self.t.shape) for c in self._coefficients()), strict=True)
        return [(c_0 + r * (c_1 + r * (c_2 + r * (c_3 + r * c_4)))) ** 2 for c_0, c_1, c_2, c_3, c_4 in table]

    def _coefficients(self):
        return self.c_0, self.c_1, self.c_2, self.c_3, self.c_4

    def _shares(self, state: RetentionState) -> list:
        """How much of each interval of ln t has passed, 0 to 1."""
        u = jnp.log(jnp.maximum(state.clock.seconds, 1e-30))
        ends = jnp.log(self.t)
        return [jnp.clip((u - a) / jnp.maximum(b - a, 1e-3), 0.0, 1.0) for a, b in pairwise(ends)]


def _root(x):
    """Square root of max(x, 0), with zero derivative at and below 0."""
    positive = x > 1e-12
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1.0)), 0.0)
