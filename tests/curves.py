"""Small models with declared parameters, and curves of them, for tests of fits."""

import numpy as np
from jaxtyping import Array, Float

from hfsim.io import Trace
from hfsim.parameters import PhysicalModel, parameter
from hfsim.studies.calibration import Prediction


class Line(PhysicalModel):
    """y = a + b x."""

    a: Float[Array, ""] = parameter(unit="uA", bounds=(-100.0, 100.0), doc="offset")
    b: Float[Array, ""] = parameter(unit="uS", bounds=(-100.0, 100.0), doc="slope")


class Decay(PhysicalModel):
    """y = A k exp(-x/tau): A and k are told together only."""

    A: Float[Array, ""] = parameter(unit="uA", bounds=(0.01, 100.0), doc="amplitude")
    k: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 10.0), doc="gain")
    tau: Float[Array, ""] = parameter(unit="V", bounds=(1e-2, 1e2), doc="decay", logarithmic=True)
    idle: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 1.0), doc="without effect", default=0.5)


LINE = Prediction(lambda model, trace: model.a + model.b * trace["voltage"], "current")
DECAY = Prediction(lambda m, trace: m.A * m.k * _exp(-trace["voltage"] / m.tau), "current")


def _exp(x):
    import jax.numpy as jnp

    return jnp.exp(x)


def curve(x, y, name="curve", **columns):
    """A trace of current [uA] over voltage [V]."""
    values = {"voltage": np.asarray(x, float), "current": np.asarray(y, float), **columns}
    return Trace(name, "sweep", values, {"voltage": "V", "current": "uA"} | dict.fromkeys(columns, "uA"))
