"""What the digital side does about drift: corrections from calibration reads, and targets that allow for the mean law.

    y_j  ->  f_j y_j + c_j sum_i x_i           (the same as weights w_ij -> f_j w_ij + c_j)

The factor f answers drift in proportion to the conductance (phase change), the common part c a shift that all devices
of a column share (CMO/HfOx, one device per weight). Both come from reads of known inputs, Y_0 right after programming
and Y_t at the time of use, through the same converters, noise and wires as any other read:

    factor   f = sum |Y_0| / sum |Y_t|                over inputs of +-a, as many of each sign: blind to a common shift
    common   c = mean(Y_0 - f Y_t)/(a rows)           over inputs that are all a: the mean shift of the column

for the whole array (the sums then run over outputs too) or for each column. f for the whole array is the global drift
compensation of V. Joshi et al., Nature Communications 11, 2473 (2020) and M. Le Gallo et al., IEEE Trans. Electron
Devices 65, 4304 (2018); with `count` vectors in place of one. A reference column is an encoding
(`hfsim.crossbar.ReferenceColumn`) and needs no reads.

Without reads, `Overshoot` programs the conductance whose *mean* at a chosen time is the wanted one.

Traps: f has the spread of the devices in Y_t, so it rather restores the mean magnitude than minimises the error; what
saturates a converter in calibration biases both (take a smaller `amplitude`); a reference taken of the wanted weights
(`calibrate` with the encoding's targets and no key) also removes what programming got wrong in common.
"""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Key

from hfsim.circuits.converters import clipped
from hfsim.crossbar.kernel import Cells, Kernel
from hfsim.devices.relaxation import Clock
from hfsim.devices.retention import AbstractRetention, RetentionState
from hfsim.draws import address, require_key, stream
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter
from hfsim.roots import increasing_root
from hfsim.units import ROOM_TEMPERATURE

EXTENTS = ("none", "array", "column")


class Correction(eqx.Module):
    """Digital factor and common part of each output of an array."""

    factor: Float[Array, "*arrays outputs"]
    common: Float[Array, "*arrays outputs"]

    def outputs(
        self, y: Float[Array, "*batch outputs"], x: Float[Array, "*batch rows"]
    ) -> Float[Array, "*batch outputs"]:
        """Corrected outputs of one array for its inputs `x`: a multiplication and an addition for each output."""
        return self.factor * y + self.common * jnp.sum(x, axis=-1, keepdims=True)

    def weights(self, w: Float[Array, "*arrays rows outputs"]) -> Float[Array, "*arrays rows outputs"]:
        """The weights that an array with this correction computes with, converters aside."""
        return self.factor[..., None, :] * w + self.common[..., None, :]


