"""Read noise of a memristor as trajectories: random telegraph noise with its exact statistics, and 1/f noise.

Random telegraph noise (S. Machlup, J. Appl. Phys. 25, 341 (1954)): a trap is empty for tau_c and filled for tau_e on
average, and raises the resistance by dR while it is filled. With 1/tau = 1/tau_c + 1/tau_e and p = tau/tau_c:

    P(filled after t) = p + (s - p) exp(-t/tau)                      s is 1 if it was filled, else 0
    S(f) = 4 A^2 p (1 - p) tau/[1 + (2 pi f tau)^2]                  one-sided, of a signal of amplitude A

The probability holds for any t, so steps compose exactly (Chapman-Kolmogorov) and none is too long. The amplitude
falls from dR/R about 1 in the high-resistance state to 1e-3 in the low one, a power law of G between the two.

1/f noise (F. N. Hooge, P. A. Bobbert, Physica B 239, 223 (1997)) is a sum of Gaussian processes, each with a Lorentzian
spectrum, at time constants tau_j equidistant in ln tau from tau_min to tau_max, each of variance K^2 dln(tau):

    n_j(t + dt) = n_j(t) exp(-dt/tau_j) + K sqrt(dln(tau) [1 - exp(-2 dt/tau_j)]) N,     S(f) = K^2/f

between 1/(2 pi tau_max) and 1/(2 pi tau_min). Statistically, a read of duration t_r at time t has the deviation

    sigma^2 = K^2 ln[(t + t_r)/(2 t_r)]

(S. R. Nandakumar et al., Proc. ICECS (2019)), which holds the same noise above 1/t; `sigma` gives it.

Reparameterised: 1/f noise is differentiable along its path. Whether a trap flips is a discrete decision, so `step` of
a trap takes an estimator; probabilities, spectra and variances are differentiable as they are.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from hfsim.draws import normal, require_key, stream
from hfsim.errors import InputError
from hfsim.estimators import AbstractEstimator
from hfsim.parameters import PhysicalModel, parameter

_EXPONENT_MAX = 80.0  # of t/tau, beyond which nothing is remembered


def _forgotten(seconds, tau):
    """1 - exp(-t/tau), accurate for short and finite for long times."""
    return -jnp.expm1(-jnp.minimum(seconds / tau, _EXPONENT_MAX))


class RandomTelegraph(PhysicalModel):
    """Traps that are empty or filled: `traps` of them in each device, along a leading axis of the state.

    The state is the filling, 0 or 1, shape (traps, *devices); parameters are scalars, of the devices' shape, or have
    the leading axis.
    """

    tau_c: Float[Array, "..."] = parameter(
        unit="s", bounds=(1e-12, 1e6), doc="mean time to capture: how long a trap stays empty", logarithmic=True
    )
    tau_e: Float[Array, "..."] = parameter(
        unit="s", bounds=(1e-12, 1e6), doc="mean time to emission: how long a trap stays filled", logarithmic=True
    )
    A_HRS: Float[Array, "..."] = parameter(
        unit="1", bounds=(1e-6, 10.0), doc="dR/R of a filled trap at and below G_HRS", logarithmic=True
    )
    A_LRS: Float[Array, "..."] = parameter(
        unit="1", bounds=(1e-6, 10.0), doc="dR/R of a filled trap at and above G_LRS", logarithmic=True
    )
    G_HRS: Float[Array, "..."] = parameter(
        unit="uS", bounds=(1e-4, 10.0), doc="conductance of the high-resistance state", logarithmic=True
    )
    G_LRS: Float[Array, "..."] = parameter(
        unit="uS", bounds=(11.0, 1e5), doc="conductance of the low-resistance state", logarithmic=True
    )
    traps: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        if not isinstance(self.traps, int) or self.traps < 1:
            raise InputError("traps", "be an integer >= 1", repr(self.traps))

    @property
    def tau(self) -> Float[Array, "..."]:
        """Correlation time [s]."""
        return 1 / (1 / self.tau_c + 1 / self.tau_e)

    @property
    def filled(self) -> Float[Array, "..."]:
        """Probability that a trap is filled, p."""
        return self.tau / self.tau_c

    def probability(self, state, seconds) -> Float[Array, "..."]:
        """Probability of being filled `seconds` after `state` (0 or 1, or a probability itself)."""
        return state + (self.filled - state) * _forgotten(seconds, self.tau)

    def init(self, shape: tuple[int, ...], key: Key[Array, ""]) -> Float[Array, "traps *devices"]:
        """Traps in equilibrium, for devices of `shape`."""
        u = self._uniform((self.traps, *shape), key)
        return (u < self.filled).astype(u.dtype)

    def step(
        self, state, seconds, key: Key[Array, ""], *, estimator: AbstractEstimator
    ) -> Float[Array, "traps *devices"]:
        """Traps `seconds` [s] later; `key` is the address of this step."""
        return estimator.step(self.probability(state, seconds) - self._uniform(state.shape, key))

    def amplitude(self, G) -> Float[Array, "..."]:
        """dR/R of one filled trap in a device of conductance `G` [uS]."""
        share = jnp.log(jnp.maximum(G, 1e-30) / self.G_HRS) / jnp.log(self.G_LRS / self.G_HRS)
        return self.A_HRS * (self.A_LRS / self.A_HRS) ** jnp.clip(share, 0.0, 1.0)

    def conductance(self, state, G) -> Float[Array, "*devices"]:
        """Conductance [uS] that is read where all traps empty would give `G` [uS]: G/(1 + sum dR/R)."""
        return G / (1 + jnp.sum(self.amplitude(G) * state, axis=0))

    def variance(self) -> Float[Array, "..."]:
        """Variance of one trap's filling, p (1 - p)."""
        return self.filled * (1 - self.filled)

    def autocorrelation(self, seconds) -> Float[Array, "..."]:
        """Covariance of one trap's filling at two times `seconds` apart."""
        return self.variance() * (1 - _forgotten(seconds, self.tau))

    def spectrum(self, frequency) -> Float[Array, "..."]:
        """One-sided spectral density [1/Hz] of one trap's filling at `frequency` [Hz]."""
        return 4 * self.variance() * self.tau / (1 + (2 * jnp.pi * frequency * self.tau) ** 2)

    def _uniform(self, shape, key):
        # in the middle of the 2^24 cells of [0, 1), so that probabilities 0 and 1 are never and always
        u = jax.random.uniform(stream(require_key(key), "traps"), shape, jnp.float32) + np.float32(2.0**-25)
        return u.astype(self.tau_c.dtype)


