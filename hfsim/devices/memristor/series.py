"""What lies in series with a memristor: a resistance for each polarity, or the select transistor.

Each names one unknown x >= 0 of the loop and gives, for a line voltage V > 0, the voltage that it takes and the
current: so that cell and element are solved together, in one unknown, whichever the element is.

    nothing       x = I:            drop = 0,    I = x
    resistance    x = I:            drop = x R,  I = x
    transistor    x = its voltage:  drop = x,    I = I_DS(x)

With the transistor both lines stay at or above the bulk. SET (`up`) puts V on the cell's top electrode and holds the
source line at 0: the source is grounded. RESET puts V on the source line and holds the top electrode at 0: the cell's
node, at V - x, is then the source, and the gate must be high.
"""

import abc
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.devices.transistor import Transistor
from hfsim.parameters import PhysicalModel, parameter


class AbstractSeries(PhysicalModel):
    """An element between the line's voltage and the cell's."""

    @abc.abstractmethod
    def branch(self, x, V, up, temperature) -> tuple[Any, Any]:
        """(drop [V], current [uA]) at unknown `x` for line voltage `V` [V] > 0 of polarity `up`, at ambient [K]."""

    @abc.abstractmethod
    def limit(self, V, up, R_s) -> Any:
        """The largest x that can be a solution, the cell being at least `R_s` [kohm]."""

    @abc.abstractmethod
    def guess(self, V, up, C, R_s) -> Any:
        """A first x; `C` [1/nm3] is the cell's vacancy density."""


class NoSeries(AbstractSeries):
    """Nothing: the whole voltage lies over the cell."""

    def branch(self, x, V, up, temperature):
        return 0.0, x

    def limit(self, V, up, R_s):
        return 1e3 * V / R_s

    def guess(self, V, up, C, R_s):
        return _first_current(V, C, R_s)


class SelectResistance(AbstractSeries):
    """A resistance for each polarity; 0 is none."""

    R_set: Float[Array, "..."] = parameter(unit="kohm", bounds=(0.0, 100.0), doc="resistance in series under SET")
    R_reset: Float[Array, "..."] = parameter(unit="kohm", bounds=(0.0, 100.0), doc="resistance in series under RESET")

    def _resistance(self, up):
        return jnp.where(up, self.R_set, self.R_reset)

    def branch(self, x, V, up, temperature):
        return 1e-3 * self._resistance(up) * x, x

    def limit(self, V, up, R_s):
        return 1e3 * V / (self._resistance(up) + R_s)

    def guess(self, V, up, C, R_s):
        return _first_current(V, C, self._resistance(up) + R_s)


class SelectTransistor(AbstractSeries):
    """The n-channel select transistor of a 1T1R cell, its gate at one voltage for each polarity."""

    transistor: Transistor
    V_G_set: Float[Array, "..."] = parameter(unit="V", bounds=(0.0, 10.0), doc="gate voltage under SET")
    V_G_reset: Float[Array, "..."] = parameter(unit="V", bounds=(0.0, 10.0), doc="gate voltage under RESET")

    def branch(self, x, V, up, temperature):
        V_G = jnp.where(up, self.V_G_set, self.V_G_reset)
        source, drain = jnp.where(up, 0.0, V - x), jnp.where(up, x, V)
        return x, self.transistor.current(V_G, source, drain, temperature=temperature)

    def limit(self, V, up, R_s):
        return V

    def guess(self, V, up, C, R_s):
        return 0.1 * V


def _first_current(V, C, R):
    """A current [uA] to start from: R [kohm] in series with 100 uS at the symmetry point."""
    return V / (1e-3 * R + 1 / (6e3 * C))
