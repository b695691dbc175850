"""Iterative programming beside the single-shot transfer: RESET and SET again until a read lies near enough.

An attempt lands at N(level, sigma^2), as a single-shot transfer does, and is kept where it lies within +-tol of its
level; after n = `attempts` of them the last one stays as it is. With

    q = erf[tol/(sqrt(2) sigma)],   P(kept) = 1 - (1 - q)^n,   E[attempts] = [1 - (1 - q)^n]/q

a kept conductance is a normal number cut at +-tol, another one lies in the tails beyond. Both are drawn from one
uniform number by their inverse distribution, so that the gradient in sigma and tol is that of a reparameterised draw
within either kind; which kind it is carries none. Reads between attempts are taken as exact.

The chip of Martemucci et al., Nature Electronics 8, 921 (2025) programs in one shot, whose levels and spread these are;
that attempts are independent is inferred from its spread "of 33 circuits x 6 transfers".
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.scipy.special import erf
from jax.scipy.stats import norm
from jaxtyping import Array, Float, Key

from hfsim.draws import stream
from hfsim.errors import InputError
from hfsim.hybrid.transfers import AbstractTransfer, MeasuredTransfer, charged_codes, interpolate_levels
from hfsim.parameters import parameter


class Attempts(NamedTuple):
    """Statistics of the attempts on one memristor: how likely each is kept, their mean number, how many are kept."""

    chance: Float[Array, ""]
    mean: Float[Array, ""]
    kept: Float[Array, ""]


class IterativeTransfer(AbstractTransfer):
    """The levels and spread of a measured single shot, tried again until within `tolerance` of the level."""

    single: MeasuredTransfer
    tolerance: Float[Array, ""] = parameter(
        unit="uS", bounds=(1e-3, 1e3), doc="largest accepted distance from the level", logarithmic=True
    )
    attempts: int = eqx.field(static=True, default=20)
    twin_noise: bool = eqx.field(static=True, default=False)
    clip: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        if not isinstance(self.attempts, int) or isinstance(self.attempts, bool) or self.attempts < 1:
            raise InputError("attempts", "be an integer >= 1", repr(self.attempts))
        if not isinstance(self.single, MeasuredTransfer):
            raise InputError("single", "be a MeasuredTransfer", type(self.single).__name__)
        spread = self.single.sigma > 0
        if not isinstance(spread, Tracer) and not spread:
            raise InputError("single.sigma", "be above 0: without spread one shot is exact", float(self.single.sigma))

    def levels(self):
        return self.single.levels()

    def fabricate(self, shape, key, charge=None):
        return self.single.fabricate(shape, key, charge)

    def statistics(self) -> Attempts:
        """Chance of an attempt, mean number of attempts, share of memristors that end within the tolerance."""
        # a wide tolerance takes the first attempt; a chance of 1 itself would have no gradient
        chance = jnp.minimum(erf(self.tolerance / (jnp.sqrt(2.0) * self.single.sigma)), 1 - 1e-6)
        kept = -jnp.expm1(self.attempts * jnp.log1p(-chance))
        return Attempts(chance, kept / chance, kept)

    def target(self, codes, sign, devices, key: Key[Array, ""]):
        level = interpolate_levels(self.single.mean, charged_codes(codes, devices))
        return level + self.single.sigma * self._deviation(key, codes.shape, codes.dtype)

    def twin(self, shape, key):
        noise = self.single.sigma * self._deviation(key, shape, self.single.mean.dtype) if self.twin_noise else 0.0
        return jnp.broadcast_to(self.single.mean[0] + noise, shape)

    def _deviation(self, key: Key[Array, ""], shape: tuple[int, ...], dtype) -> Float[Array, "*w"]:
        """Distance from the level in sigmas."""
        most = self.tolerance / self.single.sigma
        kind, place = (
            jax.random.uniform(stream(key, name), shape, jnp.float32, minval=1e-7, maxval=1.0).astype(dtype)
            for name in ("kept", "place")
        )
        low = norm.cdf(-most)
        inside = norm.ppf(low + place * (1 - 2 * low))
        # of a uniform number in the lower half the lower tail is made, of one in the upper half the upper one
        half = jnp.minimum(place, 1 - place)
        outside = jnp.where(place < 0.5, 1.0, -1.0) * norm.ppf(jnp.maximum(2 * half * low, 1e-30))
        return jnp.where(kind < self.statistics().kept, inside, outside)
