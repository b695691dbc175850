"""Constant step: Delta = a_up or a_down anywhere in the window, up to its hard bounds.

The device of T. Gokmen and Y. Vlasov, Front. Neurosci. 10, 333 (2016). `pulses` is closed: see `aggregate`.
"""

import jax.numpy as jnp

from hfsim.devices.pulsed.aggregate import AbstractLinearDevice


class ConstantStep(AbstractLinearDevice):
    """A pulsed device whose step does not depend on its weight."""

    def slope(self, up):
        return jnp.zeros_like(self.dw_min) * up