class FlickerNoise(PhysicalModel):
    """1/f noise of the conductance; the state holds `components` Gaussian processes, (components, *devices)."""

    K_0: Float[Array, "..."] = parameter(
        unit="uS", bounds=(0.0, 100.0), doc="K, the root of the spectral density times the frequency, at G_0"
    )
    G_0: Float[Array, "..."] = parameter(unit="uS", bounds=(1e-3, 1e4), doc="conductance of K_0", logarithmic=True)
    power: Float[Array, "..."] = parameter(unit="1", bounds=(-2.0, 3.0), doc="exponent of K in G")
    tau_min: Float[Array, "..."] = parameter(
        unit="s", bounds=(1e-12, 1e-3), doc="shortest time constant", logarithmic=True
    )
    tau_max: Float[Array, "..."] = parameter(
        unit="s", bounds=(2e-3, 1e10), doc="longest time constant", logarithmic=True
    )
    components: int = eqx.field(static=True, default=16)

    def __check_init__(self):
        if not isinstance(self.components, int) or self.components < 2:
            raise InputError("components", "be an integer >= 2", repr(self.components), "take two for each decade")

    def K(self, G) -> Float[Array, "..."]:
        """K [uS] of a device of conductance `G` [uS]: K_0 (G/G_0)^power."""
        return self.K_0 * jnp.exp(self.power * jnp.log(jnp.maximum(G, 1e-6) / self.G_0))

    def time_constants(self) -> tuple[Float[Array, "components ..."], Float[Array, "..."]]:
        """tau_j [s], the middles of equal parts of ln tau, and the length of a part."""
        span = jnp.log(self.tau_max / self.tau_min)
        place = ((jnp.arange(self.components) + 0.5) / self.components).astype(span.dtype)
        return self.tau_min * jnp.exp(span * place.reshape((-1,) + (1,) * span.ndim)), span / self.components

    def init(self, shape: tuple[int, ...], key: Key[Array, ""]) -> Float[Array, "components *devices"]:
        """Processes in equilibrium, in units of K."""
        root = jnp.sqrt(self.time_constants()[1])
        return root * normal(stream(require_key(key), "flicker"), (self.components, *shape), root.dtype)

    def step(self, state, seconds, key: Key[Array, ""]) -> Float[Array, "components *devices"]:
        """Processes `seconds` [s] later, exact for any time; `key` is the address of this step."""
        tau, part = self.time_constants()
        tau = tau.reshape(tau.shape + (1,) * (state.ndim - tau.ndim))
        kept = 1 - _forgotten(seconds, tau)
        new = _forgotten(2 * seconds, tau)
        root = jnp.where(new > 0, jnp.sqrt(part * jnp.where(new > 0, new, 1.0)), 0.0)
        return kept * state + root * normal(stream(require_key(key), "flicker"), state.shape, state.dtype)

    def conductance(self, state, G) -> Float[Array, "*devices"]:
        """Conductance [uS] that is read of devices of conductance `G` [uS]."""
        return G + self.K(G) * jnp.sum(state, axis=0)

    def spectrum(self, frequency, G) -> Float[Array, "..."]:
        """One-sided spectral density [uS2/Hz] at `frequency` [Hz]: the sum of Lorentzians, K^2/f between its ends."""
        tau, part = self.time_constants()
        tau = tau.reshape(tau.shape + (1,) * max(jnp.ndim(frequency) + 1 - tau.ndim, 0))
        return self.K(G) ** 2 * part * jnp.sum(4 * tau / (1 + (2 * jnp.pi * frequency * tau) ** 2), axis=0)

    def sigma(self, G, seconds, t_r) -> Float[Array, "..."]:
        """Deviation [uS] of a read of duration `t_r` [s] `seconds` after programming: K sqrt(ln[(t + t_r)/(2 t_r)]).

        0 up to t = t_r, where the published formula leaves the real numbers.
        """
        log = jnp.log((seconds + t_r) / (2 * t_r))
        positive = log > 0
        return self.K(G) * jnp.where(positive, jnp.sqrt(jnp.where(positive, log, 1.0)), 0.0)
