"""Measurements of a device: functions that apply a waveform and return the trace."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.devices.ferroelectric.capacitor import FerroelectricCapacitor, FerroelectricState
from hfsim.devices.pulse import Pulse
from hfsim.errors import InputError


class HysteresisLoop(NamedTuple):
    """A P-E loop: voltage [V], field [MV/cm], polarisation with the dielectric part removed [uC/cm2]."""

    voltage: Float[Array, " steps"]
    field: Float[Array, " steps"]
    polarisation: Float[Array, "steps *devices"]


def hysteresis_loop(
    capacitor: FerroelectricCapacitor, amplitude: float, period: float, *, steps: int = 400, cycles: int = 2
) -> HysteresisLoop:
    """The last of `cycles` triangular cycles of `amplitude` [V] and `period` [ns], from saturation down.

    The triangle is a staircase of `steps` equal steps a cycle; the loop's coercive field moves by about
    half a step's height of field.

    Raises:
        InputError: `steps` is no multiple of 4, or `cycles` is below 1.
    """
    if steps < 8 or steps % 4:
        raise InputError("steps", "be a multiple of 4, at least 8", steps)
    if cycles < 1:
        raise InputError("cycles", "be at least 1", cycles)
    quarter = jnp.arange(1, steps // 4 + 1) / (steps // 4)
    triangle = jnp.concatenate([quarter, 1 - quarter, -quarter, quarter - 1]) * amplitude
    width = jnp.asarray(period / steps)

    def step(state: FerroelectricState, voltage):
        state = capacitor.apply(state, Pulse(voltage, width))
        return state, capacitor.polarisation(state)

    start = capacitor.init(jnp.shape(capacitor.P_r))
    _, trace = jax.lax.scan(step, start, jnp.tile(triangle, cycles))
    return HysteresisLoop(triangle, capacitor.field(triangle), trace[-steps:])
