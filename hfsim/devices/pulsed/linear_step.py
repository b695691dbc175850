"""Linear step: the step changes linearly with the weight, up to hard bounds.

    up:   Delta = a_up   (1 - slope_up   w)
    down: Delta = a_down (1 + slope_down w)

so that a positive slope makes the step smaller towards the bound ahead; slope_up = 1/w_max and slope_down = -1/w_min
are soft bounds. In the form of aihwkit slope = gamma/|bound|. Where 1 - slope w < 0 inside the window pulses push
back to the point where the step is zero. `pulses` is closed: see `aggregate`.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.devices.pulsed.aggregate import AbstractLinearDevice
from hfsim.parameters import parameter


class LinearStep(AbstractLinearDevice):
    """A pulsed device whose step is linear in its weight."""

    slope_up: Float[Array, "..."] = parameter(
        unit="1", bounds=(-10.0, 10.0), doc="relative loss of the step up per unit of weight"
    )
    slope_down: Float[Array, "..."] = parameter(
        unit="1", bounds=(-10.0, 10.0), doc="relative loss of the step down per unit of weight lost"
    )

    def slope(self, up):
        return jnp.where(up, self.slope_up, self.slope_down)
