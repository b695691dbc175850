"""Switching by growing domains: Kolmogorov, Avrami, Ishibashi.

A. N. Kolmogorov, Izv. Akad. Nauk SSSR, Ser. Mat. 1, 355 (1937); M. Avrami, J. Chem. Phys. 8, 212 (1940);
Y. Ishibashi, Y. Takagi, J. Phys. Soc. Jpn. 31, 506 (1971); the field by W. J. Merz, Phys. Rev. 95, 690 (1954):

    dP/(2 P_s) = 1 - exp[-(t/t_0)^n],      t_0(E) = tau exp[(E_a/|E|)^alpha]

alpha = 1 is Merz's law, the default; another exponent makes the comparison with nucleation-limited models fair, which
have one. n is the dimension of growth (+ 1 if nucleation goes on). Homogeneous films and single crystals follow it;
polycrystalline HfO2 does not, as its switching spreads over many more decades.

Any train of rectangular pulses: the part that is down has a history h that grows by dt/t_0 while the field is up and
shrinks, not below 0, while it is down; in a step the share 1 - exp(h_old^n - h_new^n) of it switches, and enters the
other part with h = 0, which keeps the mean of h over its members. Exact for pulses of one polarity from saturation
(n pulses of width t are one of n t); after a partial reversal this mean is a closure, that of `gb2` for one class.

t_0 needs no cap: where (E_a/E)^alpha passes 80, ten years at t_0 = 1e-4 ns flip 1e-13. Temperature scales the field.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from hfsim.devices.ferroelectric.kinetics import AbstractKinetics
from hfsim.parameters import parameter
from hfsim.units import ROOM_TEMPERATURE

_LN_POWER_MAX = 80.0  # of (E_a/E)^alpha: finite in float32, far beyond where anything switches
_FIELD_FLOOR = 1e-6  # MV/cm
_HAZARD_MAX = 80.0  # h^n beyond which nothing is left to switch
_HISTORY_MIN = 1e-30
_MEMBERS_MIN = 1e-18


class KAIState(eqx.Module):
    """Fraction up, and the mean history of either orientation."""

    up: Float[Array, "*devices"]
    history_up: Float[Array, "*devices"]
    history_down: Float[Array, "*devices"]


class KAIKinetics(AbstractKinetics):
    """One kind of domain with compressed-exponential switching."""

    tau: Float[Array, "..."] = parameter(
        unit="ns", bounds=(1e-4, 1e9), doc="switching time at infinite field", logarithmic=True
    )
    E_a: Float[Array, "..."] = parameter(unit="MV/cm", bounds=(0.01, 1e3), doc="activation field")
    n: Float[Array, "..."] = parameter(unit="1", bounds=(0.1, 6.0), doc="Avrami exponent")
    alpha: Float[Array, "..."] = parameter(
        unit="1", bounds=(0.2, 12.0), doc="exponent of E_a/E; 1 is Merz's law", default=1.0
    )
    dlnE_dT: Float[Array, "..."] = parameter(
        unit="1/K", bounds=(-0.02, 0.02), doc="relative change of the field scale per kelvin", default=0.0
    )

    def progress(self, field, width, temperature) -> Float[Array, "..."]:
        """t/t_0 of a pulse of `field` [MV/cm] and `width` [ns]; 0 at zero field."""
        field = field * jnp.exp(-self.dlnE_dT * (temperature - ROOM_TEMPERATURE))
        ratio = self.E_a / jnp.maximum(jnp.abs(field), _FIELD_FLOOR)
        exponent = jnp.exp(jnp.minimum(self.alpha * jnp.log(ratio), _LN_POWER_MAX))
        return jnp.where(field == 0, 0.0, width) / self.tau * jnp.exp(-exponent)

    def hazard(self, history):
        """h^n, finite with its gradient at h = 0."""
        some = history > _HISTORY_MIN
        return jnp.where(some, jnp.exp(self.n * jnp.log(jnp.where(some, history, 1.0))), 0.0)

    def init(self, shape: tuple[int, ...], up=0.0, key: Key[Array, ""] | None = None) -> KAIState:
        zero = jnp.zeros(shape, jnp.result_type(self.n, float))
        return KAIState(zero + jnp.asarray(up, zero.dtype), zero, zero)

    def expose(self, state: KAIState, field, width, temperature) -> KAIState:
        progress, upwards = self.progress(field, width, temperature), jnp.asarray(field) > 0
        opposed = jnp.where(upwards, 1 - state.up, state.up)
        aligned = 1 - opposed
        before = jnp.where(upwards, state.history_down, state.history_up)
        after = jnp.minimum(before + progress, jnp.exp(np.log(_HAZARD_MAX) / self.n))
        flipped = opposed * -jnp.expm1(self.hazard(before) - self.hazard(after))
        rested = jnp.maximum(jnp.where(upwards, state.history_up, state.history_down) - progress, 0.0)
        joined = rested * (aligned / jnp.maximum(aligned + flipped, _MEMBERS_MIN))
        return KAIState(
            up=jnp.where(upwards, state.up + flipped, state.up - flipped),
            history_up=jnp.where(upwards, joined, after),
            history_down=jnp.where(upwards, after, joined),
        )

    def polarisation(self, state: KAIState) -> Float[Array, "*devices"]:
        return 2 * state.up - 1
