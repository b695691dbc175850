"""What an instrument shows of a ferroelectric capacitor: loops, PUND, reversal curves, the switching map.

Each function applies a waveform and returns a labelled trace: a named tuple whose `UNITS` give the unit of each
field. All of them take capacitors with any kinetics, interface, series resistance, leakage or ageing, start from
`state` where one is given, and are differentiable in amplitudes, times and every parameter.

Q is the charge that an integrating amplifier collects: displacement and leakage.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from hfsim.devices.ferroelectric.capacitor import FerroelectricCapacitor, FerroelectricState
from hfsim.devices.pulse import Pulse
from hfsim.devices.train import checkpointed_scan
from hfsim.devices.waveform import Waveform, triangle
from hfsim.errors import InputError
from hfsim.units import CHARGE_OF_POLARISATION, ROOM_TEMPERATURE


class Transient(NamedTuple):
    """A driven capacitor, sampled at the end of each pulse of a waveform."""

    time: Float[Array, " samples"]
    voltage: Float[Array, " samples"]
    charge: Float[Array, "samples *devices"]
    current: Float[Array, "samples *devices"]
    polarisation: Float[Array, "samples *devices"]

    UNITS = {"time": "ns", "voltage": "V", "charge": "fC", "current": "uA", "polarisation": "uC/cm2"}


class HysteresisLoop(NamedTuple):
    """A P-E loop; `polarisation` has the dielectric part removed, `charge` is what the amplifier collects."""

    voltage: Float[Array, " steps"]
    field: Float[Array, " steps"]
    polarisation: Float[Array, "steps *devices"]
    charge: Float[Array, "steps *devices"]
    current: Float[Array, "steps *devices"]

    UNITS = {
        "voltage": "V",
        "field": "MV/cm",
        "polarisation": "uC/cm2",
        "charge": "fC",
        "current": "uA",
    }


class Pund(NamedTuple):
    """Charges of the four pulses and their differences, Q_P - Q_U and Q_N - Q_D, over the area: 2 P_r."""

    positive: Float[Array, "*devices"]
    up: Float[Array, "*devices"]
    negative: Float[Array, "*devices"]
    down: Float[Array, "*devices"]
    switched_positive: Float[Array, "*devices"]
    switched_negative: Float[Array, "*devices"]

    UNITS = dict.fromkeys(("positive", "up", "negative", "down"), "fC") | dict.fromkeys(
        ("switched_positive", "switched_negative"), "uC/cm2"
    )


class ReversalCurves(NamedTuple):
    """First-order reversal curves: P at `voltage` on the way up from each `reversal`; NaN below the reversal.

    `everett` is (P_a - P_ab)/2, half of what the branch has fallen below the descending major loop at the reversal;
    `density` the mixed derivative -(1/2) d2P/(dV_r dV), the Preisach density.
    """

    reversal: Float[Array, " curves"]
    voltage: Float[Array, " steps"]
    polarisation: Float[Array, "curves steps"]
    everett: Float[Array, "curves steps"]
    density: Float[Array, "curves steps"]

    UNITS = {
        "reversal": "V",
        "voltage": "V",
        "polarisation": "uC/cm2",
        "everett": "uC/cm2",
        "density": "uC/cm2 V2",
    }


class SwitchingMap(NamedTuple):
    """Polarisation that one pulse moved from saturation down, over amplitude and width."""

    amplitude: Float[Array, " amplitudes"]
    width: Float[Array, " widths"]
    switched: Float[Array, "amplitudes widths"]

    UNITS = {"amplitude": "V", "width": "ns", "switched": "uC/cm2"}


def transient(
    capacitor: FerroelectricCapacitor,
    state: FerroelectricState,
    waveform: Waveform,
    *,
    temperature=ROOM_TEMPERATURE,
) -> tuple[FerroelectricState, Transient]:
    """Drive a capacitor with a waveform: (state after it, what was seen at the end of each pulse).

    The charge counts from the start: Q_n - Q_0 + leakage so far; the current is its mean over each pulse.
    """

    def over_film(state, voltage):
        return voltage if capacitor.series is None else state.voltage

    at_start = capacitor.charge(state)

    def step(carry, sample):
        state, leaked, before = carry
        pulse, voltage = sample
        state, more = capacitor.respond(state, pulse, temperature=temperature)
        leaked = leaked + more
        charge = capacitor.charge(state, over_film(state, voltage)) - at_start + leaked
        current = (charge - before) / pulse.width
        return (state, leaked, charge), (charge, current, capacitor.polarisation(state))

    nothing = jnp.zeros_like(at_start)
    (state, _, _), (charge, current, polarisation) = checkpointed_scan(
        step, (state, nothing, nothing), (waveform.train, waveform.voltage), length=waveform.time.shape[0]
    )
    return state, Transient(waveform.time, waveform.voltage, charge, current, polarisation)


def _start(capacitor, state, key) -> FerroelectricState:
    return capacitor.init(jnp.shape(capacitor.P_r), key) if state is None else state


def hysteresis_loop(
    capacitor: FerroelectricCapacitor,
    amplitude,
    period,
    *,
    steps: int = 400,
    cycles: int = 2,
    state: FerroelectricState | None = None,
    key: Key[Array, ""] | None = None,
    temperature=ROOM_TEMPERATURE,
) -> HysteresisLoop:
    """The last of `cycles` triangular cycles of `amplitude` [V] and `period` [ns], up first.

    Starts from saturation down where no `state` is given. The loop's coercive field is good to a tenth of a step's
    height of field (see `hfsim.devices.waveform`).

    Raises:
        InputError: `steps` is no multiple of 4, or `cycles` is below 1.
    """
    waveform = triangle(amplitude, period, steps=steps, cycles=cycles)
    _, seen = transient(capacitor, _start(capacitor, state, key), waveform, temperature=temperature)
    last = jax.tree.map(lambda x: x[-steps:], seen)
    return HysteresisLoop(last.voltage, capacitor.field(last.voltage), last.polarisation, last.charge, last.current)


def pund(
    capacitor: FerroelectricCapacitor,
    amplitude,
    width,
    *,
    rest=None,
    state: FerroelectricState | None = None,
    key: Key[Array, ""] | None = None,
    temperature=ROOM_TEMPERATURE,
) -> tuple[FerroelectricState, Pund]:
    """Positive-up-negative-down: (state after it, charges).

    A negative pulse sets the capacitor; then two positive and two negative ones, each followed by `rest` at 0 V. A
    pulse's charge is collected until the end of its rest: displacement that comes back is not counted. A linear
    leaky dielectric gives exactly 0, a saturated loop 2 P_r.

    Args:
        capacitor: scalar or a population.
        amplitude: of the pulses [V].
        width: of the pulses [ns].
        rest: at 0 V after each [ns]; as long as the pulse by default.
        state: to start from; by default saturated down.
        key: for a fresh state whose domains or breakdown are drawn.
        temperature: [K].
    """
    rest = width if rest is None else rest
    signs = jnp.asarray([-1.0, 1.0, 1.0, -1.0, -1.0], capacitor.P_r.dtype)
    start = _start(capacitor, state, key)

    def pulse_and_rest(state, sign):
        pairs = (sign * amplitude, 0.0), (width, rest)
        voltages, widths = (jnp.stack(jnp.broadcast_arrays(*pair)).astype(signs.dtype) for pair in pairs)
        before = capacitor.charge(state)

        def respond(state, pulse):
            return capacitor.respond(state, pulse, temperature=temperature)

        state, leaked = jax.lax.scan(respond, state, Pulse(voltages, widths))
        return state, capacitor.charge(state) - before + jnp.sum(leaked, axis=0)

    after, (_, P, U, N, D) = jax.lax.scan(pulse_and_rest, start, signs)
    area = CHARGE_OF_POLARISATION * capacitor.S
    return after, Pund(P, U, N, D, (P - U) / area, (D - N) / area)


def first_order_reversal_curves(
    capacitor: FerroelectricCapacitor,
    amplitude,
    sweep,
    *,
    steps: int = 60,
    key: Key[Array, ""] | None = None,
    temperature=ROOM_TEMPERATURE,
) -> ReversalCurves:
    """Reversal curves of one capacitor: from +amplitude down to each reversal, and up again, on a grid of voltages.

    Args:
        capacitor: one device, scalar parameters.
        amplitude: largest voltage, saturating [V].
        sweep: time from -amplitude to +amplitude [ns]; every ramp has this rate.
        steps: intervals of the grid of voltages, which the reversals share.
        key: for kinetics whose domains are drawn.
        temperature: [K].

    Raises:
        InputError: `steps` is below 4, or the capacitor is a population.
    """
    if not isinstance(steps, int) or steps < 4:
        raise InputError("steps", "be an integer >= 4", repr(steps))
    if jnp.ndim(capacitor.P_r):
        raise InputError("capacitor", "be one device", f"of shape {jnp.shape(capacitor.P_r)}", "vmap over the devices")
    grid = jnp.linspace(-1.0, 1.0, steps + 1) * amplitude
    middles, width = 0.5 * (grid[1:] + grid[:-1]), sweep / steps

    def ramp(state, voltages, used):
        def step(state, sample):
            voltage, use = sample
            state = capacitor.apply(state, Pulse(voltage, jnp.where(use, width, 0.0)), temperature=temperature)
            return state, (state, capacitor.polarisation(state))

        return jax.lax.scan(step, state, (voltages, used))[1]

    top = capacitor.init((), key, up=1.0)
    everywhere = jnp.ones(steps, bool)
    states, falling = ramp(top, middles[::-1], everywhere)
    states = jax.tree.map(lambda x, first: jnp.concatenate([x[::-1], first[None]]), states, top)
    descending = jnp.concatenate([falling[::-1], capacitor.polarisation(top)[None]])  # at grid, on the way down
    below = jnp.arange(steps)[None, :] >= jnp.arange(steps + 1)[:, None]
    _, rising = jax.vmap(lambda state, used: ramp(state, middles, used))(states, below)
    P = jnp.concatenate([descending[:, None], rising], axis=1)  # column j is the end of the ramp to grid[j]
    seen = np.arange(steps + 1)[None, :] >= np.arange(steps + 1)[:, None]
    P = jnp.where(np.eye(steps + 1, dtype=bool), descending[:, None], P)
    spacing = 2 * amplitude / steps
    density = -0.5 * (P[1:, 1:] - P[1:, :-1] - P[:-1, 1:] + P[:-1, :-1]) / spacing**2
    density = jnp.where(seen[1:, :-1], density, jnp.nan)
    density = jnp.pad(density, ((0, 1), (0, 1)), constant_values=jnp.nan)
    everett = 0.5 * (descending[None, :] - P)
    return ReversalCurves(grid, grid, jnp.where(seen, P, jnp.nan), jnp.where(seen, everett, jnp.nan), density)


def switching_map(
    capacitor: FerroelectricCapacitor,
    amplitudes: Float[Array, " amplitudes"],
    widths: Float[Array, " widths"],
    *,
    key: Key[Array, ""] | None = None,
    temperature=ROOM_TEMPERATURE,
) -> SwitchingMap:
    """What one pulse of each amplitude [V] and width [ns] moves from saturation down; one device."""
    amplitudes, widths = jnp.atleast_1d(jnp.asarray(amplitudes, float)), jnp.atleast_1d(jnp.asarray(widths, float))
    start = capacitor.init((), key, up=0.0)

    def moved(amplitude, width):
        after = capacitor.apply(start, Pulse(amplitude, width), temperature=temperature)
        return capacitor.polarisation(after) - capacitor.polarisation(start)

    switched = jax.vmap(jax.vmap(moved, in_axes=(None, 0)), in_axes=(0, None))(amplitudes, widths)
    return SwitchingMap(amplitudes, widths, switched)