class DriftCompensation(PhysicalModel):
    """Factor and common part for nothing ("none"), the whole array ("array") or each output ("column").

    `count` vectors are read for each of the two that is asked for, at programming and at every use: more of them
    average the read noise (not the converters' rounding) and cost time and energy. Arrays with leading axes (tiles,
    groups) are calibrated each by itself, array number i with the key (key, i).
    """

    factor: Literal["none", "array", "column"] = eqx.field(static=True, default="array")
    common: Literal["none", "array", "column"] = eqx.field(static=True, default="none")
    count: int = eqx.field(static=True, kw_only=True, default=8)
    amplitude: Float[Array, ""] = parameter(
        unit="1", bounds=(1e-3, 1e3), doc="magnitude of the calibration inputs", default=1.0
    )

    def __check_init__(self):
        for name in ("factor", "common"):
            if getattr(self, name) not in EXTENTS:
                raise InputError(f"DriftCompensation.{name}", f"be one of {', '.join(EXTENTS)}", getattr(self, name))
        if self.factor == self.common == "none":
            raise InputError("DriftCompensation.factor, common", "not both be 'none'", "'none'", "leave it out")
        if not isinstance(self.count, int) or isinstance(self.count, bool) or self.count < 1:
            raise InputError("DriftCompensation.count", "be an integer >= 1", repr(self.count))

    @property
    def reads(self) -> int:
        """Vectors read by one `calibrate`, and by one `correction`."""
        return self.count * ((self.factor != "none") + (self.common != "none"))

    def inputs(self, rows: int) -> Float[Array, "reads rows"]:
        """The calibration inputs of an array: first those of the factor, then those of the common part."""
        parts = []
        if self.factor != "none":
            if rows < 2:
                raise InputError("rows", "be at least 2 to calibrate a factor", rows, "calibrate the common part")
            signs = np.where(np.arange(rows) < rows // 2, 1.0, -1.0) * (np.arange(rows) < rows - rows % 2)
            parts.append(np.random.default_rng(0).permuted(np.tile(signs, (self.count, 1)), axis=1))
        if self.common != "none":
            parts.append(np.ones((self.count, rows)))
        return self.amplitude * jnp.asarray(np.concatenate(parts), self.amplitude.dtype)

    def calibrate(
        self, kernel: Kernel, cells: Cells, key: Key[Array, ""] | None
    ) -> Float[Array, "*arrays reads outputs"]:
        """What the calibration inputs give at programming; to be kept in digital memory.

        Args:
            kernel: periphery of the array.
            cells: conductances and read noise, with any leading axes.
            key: of these reads; None reads without noise.
        """
        return _over_arrays(self._read, kernel, cells, None if key is None else stream(require_key(key), "reference"))

    def correction(
        self, kernel: Kernel, cells: Cells, reference: Float[Array, "*arrays reads outputs"], key: Key[Array, ""] | None
    ) -> Correction:
        """The correction that brings the reads of today back to `reference`; `cells` as they are now.

        Raises:
            InputError: a reference of another number of reads, or of other arrays.
        """
        now = _over_arrays(self._read, kernel, cells, None if key is None else stream(require_key(key), "use"))
        if jnp.shape(reference) != now.shape:
            raise InputError("reference", f"be of shape {now.shape}, as `calibrate` makes it", jnp.shape(reference))
        n = self.count if self.factor != "none" else 0
        factor = self._ratio(reference[..., :n, :], now[..., :n, :])
        common = self._shift(reference[..., n:, :] - factor[..., None, :] * now[..., n:, :], cells.G.shape[-2])
        return Correction(factor, common)

    def corrected(self, kernel: Kernel, cells: Cells, reference: Any, key: Key[Array, ""] | None) -> "CorrectedCells":
        """The cells with their correction, for a `CorrectedKernel`."""
        return CorrectedCells(cells.G, cells.sigma, self.correction(kernel, cells, reference, key))

    def _read(self, kernel: Kernel, cells: Cells, key):
        return kernel(cells, self.inputs(cells.G.shape[0]), key)

    def _ratio(self, before, now):
        outputs = now.shape[:-2] + now.shape[-1:]
        if self.factor == "none":
            return jnp.ones(outputs, now.dtype)
        axes = (-2, -1) if self.factor == "array" else -2
        before, now = (jnp.sum(jnp.abs(y), axis=axes, keepdims=True)[..., 0, :] for y in (before, now))
        seen = now > 0
        return jnp.broadcast_to(jnp.where(seen, before / jnp.where(seen, now, 1.0), 1.0), outputs)

    def _shift(self, change, rows: int):
        outputs = change.shape[:-2] + change.shape[-1:]
        if self.common == "none":
            return jnp.zeros(outputs, change.dtype)
        mean = jnp.mean(change, axis=(-2, -1) if self.common == "array" else -2, keepdims=True)[..., 0, :]
        return jnp.broadcast_to(mean / (self.amplitude * rows), outputs)


class CorrectedCells(eqx.Module):
    """An array and the correction of its outputs; leading axes are tiles."""

    G: Float[Array, "*arrays rows columns"]
    sigma: Float[Array, "*arrays rows columns"] | None
    correction: Correction


class CorrectedKernel(eqx.Module):
    """A kernel followed by the correction that its `CorrectedCells` carry; `hfsim.crossbar.multiply` takes it too."""

    kernel: Kernel

    def __call__(
        self, cells: CorrectedCells, x: Float[Array, "*batch rows"], key: Key[Array, ""] | None = None, *, first=0
    ) -> Float[Array, "*batch outputs"]:
        """x W as array and correction compute it."""
        y = self.kernel(Cells(cells.G, cells.sigma), x, key, first=first)
        return cells.correction.outputs(y, x)


class Overshoot(PhysicalModel):
    """Targets from which the mean law reaches the wanted conductance `seconds` after programming.

        E[G(seconds) | target'] = target,    target' inside [G_min, G_max]

    Before that time devices are off by what they have yet to lose, and after it by what they lost since. `G_min` and
    `G_max` bound what can be programmed; what has no target in there gets the nearer end, so an encoding needs a
    window inside `reachable`. The read-out of an additive law is shifted, that of a proportional one expanded.
    """

    seconds: Float[Array, ""] = parameter(unit="s", bounds=(0.0, 1e15), doc="time at which the mean is right")
    G_min: Float[Array, ""] = parameter(unit="uS", bounds=(0.0, 1e5), doc="least conductance that is programmed")
    G_max: Float[Array, ""] = parameter(unit="uS", bounds=(1e-6, 1e6), doc="largest conductance that is programmed")
    temperature: Float[Array, ""] = parameter(
        unit="K", bounds=(100.0, 600.0), doc="of the time until then", default=ROOM_TEMPERATURE
    )

    def __check_init__(self):
        if any(isinstance(G, Tracer) for G in (self.G_min, self.G_max)):
            return
        if not float(self.G_min) < float(self.G_max):
            raise InputError("Overshoot.G_min", "lie below G_max", f"{self.G_min} with G_max {self.G_max}")

    def mean(self, retention: AbstractRetention, target: Float[Array, "*devices"]) -> Float[Array, "*devices"]:
        """Mean conductance [uS] then of devices programmed to `target` [uS]."""
        blank = RetentionState(target, target, Clock.start(target.dtype), jnp.int32(1), jax.random.key(0))
        temperature: Any = self.temperature
        return retention.mean(retention.wait(blank, self.seconds, temperature))

    def reachable(self, retention: AbstractRetention) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """The least and the largest mean [uS] that can be had then."""
        return self.mean(retention, self.G_min), self.mean(retention, self.G_max)

    def __call__(self, retention: AbstractRetention, target: Float[Array, "*devices"]) -> Float[Array, "*devices"]:
        """What to program [uS] for `target` [uS]; differentiated implicitly, with no gradient beyond what is reachable.

        The mean must grow with the target, as in all models of `hfsim.devices.retention`.
        """
        low, high = self.reachable(retention)
        wanted = clipped(jnp.asarray(target), low, high)
        ends = (jnp.broadcast_to(G, wanted.shape).astype(wanted.dtype) for G in (self.G_min, self.G_max))
        return increasing_root(lambda G: self.mean(retention, G) - wanted, *ends)


def _over_arrays(read: Any, kernel: Kernel, cells: Cells, key):
    """`read(kernel, cells, key)` of each array of the leading axes."""
    leading = cells.G.shape[:-2]
    if not leading:
        return read(kernel, cells, key)
    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[-2:]), Cells(cells.G, cells.sigma))
    number = flat.G.shape[0]
    keys = None if key is None else jax.vmap(lambda i: address(key, i))(jnp.arange(number))
    y = jax.vmap(read, in_axes=(None, 0, 0))(kernel, flat, keys)
    return y.reshape(*leading, *y.shape[1:])
