"""What a ferroelectric capacitor becomes: endurance, retention bake and imprint, as an instrument measures them.

Each returns a labelled trace, a named tuple whose `UNITS` give the unit of each field.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from hfsim.devices.ferroelectric.capacitor import FerroelectricCapacitor, FerroelectricState
from hfsim.devices.ferroelectric.measurements import pund, transient
from hfsim.devices.pulse import Pulse
from hfsim.devices.waveform import triangle
from hfsim.errors import InputError
from hfsim.units import ROOM_TEMPERATURE


class Endurance(NamedTuple):
    """2 P_r by PUND after a number of bipolar cycles; `broken` is 1.0 of a broken device."""

    cycles: Float[Array, " stages"]
    switched: Float[Array, "stages *devices"]
    broken: Float[Array, "stages *devices"]

    UNITS = {"cycles": "1", "switched": "uC/cm2", "broken": "1"}


class RetentionBake(NamedTuple):
    """Polarisation of either stored state after a time at a temperature."""

    time: Float[Array, " times"]
    up: Float[Array, "times *devices"]
    down: Float[Array, "times *devices"]

    UNITS = {"time": "s", "up": "uC/cm2", "down": "uC/cm2"}


class ImprintTrace(NamedTuple):
    """Coercive voltages of the loop after a time in the stored state, and their mean's shift since the first loop."""

    time: Float[Array, " times"]
    negative: Float[Array, "times *devices"]
    positive: Float[Array, "times *devices"]
    shift: Float[Array, "times *devices"]

    UNITS = {"time": "s", "negative": "V", "positive": "V", "shift": "V"}


def _rising(name: str, values) -> np.ndarray:
    values = np.atleast_1d(np.asarray(values, float))
    if values.ndim != 1 or np.any(np.diff(values) <= 0) or values[0] < 0 or not np.all(np.isfinite(values)):
        raise InputError(name, "be finite numbers >= 0 that rise", values)
    return values


def _fresh(capacitor, state, key, up) -> FerroelectricState:
    return capacitor.init(jnp.shape(capacitor.P_r), key, up=up) if state is None else state


def endurance(
    capacitor: FerroelectricCapacitor,
    pulse: Pulse,
    cycles,
    *,
    state: FerroelectricState | None = None,
    key: Key[Array, ""] | None = None,
    stages_per_decade: int = 4,
    temperature=ROOM_TEMPERATURE,
) -> tuple[FerroelectricState, Endurance]:
    """Cycle with bipolar pulses and measure by PUND with the same pulses at each number of `cycles`.

    Between two measurements the cycles are applied in stages, `stages_per_decade` in a decade; within a stage one
    cycle stands for all (`FerroelectricCapacitor.cycle`).
    """
    counts = _rising("cycles", cycles)
    last = counts[-1]
    grid = np.geomspace(1.0, max(last, 1.0), 1 + int(stages_per_decade * np.log10(max(last, 10.0))))
    ends = np.unique(np.concatenate([counts, grid]))
    ends = ends[(ends > 0) & (ends <= last)]
    measured = jnp.asarray(np.searchsorted(ends, counts[counts > 0]))
    state = _fresh(capacitor, state, key, 0.0)

    def look(state):
        after, seen = pund(capacitor, pulse.voltage, pulse.width, state=state, temperature=temperature)
        wear = None if after.wear is None else after.wear.damage
        broken = jnp.zeros_like(seen.switched_positive) if wear is None else wear.broken
        return 0.5 * (seen.switched_positive + seen.switched_negative), broken

    def stage(state, more):
        state = capacitor.cycle(state, pulse, more, temperature=temperature)
        return state, look(state)

    parts = [jax.tree.map(lambda y: y[None], look(state))] if counts[0] == 0 else []
    if ends.size:
        more = jnp.asarray(np.diff(ends, prepend=0.0), capacitor.P_r.dtype)
        state, seen = jax.lax.scan(stage, state, more)
        parts.append(jax.tree.map(lambda x: x[measured], seen))
    seen = jax.tree.map(lambda *x: jnp.concatenate(x), *parts)
    return state, Endurance(jnp.asarray(counts), *seen)


def retention_bake(
    capacitor: FerroelectricCapacitor,
    pulse: Pulse,
    times,
    temperature,
    *,
    state: FerroelectricState | None = None,
    key: Key[Array, ""] | None = None,
) -> RetentionBake:
    """Write either state with `pulse` and bake it for `times` [s] at `temperature` [K]; polarisation after each.

    The read is the polarisation itself: it disturbs nothing, so one device is followed through all times.
    """
    seconds = _rising("times", times)

    def baked(bit):
        written = capacitor.write(_fresh(capacitor, state, key, 0.0), bit, pulse)

        def wait(state, more):
            state = capacitor.wait(state, more, temperature)
            return state, capacitor.polarisation(state)

        return jax.lax.scan(wait, written, jnp.asarray(np.diff(seconds, prepend=0.0), capacitor.P_r.dtype))[1]

    return RetentionBake(jnp.asarray(seconds), baked(0), baked(1))


def _crossing(voltage, polarisation):
    """Voltage at which a branch first changes the sign of P, by linear interpolation."""
    changes = polarisation[1:] * polarisation[:-1] <= 0
    at = jnp.argmax(changes, axis=0)[None]
    low, high = (jnp.take_along_axis(polarisation, at + k, axis=0)[0] for k in (0, 1))
    step = high - low
    share = jnp.where(step == 0, 0.5, -low / jnp.where(step == 0, 1.0, step))
    return voltage[at[0]] + share * (voltage[at[0] + 1] - voltage[at[0]])


def imprint_test(
    capacitor: FerroelectricCapacitor,
    pulse: Pulse,
    times,
    temperature,
    *,
    bit: int = 0,
    period=1e5,
    steps: int = 200,
    state: FerroelectricState | None = None,
    key: Key[Array, ""] | None = None,
) -> ImprintTrace:
    """Store `bit`, keep it for `times` [s] at `temperature` [K], and measure the loop's coercive voltages after each.

    Each time has its own device: a loop would erase part of the imprint. Loops are triangles of the pulse's amplitude
    and of `period` [ns] at 300 K; coercive voltages are those of the first full branch down and the branch up after it.
    """
    seconds = _rising("times", times)
    written = capacitor.write(_fresh(capacitor, state, key, 0.0), bit, pulse)

    waveform = triangle(pulse.voltage, period, steps=steps, cycles=2)
    falling, rising = slice(steps // 4, 3 * steps // 4), slice(3 * steps // 4, 5 * steps // 4)

    def coercive(time):
        kept = capacitor.wait(written, time, temperature)
        _, seen = transient(capacitor, kept, waveform)
        return tuple(_crossing(seen.voltage[part], seen.polarisation[part]) for part in (falling, rising))

    negative, positive = jax.lax.map(coercive, jnp.asarray(seconds, capacitor.P_r.dtype))
    middle = 0.5 * (negative + positive)
    return ImprintTrace(jnp.asarray(seconds), negative, positive, middle - middle[0])
