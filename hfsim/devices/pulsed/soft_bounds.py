"""Soft bounds: a step proportional to the distance to the bound ahead, of size a at w = 0.

    up:   Delta = a_up   (1 - w/w_max)
    down: Delta = a_down (1 - w/w_min)

The steps balance at the symmetry point w* = (a_up - a_down)/(a_up/w_max - a_down/w_min). With `w_ref` there it is the
device that T. Gong, M. J. Rasch et al., IEDM 2022, fitted to ReRAM arrays. 0 lies inside the window
(`PowerStep` with gamma = 1 has no such need). `pulses` is
closed: see `aggregate`.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.devices.pulsed.aggregate import AbstractLinearDevice
from hfsim.parameters import parameter


class SoftBounds(AbstractLinearDevice):
    """A pulsed device that slows down towards its bounds."""

    w_min: Float[Array, "..."] = parameter(unit="1", bounds=(-10.0, -0.01), doc="lower end of the window")
    w_max: Float[Array, "..."] = parameter(unit="1", bounds=(0.01, 10.0), doc="upper end of the window")

    def slope(self, up):
        return jnp.where(up, 1 / self.w_max, -1 / self.w_min)
