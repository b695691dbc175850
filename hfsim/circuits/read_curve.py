"""How a device's read current bends with its voltage: I = G f(V), with f [V] odd and f'(0) = 1.

    cubic   f = V [1 + (V/V_c)^2]
    sinh    f = V_0 sinh(V/V_0)

G is the conductance near zero volt, so a curve changes no programmed value. Both increase everywhere, so a network of
such devices has one solution. Cubic: the first correction of any odd law; sinh: hopping between traps, as in the CMO
model of `hfsim.devices.memristor`, where 1/V_0 is q a/(2 k_B T L).
"""

import abc
import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.parameters import PhysicalModel, parameter

STEEPEST = 30.0
"""From this many V_0 on the sinh goes on along its tangent: exp(30) is 1e13, and float32 ends at exp(88)."""
_SERIES_BELOW = 0.5


class AbstractReadCurve(PhysicalModel):
    """The shape of I(V), common to the devices of an array."""

    @abc.abstractmethod
    def effective(self, V: Float[Array, "..."]) -> Float[Array, "..."]:
        """f(V) [V]: the voltage at which an ohmic device of the same G would carry the same current."""

    @abc.abstractmethod
    def voltage(self, effective: Float[Array, "..."]) -> Float[Array, "..."]:
        """The inverse of f: the voltage [V] of a device that carries G times `effective` [V]."""


class CubicCurve(AbstractReadCurve):
    """f = V [1 + (V/V_c)^2]: at V_c the current is twice the ohmic one."""

    V_c: Float[Array, "..."] = parameter(
        unit="V", bounds=(0.01, 1e3), doc="voltage at which the current is twice the ohmic one", logarithmic=True
    )

    def effective(self, V):
        """f(V) [V]."""
        return V * (1 + jnp.square(V / self.V_c))

    def voltage(self, effective):
        """V [V], by the one real root of the cubic: 2 V_c/sqrt(3) sinh[asinh(3 sqrt(3) f/(2 V_c))/3]."""
        third = jnp.arcsinh(1.5 * math.sqrt(3) * (effective / self.V_c)) / 3
        return self.V_c * jnp.sinh(third) * (2 / math.sqrt(3))


class SinhCurve(AbstractReadCurve):
    """f = V_0 sinh(V/V_0), beyond 30 V_0 along its tangent."""

    V_0: Float[Array, "..."] = parameter(
        unit="V", bounds=(0.01, 1e3), doc="voltage scale of the exponential", logarithmic=True
    )

    def effective(self, V):
        """f(V) [V]."""
        x = V / self.V_0
        inside = jnp.clip(x, -STEEPEST, STEEPEST)
        return self.V_0 * (inside * _sinhc(inside) + math.cosh(STEEPEST) * _beyond(x, STEEPEST))

    def voltage(self, effective):
        """V [V]."""
        y = effective / self.V_0
        most = math.sinh(STEEPEST)
        return self.V_0 * (jnp.arcsinh(jnp.clip(y, -most, most)) + _beyond(y, most) / math.cosh(STEEPEST))


def _beyond(x, limit):
    """x less what a clip leaves of it; x - clip(x) would have 1 - 1 times cosh(30) in its gradient, all rounding."""
    return jnp.sign(x) * jnp.maximum(jnp.abs(x) - limit, 0.0)


def _sinhc(x):
    """sinh(x)/x by its series near zero, where the quotient's derivative cancels: to 1e-13 below 0.5."""
    small = jnp.abs(x) < _SERIES_BELOW
    square = jnp.square(jnp.where(small, x, 0.0))
    series = 1 + square / 6 * (1 + square / 20 * (1 + square / 42 * (1 + square / 72 * (1 + square / 110))))
    large = jnp.where(small, 1.0, x)
    return jnp.where(small, series, jnp.sinh(large) / large)
