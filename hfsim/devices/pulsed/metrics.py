"""The numbers by which an array of pulsed devices is judged, from any of its models.

    symmetry point   w* where a pulse up and one down are of one mean size
    states           (w_max - w_min)/Delta(w*)
    skew             (w_max - w*)/(w_max - w_min): 0.5 is centred, more means that steps down are the steeper ones
    NSR              deviation over mean of a change at w*, as read: sqrt(std^2 + 2 sigma_write^2)/Delta(w*), mean
                     of both directions

Write noise enters a change twice, with the write before and the write after. All have gradients, by the implicit
derivative of w*.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.devices.pulsed.interface import AbstractPulsedDevice
from hfsim.roots import increasing_root

_RESTORING = 1e-6  # of dw_min per unit of weight


class PulsedMetrics(NamedTuple):
    """States, skew, noise-to-signal ratio and the weight of the symmetry point, each of the devices' shape."""

    states: Float[Array, "*devices"]
    skew: Float[Array, "*devices"]
    nsr: Float[Array, "*devices"]
    symmetry_point: Float[Array, "*devices"]


def symmetry_point(device: AbstractPulsedDevice) -> Float[Array, "*devices"]:
    """Weight at which mean steps up and down are equal.

    Where steps down are the larger ones over the whole window it is its lower end, and conversely; where they are
    equal everywhere it is the middle.
    """
    w_min, w_max = jnp.broadcast_arrays(device.w_min, device.w_max)
    shape = jnp.broadcast_shapes(w_min.shape, device.magnitude(w_min, jnp.asarray(True)).shape)
    w_min, w_max = jnp.broadcast_to(w_min, shape), jnp.broadcast_to(w_max, shape)

    def excess(w):
        down, up = device.magnitude(w, jnp.zeros(shape, bool)), device.magnitude(w, jnp.ones(shape, bool))
        return (down - up) / device.dw_min + _RESTORING * (w - 0.5 * (w_min + w_max))

    return increasing_root(excess, w_min, w_max)


def at_symmetry_point[Device: AbstractPulsedDevice](device: Device, *, error=0.0) -> Device:
    """The device read against a reference at its symmetry point, off by `error` (a weight, of the devices' shape)."""
    return device.with_reference(symmetry_point(device) + error)


def pulsed_metrics(device: AbstractPulsedDevice) -> PulsedMetrics:
    """States, skew and noise-to-signal ratio at the symmetry point."""
    w = symmetry_point(device)
    directions = jnp.ones(w.shape, bool), jnp.zeros(w.shape, bool)
    steps = [device.magnitude(w, up) for up in directions]
    mean = 0.5 * (steps[0] + steps[1])
    noise = [jnp.sqrt(device.noise.deviation(s, w, device.dw_min) ** 2 + 2 * device.sigma_write**2) for s in steps]
    ratio = 0.5 * (noise[0] / steps[0] + noise[1] / steps[1])
    span = device.w_max - device.w_min
    return PulsedMetrics(span / mean, (device.w_max - w) / span, ratio, w)
