"""The piecewise-constant pulse that every device takes."""

from typing import Any

import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter


class Pulse(PhysicalModel):
    """A rectangular voltage pulse; amplitude and width are scalars or carry the devices' shape."""

    voltage: Float[Array, "..."] = parameter(unit="V", bounds=(-20.0, 20.0), doc="amplitude of the pulse")
    width: Float[Array, "..."] = parameter(unit="ns", bounds=(0.0, 1e18), doc="duration of the pulse")


def require_duration(seconds: Any) -> None:
    """Refuse a concrete waiting time that is negative or not finite; traced ones pass."""
    if not isinstance(seconds, Tracer) and not (np.all(np.isfinite(seconds)) and np.all(np.asarray(seconds) >= 0)):
        raise InputError("seconds", "be a finite time >= 0 s", seconds)
