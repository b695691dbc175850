"""The piecewise-constant pulse that every device takes."""

from jaxtyping import Array, Float

from hfsim.parameters import PhysicalModel, parameter


class Pulse(PhysicalModel):
    """A rectangular voltage pulse; amplitude and width are scalars or carry the devices' shape."""

    voltage: Float[Array, "..."] = parameter(unit="V", bounds=(-20.0, 20.0), doc="amplitude of the pulse")
    width: Float[Array, "..."] = parameter(unit="ns", bounds=(0.0, 1e18), doc="duration of the pulse")
