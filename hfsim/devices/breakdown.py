"""Time-dependent breakdown of a dielectric: what wears a capacitor out, and what forms a memristor.

The thermochemical E-model (J. W. McPherson, H. C. Mogul, J. Appl. Phys. 84, 1513 (1998)) with Weibull statistics:

    t_63 = t_ref (S_ref/S)^(1/k) exp[-gamma (|E| - E_ref) + (E_A/k_B)(1/T - 1/T_ref)]
    D    = integral dt/t_63(E(t), T(t)),      P(broken) = 1 - exp(-D^k)

Damage D adds up over pulses of any voltage, width and temperature, in any order. A device breaks once D passes its
own threshold (-ln u)^(1/k), drawn once: reparameterised, and the same device is weak whoever stresses it. The area
law is that of independent spots. Breakdown needs no threshold voltage: a weak pulse is only improbable to form.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from hfsim.compensated import Compensated
from hfsim.draws import require_key
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import BOLTZMANN, NANOSECONDS, ROOM_TEMPERATURE

_LN_DAMAGE = (-80.0, 46.0)  # of one exposure; at 1e20 every device has long been broken
_SECONDS_MIN = 1e-30
_DAMAGE_MIN = 1e-30


class DielectricBreakdown(PhysicalModel):
    """Weibull breakdown, accelerated by field and temperature."""

    t_ref: Float[Array, "..."] = parameter(
        unit="s", bounds=(1e-12, 1e20), doc="time to 63 % broken at E_ref, S_ref and 300 K", logarithmic=True
    )
    E_ref: Float[Array, "..."] = parameter(unit="MV/cm", bounds=(0.0, 20.0), doc="field at which t_ref holds")
    S_ref: Float[Array, "..."] = parameter(
        unit="um2", bounds=(1e-5, 1e8), doc="area at which t_ref holds", logarithmic=True
    )
    gamma: Float[Array, "..."] = parameter(unit="cm/MV", bounds=(0.0, 40.0), doc="field acceleration")
    E_A: Float[Array, "..."] = parameter(unit="eV", bounds=(0.0, 3.0), doc="activation energy")
    k: Float[Array, "..."] = parameter(unit="1", bounds=(0.3, 20.0), doc="Weibull slope")

    def damage(self, field, width, area, temperature=ROOM_TEMPERATURE) -> Float[Array, "..."]:
        """Growth of D under `field` [MV/cm] for `width` [ns] over `area` [um2]; none without a field."""
        thermal = self.E_A / BOLTZMANN * (1 / ROOM_TEMPERATURE - 1 / temperature)
        acceleration = self.gamma * (jnp.abs(field) - self.E_ref) + thermal + jnp.log(area / self.S_ref) / self.k
        seconds = width / NANOSECONDS
        ln_damage = jnp.log(jnp.maximum(seconds, _SECONDS_MIN)) - jnp.log(self.t_ref) + acceleration
        return jnp.where((field == 0) | (seconds == 0), 0.0, jnp.exp(jnp.clip(ln_damage, *_LN_DAMAGE)))

    def median_time(self, field, area, temperature=ROOM_TEMPERATURE) -> Float[Array, "..."]:
        """Time [s] at which half of the devices are broken."""
        return np.log(2) ** (1 / self.k) / self.damage(field, NANOSECONDS, area, temperature)

    def threshold(self, shape: tuple[int, ...], key: Key[Array, ""]) -> Float[Array, "*devices"]:
        """Draw the damage at which each device of `shape` breaks: (-ln u)^(1/k)."""
        draw = jnp.maximum(jax.random.exponential(require_key(key), shape, jnp.float32), _DAMAGE_MIN)
        return jnp.exp(jnp.log(draw.astype(self.k.dtype)) / self.k)

    def probability(self, damage) -> Float[Array, "..."]:
        """1 - exp(-D^k): the share of devices that are broken at this damage; differentiable."""
        return -jnp.expm1(-jnp.exp(jnp.minimum(self.k * jnp.log(jnp.maximum(damage, _DAMAGE_MIN)), 80.0)))


class Damage(eqx.Module):
    """Damage of devices of some shape, and the threshold at which each breaks."""

    total: Compensated
    threshold: Float[Array, "*devices"]

    @property
    def broken(self) -> Float[Array, "*devices"]:
        """1.0 where the device is broken, else 0.0; its gradient is zero (see `DielectricBreakdown.probability`)."""
        return (self.total.value >= self.threshold).astype(self.threshold.dtype)
