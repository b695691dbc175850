"""Waveforms of any shape, as trains of rectangular pulses.

A waveform is piecewise linear between corners (time, voltage). A constant piece is one pulse, exactly. A ramp is cut
into equal steps, each a pulse at its middle voltage: the error of what accumulates over it falls with the square of
the number of steps (for the hybrid chip's FeCAP and a ramp of 3 V in 100 us, below 0.1 % of 2 P_r with 100 steps). Two
corners at one time are a vertical edge.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from hfsim.devices.pulse import Pulse
from hfsim.errors import InputError


class Waveform(NamedTuple):
    """A train of pulses, and the time [ns] and voltage [V] of the waveform at the end of each."""

    train: Pulse
    time: Float[Array, " pulses"]
    voltage: Float[Array, " pulses"]


def piecewise_linear(times, voltages, *, steps: int = 100) -> Waveform:
    """A waveform through corners.

    Args:
        times: of the corners, shape (corners), rising or equal [ns].
        voltages: at the corners, shape (corners) [V].
        steps: pulses of each ramp. Where `voltages` are concrete, a constant piece is one pulse.

    Raises:
        InputError: fewer than two corners, times that fall, or `steps` below 1.
    """
    times, voltages = jnp.asarray(times, float), jnp.asarray(voltages, float)
    if times.ndim != 1 or times.shape != voltages.shape or times.size < 2:
        raise InputError("times", "name two corners or more, one for each voltage", f"{times.shape}, {voltages.shape}")
    if not isinstance(steps, int) or steps < 1:
        raise InputError("steps", "be an integer >= 1", repr(steps))
    durations = jnp.diff(times)
    traced = isinstance(times, Tracer) or isinstance(voltages, Tracer)  # then every piece is taken for a ramp
    concrete = None if traced else (np.asarray(durations), np.asarray(voltages))
    if concrete is not None and np.any(concrete[0] < 0):
        raise InputError("times", "rise from corner to corner", "an array that falls")
    middles, ends, widths = [], [], []
    for piece in range(times.size - 1):
        start, stop = voltages[piece], voltages[piece + 1]
        if concrete is not None and concrete[0][piece] == 0:
            continue
        count = 1 if concrete is not None and concrete[1][piece] == concrete[1][piece + 1] else steps
        share = np.arange(1, count + 1) / count
        middles.append(start + (stop - start) * (share - 0.5 / count))
        ends.append(start + (stop - start) * share)
        widths.append(jnp.full(count, 1 / count) * durations[piece])
    width = jnp.concatenate(widths)
    return Waveform(Pulse(jnp.concatenate(middles), width), times[0] + jnp.cumsum(width), jnp.concatenate(ends))


def triangle(amplitude, period, *, steps: int = 400, cycles: int = 1) -> Waveform:
    """`cycles` bipolar triangles of `amplitude` [V] and `period` [ns], up first, of `steps` pulses each.

    Raises:
        InputError: `steps` is no multiple of 4 of at least 8, or `cycles` is below 1.
    """
    if not isinstance(steps, int) or steps < 8 or steps % 4:
        raise InputError("steps", "be a multiple of 4, at least 8", steps)
    if not isinstance(cycles, int) or cycles < 1:
        raise InputError("cycles", "be at least 1", cycles)
    corner = np.concatenate([np.tile([0.0, 1.0, 0.0, -1.0], cycles), [0.0]])
    quarters = steps // 4
    share = np.arange(1, quarters + 1) / quarters
    ends = np.concatenate([a + (b - a) * share for a, b in zip(corner[:-1], corner[1:], strict=True)])
    middles = np.concatenate([a + (b - a) * (share - 0.5 / quarters) for a, b in zip(corner, corner[1:], strict=False)])
    width = jnp.full(ends.size, 1 / steps) * period
    return Waveform(Pulse(jnp.asarray(middles) * amplitude, width), jnp.cumsum(width), jnp.asarray(ends) * amplitude)
