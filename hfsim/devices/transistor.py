"""The select transistor: the EKV model of the MOSFET's drain current.

C. C. Enz, F. Krummenacher, E. A. Vittoz, "An analytical MOS transistor model valid in all regions of
operation", Analog Integr. Circuits Signal Process. 8, 83 (1995).

    I   = I_S [F((V_P - V_S)/U_T) - F((V_P - V_D)/U_T)] / (1 + V_eff/(L E_sat))
    F(x) = ln^2(1 + exp(x/2)),   V_P = (V_G - V_T0)/n,   I_S = 2 n KP (W/L) U_T^2

All voltages are referred to the bulk. V_eff = 2 U_T [F^(1/2)(forward) - F^(1/2)(reverse)] goes from V_DS in
the linear region to V_P - V_S in saturation. Saturated strong inversion tends to
KP/(2 n) (W/L) (V_G - V_T0 - n V_S)^2. Valid from weak to strong inversion; no channel-length modulation, no
breakdown. Mismatch of V_T0 follows Pelgrom: sigma = A_VT/sqrt(W L).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hfsim.draws import normal
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import ROOM_TEMPERATURE, thermal_voltage


class Transistor(PhysicalModel):
    """An n-channel MOSFET in the EKV model."""

    V_T0: Float[Array, "..."] = parameter(unit="V", bounds=(-2.0, 5.0), doc="threshold voltage")
    n: Float[Array, "..."] = parameter(unit="1", bounds=(1.0, 3.0), doc="slope factor")
    KP: Float[Array, "..."] = parameter(
        unit="uA/V2", bounds=(1.0, 1e4), doc="transconductance parameter mu C_ox", logarithmic=True
    )
    W: Float[Array, "..."] = parameter(unit="um", bounds=(0.02, 1e3), doc="channel width", logarithmic=True)
    L: Float[Array, "..."] = parameter(unit="um", bounds=(0.01, 1e2), doc="channel length", logarithmic=True)
    E_sat: Float[Array, "..."] = parameter(
        unit="V/um", bounds=(0.1, 1e6), doc="critical field of velocity saturation", logarithmic=True
    )
    A_VT: Float[Array, "..."] = parameter(
        unit="mV um", bounds=(0.0, 100.0), doc="Pelgrom coefficient of the threshold's mismatch"
    )

    @property
    def threshold_spread(self) -> Float[Array, "..."]:
        """Standard deviation of the threshold between transistors [V]: A_VT/sqrt(W L)."""
        return 1e-3 * self.A_VT / jnp.sqrt(self.W * self.L)

    def current(self, V_G, V_S, V_D, *, temperature=ROOM_TEMPERATURE) -> Float[Array, "..."]:
        """Drain current [uA] at gate, source and drain voltages [V] against the bulk, at `temperature` [K].

        Odd under exchange of source and drain. Differentiable in every argument and parameter.
        """
        U_T = thermal_voltage(temperature)
        V_P = (V_G - self.V_T0) / self.n
        forward, reverse = jax.nn.softplus((V_P - V_S) / (2 * U_T)), jax.nn.softplus((V_P - V_D) / (2 * U_T))
        I_S = 2 * self.n * self.KP * (self.W / self.L) * U_T**2
        V_eff = 2 * U_T * jnp.abs(forward - reverse)
        return I_S * (forward - reverse) * (forward + reverse) / (1 + V_eff / (self.L * self.E_sat))

    def sample(self, shape: tuple[int, ...], key: Key[Array, ""]) -> "Transistor":
        """A population of `shape` whose threshold has Pelgrom's mismatch."""
        mismatch = self.threshold_spread * normal(key, shape, self.V_T0.dtype)
        return eqx.tree_at(lambda m: m.V_T0, self, self.V_T0 + mismatch)
