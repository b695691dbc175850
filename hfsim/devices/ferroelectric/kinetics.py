"""How the polarisation of a ferroelectric film answers a field: the interface of all switching models.

A model of the kinetics knows the field in the film and nothing of thickness, area, leakage or series resistance:
those belong to the capacitor around it. Its polarisation p is in units of the remanent polarisation: -1 and +1
are the two remanent states after saturation (a model with a reversible part exceeds them under field).
"""

import abc
from typing import Any

from jaxtyping import Array, Float, Key

from hfsim.parameters import PhysicalModel


class AbstractKinetics(PhysicalModel):
    """Kinetics of switching of one film, element-wise over devices."""

    @abc.abstractmethod
    def init(self, shape: tuple[int, ...], up: Float[Array, "..."], key: Key[Array, ""] | None = None) -> Any:
        """State of devices of `shape`, saturated to the fraction `up` (0 down, 1 up) and at rest.

        `key` is the array's stream; only models with random domains need it.
        """

    @abc.abstractmethod
    def expose(self, state: Any, field, width, temperature) -> Any:
        """State after a constant `field` [MV/cm] for `width` [ns] at `temperature` [K]; shapes fit the devices."""

    @abc.abstractmethod
    def polarisation(self, state: Any) -> Float[Array, "*devices"]:
        """p, in units of the remanent polarisation."""
