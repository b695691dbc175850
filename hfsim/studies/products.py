"""A ready experiment: how wrong the products of a programmed array are, from programming to ten years.

W and the input vectors are uniform in [-1, 1], each chip with its own, as in the benchmark that was published for
CMO/HfOx (D. F. Falcone et al., Adv. Funct. Mater. (2025), doi 10.1002/adfm.202504688):

    error(t) = sqrt{mean [(x W)_chip at t - x W]^2}
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from hfsim.crossbar import Cells, Kernel
from hfsim.devices.retention import AbstractRetention, CMORetention
from hfsim.draws import stream
from hfsim.io.store import Coordinate
from hfsim.studies.labels import Output
from hfsim.units import seconds

TIMES = ("1 s", "1 h", "1 day", "1 week", "1 month", "1 year", "10 years")


class ProductError(eqx.Module):
    """Root mean square error of x W at several times; devices are an array's retention model.

        study = monte_carlo(ProductError(kernel), Fixed(CMORetention.from_card(card)), 100_000, key)

    Args:
        kernel: of the array, with its converters; reads are without noise.
        size: rows and outputs.
        vectors: inputs.
        times: since programming, rising.
        coarse: whether relaxation takes 16-bit normals, which end at 4.32 deviations, at less than half of the price
            (`hfsim.draws.coarse_normals`); CMO/HfOx alone. For means and spreads, not for rare chips.
    """

    kernel: Kernel
    size: int = eqx.field(static=True, default=64)
    vectors: int = eqx.field(static=True, default=100)
    times: tuple[str, ...] = eqx.field(static=True, default=TIMES)
    coarse: bool = eqx.field(static=True, default=False)

    outputs: ClassVar[dict[str, Output]] = {"error": Output("1", ("time",), "root mean square error of x W")}

    @property
    def seconds(self) -> Float[np.ndarray, " times"]:
        """The times [s]."""
        return np.array([seconds(time) for time in self.times])

    @property
    def coordinates(self) -> dict[str, Coordinate]:
        """Labels of the dimension `time`."""
        return {"time": Coordinate(self.seconds, "s")}

    def __call__(self, retention: AbstractRetention, key: Key[Array, ""]) -> dict[str, Float[Array, " times"]]:
        """Errors of the array that `key` programs and gives its weights and inputs."""
        W = jax.random.uniform(stream(key, "weights"), (self.size, self.size), minval=-1, maxval=1)
        x = jax.random.uniform(stream(key, "inputs"), (self.vectors, self.size), minval=-1, maxval=1)
        ideal = jnp.matmul(x, W, precision=jax.lax.Precision.HIGHEST)
        targets = self.kernel.encoding.targets(W)
        state = retention.program(retention.init(targets.shape, stream(key, "devices")), targets)
        if isinstance(retention, CMORetention):
            G = retention.snapshots(state, jnp.asarray(self.seconds, W.dtype), coarse=self.coarse)
        else:
            aged = (retention.wait(state, float(time)) for time in self.seconds)
            G = jnp.stack([retention.conductance(one) for one in aged])
        y = jax.vmap(lambda G: self.kernel(Cells(G), x))(G)
        return {"error": jnp.sqrt(jnp.mean(jnp.square(y - ideal), axis=(1, 2)))}
