"""Exponential step: the step changes exponentially over the window, and stops where the exponential reaches it.

    up:   Delta = a_up   max(1 - A_up   exp( gamma_up   x), 0)
    down: Delta = a_down max(1 - A_down exp(-gamma_down x), 0),    x = 2 w/(w_max - w_min)

the common form of filamentary devices' and CMOS-like updates (P.-Y. Chen et al., ICCAD 2015, 194; T. Gong et al., Nat.
Commun. 9, 2102 (2018)). The offset b and slope a of the published form are folded into A e^(+-gamma b) and a gamma,
which is all that data can tell. A > 0 with gamma > 0 saturates; A < 0 makes a step that grows.

`pulses` scans. Trap: the exponent is capped at 30.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.devices.pulsed.interface import AbstractPulsedDevice
from hfsim.parameters import parameter

_LARGEST = 30.0  # e^30 steps: beyond any window


class ExponentialStep(AbstractPulsedDevice):
    """A pulsed device whose step is exponential in its weight."""

    A_up: Float[Array, "..."] = parameter(unit="1", bounds=(-100.0, 100.0), doc="exponential's share of a step up")
    A_down: Float[Array, "..."] = parameter(unit="1", bounds=(-100.0, 100.0), doc="the same of a step down")
    gamma_up: Float[Array, "..."] = parameter(unit="1", bounds=(-20.0, 20.0), doc="exponent over half the window, up")
    gamma_down: Float[Array, "..."] = parameter(unit="1", bounds=(-20.0, 20.0), doc="the same, down")

    def magnitude(self, w, up):
        x = 2 * w / jnp.maximum(self.w_max - self.w_min, 1e-6)
        exponent = jnp.where(up, self.gamma_up, -self.gamma_down) * x
        rest = 1 - jnp.where(up, self.A_up, self.A_down) * jnp.exp(jnp.minimum(exponent, _LARGEST))
        return self.scale(up) * jnp.maximum(rest, 0)
