"""Power step, or generalised soft bounds: the step is a power of the distance to the bound ahead.

    omega = (w_max - w)/(w_max - w_min)
    up:   Delta = a_up   omega^gamma_up
    down: Delta = a_down (1 - omega)^gamma_down

S. Fusi and L. F. Abbott, Nat. Neurosci. 10, 485 (2007); J. Frascaroli et al., Sci. Rep. 8, 7178 (2018). gamma = 1 is
soft bounds, gamma = 0 a constant step. a is the step at the far end of the window, not at w = 0.

`pulses` scans. Trap: for gamma < 1 the slope of the power is infinite at the bound; below a distance of 1e-4 of the
window the power goes straight to 0.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.devices.pulsed.interface import AbstractPulsedDevice
from hfsim.parameters import parameter

_STRAIGHT = 1e-4
_NARROWEST = 1e-3  # window that has a distance in it


class PowerStep(AbstractPulsedDevice):
    """A pulsed device whose step is a power of the distance to the bound."""

    gamma_up: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 20.0), doc="exponent of a step up")
    gamma_down: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 20.0), doc="exponent of a step down")

    def magnitude(self, w, up):
        span = jnp.maximum(self.w_max - self.w_min, _NARROWEST)
        distance = jnp.where(up, self.w_max - w, w - self.w_min) / span
        gamma = jnp.where(up, self.gamma_up, self.gamma_down)
        far = jnp.clip(distance, _STRAIGHT, 1.0)
        power = jnp.exp(gamma * jnp.log(far))
        near = power * jnp.clip(distance, 0.0, _STRAIGHT) / _STRAIGHT
        return self.scale(up) * jnp.where(distance > _STRAIGHT, power, near)
