"""Piecewise step: the step over the window from a measured table.

    Delta = a_up (1 - q) v_up[i] + a_up q v_up[i + 1]    with i + q = (n - 1) (w - w_min)/(w_max - w_min)

and likewise down: n nodes share the window evenly, its ends included. `fit_ramps` makes such a device from measured
ramps of identical pulses. `pulses` scans. The interpolation sums all nodes, without a gather, so its cost grows with n;
the step has a kink at each node, where its derivative is that of one side.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from hfsim.devices.pulsed.interface import AbstractPulsedDevice, once
from hfsim.devices.pulsed.noise import AdditiveNoise
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter


class StepTable(PhysicalModel):
    """Steps at even nodes over the window, over a_up and a_down; leading axis nodes, then the devices' shape if any."""

    up: Float[Array, "nodes ..."] = parameter(unit="1", bounds=(-100.0, 100.0), doc="steps up over a_up")
    down: Float[Array, "nodes ..."] = parameter(unit="1", bounds=(-100.0, 100.0), doc="steps down over a_down")

    def __check_init__(self):
        shapes = np.shape(self.up), np.shape(self.down)
        if any(isinstance(t, Tracer) for t in (self.up, self.down)):
            return
        if any(len(s) < 1 or s[0] < 2 for s in shapes) or shapes[0][0] != shapes[1][0]:
            raise InputError("StepTable.up, StepTable.down", "have the same number of nodes, at least 2", shapes)


class PiecewiseStep(AbstractPulsedDevice):
    """A pulsed device whose step is interpolated in a table."""

    table: StepTable = eqx.field(kw_only=True)

    def magnitude(self, w, up):
        nodes = self.table.up.shape[0]
        place = (w - self.w_min) / jnp.maximum(self.w_max - self.w_min, 1e-6) * (nodes - 1)
        place = once(jnp.clip(place, 0, nodes - 1))
        return self.scale(up) * _interpolated(place, up, self.table.up, self.table.down)


@jax.custom_jvp
def _interpolated(place, up, table_up, table_down):
    """Linear interpolation at `place` in the table up or down, written out over the nodes."""
    step = 0.0
    for i in range(table_up.shape[0]):
        step = step + jnp.maximum(1 - jnp.abs(place - i), 0) * jnp.where(up, table_up[i], table_down[i])
    return step


@_interpolated.defjvp
def _interpolated_jvp(primals, tangents):
    # the slope between two nodes, and the tables' tangents as sums over an axis of nodes: their transpose is one pass
    # over the devices for all nodes, where XLA makes one for each term that is written out
    (place, up, *tables), (d_place, _, *d_tables) = primals, tangents
    nodes = tables[0].shape[0]
    value, slope = jax.jvp(lambda p: _interpolated.__wrapped__(p, up, *tables), (place,), (d_place,))
    hats = jnp.maximum(1 - jnp.abs(place[..., None] - jnp.arange(nodes, dtype=place.dtype)), 0)
    d_up, d_down = (jnp.moveaxis(d, 0, -1) for d in d_tables)
    return value, slope + jnp.sum(hats * jnp.where(up[..., None], d_up, d_down), -1)


def fit_ramps(up: Sequence[np.ndarray], down: Sequence[np.ndarray], *, nodes: int = 8) -> PiecewiseStep:
    """A piecewise device from measured ramps, by least squares on the change per pulse.

    The window of all ramps becomes w in [-1, 1]. What is left of the changes is split by its covariance c from one
    pulse to the next: an error of reading or writing appears in two changes with opposite signs, so sigma_write^2 = -c,
    and var + 2 c is the noise of the step itself.

    Args:
        up, down: conductance [uS] after each pulse of ramps up and down, one array per ramp, at least 3 values each.
        nodes: of the table.

    Raises:
        InputError: no ramp in a direction, or a ramp that is too short or not finite.
    """
    for name, ramps in (("up", up), ("down", down)):
        if not ramps or any(np.ndim(r) != 1 or len(r) < 3 or not np.all(np.isfinite(r)) for r in ramps):
            raise InputError(name, "hold ramps of at least 3 finite conductances", f"{len(ramps)} ramps")
    G_min = min(float(np.min(r)) for r in (*up, *down))
    G_max = max(float(np.max(r)) for r in (*up, *down))
    g = (G_max - G_min) / 2
    tables, residuals = [], []
    for ramps, sign in ((up, 1.0), (down, -1.0)):
        weights = [(np.asarray(r, np.float64) - G_min) / g - 1 for r in ramps]
        hats = [_hats(w[:-1], nodes) for w in weights]
        steps = [sign * np.diff(w) for w in weights]
        table = np.linalg.lstsq(np.concatenate(hats), np.concatenate(steps), rcond=None)[0]
        tables.append(table)
        residuals += [s - h @ table for s, h in zip(steps, hats, strict=True)]
    dw_min = float(np.mean(np.abs(tables)))
    variance = float(np.mean(np.concatenate(residuals) ** 2))
    covariance = float(np.mean(np.concatenate([e[:-1] * e[1:] for e in residuals])))
    return PiecewiseStep(
        dw_min=jnp.asarray(dw_min),
        up_down=jnp.asarray(0.0),
        w_min=jnp.asarray(-1.0),
        w_max=jnp.asarray(1.0),
        G_0=jnp.asarray(G_min + g),
        g=jnp.asarray(g),
        noise=AdditiveNoise(jnp.asarray(np.sqrt(max(variance + 2 * covariance, 0.0)) / dw_min)),
        sigma_write=jnp.asarray(np.sqrt(max(-covariance, 0.0))),
        table=StepTable(jnp.asarray(tables[0] / dw_min), jnp.asarray(tables[1] / dw_min)),
    )


def _hats(w: np.ndarray, nodes: int) -> np.ndarray:
    place = (w + 1) / 2 * (nodes - 1)
    return np.maximum(1 - np.abs(place[:, None] - np.arange(nodes)), 0)
