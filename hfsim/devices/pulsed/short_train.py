"""A few pulses of a linear device with additive noise at once, quickly: the bounds are seen after the last one.

In x, the weight counted in the direction of the pulses, with Delta(x) = a - k x, m pulses without bounds are

    x_m = x + Delta(x) S_m + s sqrt(V_m) N,    S_m = [1 - (1 - k)^m]/k,    V_m = S_m [1 + (1 - k)^m]/(2 - k)

exactly, and x_m is then cut at the window. One pulse is the device's own step. Of several, mean, variance and skew are
right away from the bounds; at one, the noise of each pulse should have been cut by itself: the mean is then off by at
most 1.3 of one pulse's noise s (31 fine pulses into the bound), the deviation by at most a tenth of the larger of s and
itself, the skew by at most 0.7 (measured from k = 0.002 to 0.5, noise from a fifth of a step to four steps, up to 31
pulses). `coarseness` is s over the window.

`hfsim.devices.pulsed.aggregate` is nearer at the bounds, for long trains, and costs ten times as much.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from hfsim.devices.pulsed.aggregate import AbstractLinearDevice
from hfsim.devices.pulsed.interface import AbstractPulsedDevice, clipped
from hfsim.devices.pulsed.noise import AdditiveNoise

_MOST_K = 0.999  # for powers of 1 - k: beyond its own fixed point a step alternates, and only one pulse is right
_LEAST_K = 1e-6
_SMALL = 0.03


def has_short_form(device: AbstractPulsedDevice) -> bool:
    """Whether `device` is linear and its noise additive."""
    return isinstance(device, AbstractLinearDevice) and isinstance(device.noise, AdditiveNoise)


def coarseness(device: AbstractPulsedDevice) -> float | None:
    """Noise of a step over the window, mean over devices; None without a short form, or where it is traced."""
    if not isinstance(device, AbstractLinearDevice) or not isinstance(device.noise, AdditiveNoise):
        return None
    parts = device.noise.sigma, device.dw_min, device.w_max, device.w_min
    if any(isinstance(part, Tracer) for part in parts):
        return None
    sigma, dw_min, w_max, w_min = (np.asarray(part) for part in parts)
    return float(np.mean(sigma * dw_min / np.maximum(w_max - w_min, 1e-12)))


class _Direction(NamedTuple):
    """Steps of one direction: a, k, ln(1 - k), its ratio to -k, both ends of the window."""

    a: Float[Array, "..."]
    k: Float[Array, "..."]
    log_kept: Float[Array, "..."]
    ratio: Float[Array, "..."]
    low: Float[Array, "..."]
    high: Float[Array, "..."]


class ShortTrains(NamedTuple):
    """A device's numbers, made once for many trains."""

    up: _Direction
    down: _Direction
    s: Float[Array, "..."]

    def moved(
        self, w: Float[Array, "*devices"], counts: Int[Array, "*devices"], xi: Float[Array, "*devices"]
    ) -> Float[Array, "*devices"]:
        """Weights after signed numbers of pulses; `xi` is one normal number for each device."""
        up, m = counts > 0, jnp.abs(counts).astype(w.dtype)
        forwards = jnp.where(up, 1, -1).astype(w.dtype)
        a, k, log_kept, of_k, low, high = (jnp.where(up, *pair) for pair in zip(self.up, self.down, strict=True))
        x, several = forwards * w, m > 1
        exponent = m * log_kept
        kept = jnp.exp(exponent)
        # (1 - e^y)/(-y), which loses its digits for small y
        small = jnp.abs(exponent) < _SMALL
        ratio = jnp.where(small, 1 + exponent * (0.5 + exponent / 6), (kept - 1) / jnp.where(small, 1.0, exponent))
        S = jnp.where(several, m * ratio * of_k, 1.0)
        V = jnp.where(several, S * (1 + kept) / (2 - jnp.minimum(k, _MOST_K)), 1.0)
        after = clipped(x + (a - k * x) * S + self.s * jnp.sqrt(V) * xi, low, high)
        return jnp.where(counts == 0, w, forwards * after)


def short_trains(device: AbstractLinearDevice) -> ShortTrains:
    """The numbers of `device`, whose noise is additive."""
    assert isinstance(device.noise, AdditiveNoise), "`coarseness` says which devices have a short form"

    def direction(up):
        a = device.scale(up)
        k = a * device.slope(up)
        capped = jnp.minimum(k, _MOST_K)
        log_kept, even = jnp.log1p(-capped), jnp.abs(k) < _LEAST_K
        of_k = jnp.where(even, 1.0, -log_kept / jnp.where(even, 1.0, capped))
        ends = (device.w_min, device.w_max) if up else (-device.w_max, -device.w_min)
        return _Direction(a, k, log_kept, of_k, *(jnp.asarray(end, a.dtype) for end in ends))

    made = ShortTrains(direction(True), direction(False), device.noise.sigma * device.dw_min)
    return jax.lax.optimization_barrier(made)
