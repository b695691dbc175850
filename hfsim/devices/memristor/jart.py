"""The JART VCM v1b memristor: a filament whose disc under a Schottky contact gains and loses oxygen vacancies.

C. Bengel et al., IEEE Trans. Circuits Syst. I 67, 4618 (2020); Verilog-A code (CC0): 10.26165/JUELICH-DATA/LUA8QY.
In the article's sign, **SET is at V < 0 and RESET at V > 0**. Conduction and heat are in `jart_transport`; ions hop:

    dN/dt = -I_ion/(z e A l_disc),    c = (N_plug + N)/2,    gamma = z a E/(pi dW_A)
    I_ion = z e c a nu0 A [exp(-dW_min/kT) - exp(-dW_max/kT)] F_lim
    dW_min, dW_max = dW_A [sqrt(1 - gamma^2) -/+ gamma pi/2 + gamma asin(gamma)]
    SET:    E = I R_disc/l_disc,              F_lim = 1 - (N/N_max)^10
    RESET:  E = (V - I R_series)/l_cell,      F_lim = 1 - (N_min/N)^10

SET times span 12 decades in 0.8 V, so no step in time fits. Along a pulse N moves one way, towards N_max or N_min: the
way there, in ln N, is cut into `cells`, fine at both ends. In a cell the logarithm of the rate without F_lim is taken
as linear in ln N and in V, with the exact slopes at the cell's middle, and the time that the cell takes follows in
closed form; F_lim is integrated exactly: with w = |ln(N_limit/N)| and q the integral of the rate,

    w(q) = (1/10) ln{1 + [exp(10 w(0)) - 1] exp(-10 q)}

Each step ends at the cell's end or at the pulse's: `cells` steps always suffice, and where the whole array has ended
the rest is skipped. Times are exact to 0.04 % at 80 cells, and converge in second order. Vacancies do not move at
V = 0: the model has no loss of retention. A device beyond a limit rests at pulses towards it, where F_lim < 0 of the
article would pull it back. In single precision ln N resolves 5e-7: a pulse that moves less leaves the device as it is.
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from hfsim.cards import Card
from hfsim.devices.interface import AbstractMemristor
from hfsim.devices.memristor.jart_transport import LEAST_VOLTAGE, JartConduction, OperatingPoint
from hfsim.devices.pulse import Pulse, require_duration
from hfsim.devices.train import checkpointed_scan
from hfsim.errors import InputError
from hfsim.parameters import parameter
from hfsim.units import NANOSECONDS, ROOM_TEMPERATURE, thermal_voltage

LIMIT_POWER = 10.0
"""Exponent of F_lim."""
LEAST_DISTANCE = 1e-6
"""A device closer to its limit than this, in ln N, or beyond it, rests."""
LEAST_LOG_RATE = -75.0
"""ln of the slowest rate [1/ns]; it moves ln N by 1e-15 in ten years."""
STEEPEST = 20.0
"""The most that ln(rate) may change over a cell, or over a ramp's step."""
LARGEST_GAMMA = 0.999
"""gamma is kept below 1, where no barrier is left: beyond the model's validity."""


class JartState(eqx.Module):
    """State of JART devices: `x` = ln(N/nm^-3), N the concentration of vacancies in the disc."""

    x: Float[Array, "*devices"]

    @property
    def N(self) -> Float[Array, "*devices"]:
        """Concentration of vacancies in the disc [1/nm3]; 1/nm3 = 10 x 1e26/m3."""
        return jnp.exp(self.x)


class JartTrace(NamedTuple):
    """A voltage sweep, sampled: time [ns] and voltage [V] of the samples; current [uA], vacancy concentration [1/nm3]
    and temperature [K] of the devices, with the samples leading."""

    time: Float[Array, "samples ..."]
    voltage: Float[Array, "samples ..."]
    current: Float[Array, "samples *devices"]
    N: Float[Array, "samples *devices"]
    temperature: Float[Array, "samples *devices"]


class JartVCM(AbstractMemristor):
    """A JART VCM v1b memristor."""

    conduction: JartConduction
    N_min: Float[Array, "..."] = parameter(
        unit="1/nm3", bounds=(1e-4, 0.1), doc="least vacancy concentration of the disc", logarithmic=True
    )
    N_max: Float[Array, "..."] = parameter(
        unit="1/nm3", bounds=(0.2, 10.0), doc="greatest vacancy concentration of the disc", logarithmic=True
    )
    N_init: Float[Array, "..."] = parameter(
        unit="1/nm3", bounds=(1e-4, 10.0), doc="vacancy concentration of a fresh device's disc", logarithmic=True
    )
    a: Float[Array, "..."] = parameter(unit="nm", bounds=(0.05, 0.6), doc="hopping distance")
    nu0: Float[Array, "..."] = parameter(unit="1/ns", bounds=(10.0, 1e6), doc="attempt frequency", logarithmic=True)
    dW_A: Float[Array, "..."] = parameter(unit="eV", bounds=(0.6, 2.5), doc="activation energy of hopping")
    V_read: Float[Array, "..."] = parameter(unit="V", bounds=(-0.5, 0.5), doc="read voltage of `conductance`")
    cells: int = eqx.field(static=True, default=80)

    @classmethod
    def from_card(cls, card: Card, **others) -> "JartVCM":
        """Build from the card's sections [conduction] and [ions]; `others` replace the latter's values."""
        return card.build(cls, "ions", **{"conduction": card.build(JartConduction, "conduction"), **others})

    def __check_init__(self):
        if isinstance(self.cells, bool) or not isinstance(self.cells, int) or self.cells < 8:
            raise InputError("cells", "be an integer of at least 8", self.cells, "take 128; fewer are less accurate")

    def init(self, shape: tuple[int, ...], key: Key[Array, ""] | None = None) -> JartState:
        """Devices of `shape` at N_init, or at the limit that it crosses; the model draws nothing: a key is refused."""
        if key is not None:
            raise InputError("key", "be None: the initial state holds no draw", "a key", "spread N_init instead")
        return self.at(jnp.broadcast_to(jnp.clip(self.N_init, self.N_min, self.N_max), shape))

    def at(self, N: Float[Array, "*devices"] | float) -> JartState:
        """State at vacancy concentration N [1/nm3]."""
        return JartState(jnp.log(jnp.asarray(N, jnp.result_type(self.N_init))))

    def apply(
        self,
        state: JartState,
        pulse: Pulse,
        key: Key[Array, ""] | None = None,
        *,
        temperature=ROOM_TEMPERATURE,
    ) -> JartState:
        """State after a rectangular pulse at ambient `temperature` T_0 [K]; `key` is not needed: nothing is random."""
        return self._drive(state, (pulse.voltage,), pulse.width, temperature)

    def wait(self, state: JartState, seconds, temperature=ROOM_TEMPERATURE) -> JartState:
        """The same state: at V = 0 the model's ions do not move at any temperature, so retention is perfect."""
        del temperature
        require_duration(seconds)
        return state

    def current(self, state: JartState, voltage, *, temperature=ROOM_TEMPERATURE) -> Float[Array, "*devices"]:
        """Current [uA] at `voltage` [V] and ambient `temperature` T_0 [K], with the voltage's sign."""
        voltage = jnp.asarray(voltage, state.x.dtype)
        magnitude = jnp.maximum(jnp.abs(voltage), LEAST_VOLTAGE)
        return self.operating_point(state, voltage, temperature=temperature).I * voltage / magnitude

    def conductance(self, state: JartState, *, temperature=ROOM_TEMPERATURE) -> Float[Array, "*devices"]:
        """Conductance I/V [uS] at V_read and ambient `temperature` T_0 [K]."""
        magnitude = jnp.maximum(jnp.abs(self.V_read), LEAST_VOLTAGE)
        return self.operating_point(state, self.V_read, temperature=temperature).I / magnitude

    def operating_point(self, state: JartState, voltage, *, temperature=ROOM_TEMPERATURE) -> OperatingPoint:
        """Magnitudes of current and voltages, and the temperature, at `voltage` [V] and ambient `temperature` [K]."""
        x, voltage, T_0 = jnp.broadcast_arrays(state.x, *self._cast(state, voltage, temperature))
        magnitude = jnp.maximum(jnp.abs(voltage), LEAST_VOLTAGE)
        return self.conduction.solve(jnp.exp(x), magnitude, voltage < 0, T_0)

    def ramp(self, state: JartState, start, end, width, *, temperature=ROOM_TEMPERATURE) -> JartState:
        """State after the voltage went linearly from `start` to `end` [V] in `width` [ns].

        The rate's logarithm is taken as linear in V, and the middle's sign says which way N moves: cut long ramps
        (`sweep` does), so that |end - start| stays below about 20 mV.
        """
        return self._drive(state, (start, end), width, temperature)

    def _drive(self, state: JartState, voltages: tuple, width, T_0) -> JartState:
        """Cross the cells between N and its limit until `width` [ns] is used up.

        `voltages` holds the pulse's amplitude, or the two ends of a ramp: they are a leading axis of the rates.
        """
        width, T_0, *ends = self._cast(state, width, T_0, *voltages)
        leaves = jax.tree.leaves(self)
        shape = jnp.broadcast_shapes(*map(jnp.shape, (state.x, width, T_0, *ends, *leaves)))
        x = jnp.broadcast_to(state.x, shape)
        middle = jnp.broadcast_to(0.5 * (ends[0] + ends[-1]), shape)
        V = jnp.stack([jnp.broadcast_to(v, shape) for v in ends])
        toward = jnp.where(middle < 0, 1.0, -1.0).astype(x.dtype)
        limit = jnp.where(middle < 0, jnp.log(self.N_max), jnp.log(self.N_min))
        distance = jnp.maximum(toward * (limit - x), LEAST_DISTANCE)

        def log_rates(w):
            log_rate = self._log_rate(limit - toward * w, -toward * V, middle < 0, T_0)
            return jnp.maximum(log_rate, LEAST_LOG_RATE)

        def cross(carry, fractions):
            w, left, at_far = carry
            far, near = distance * fractions[0], distance * fractions[1]
            at_near = log_rates(near)
            w, left = _cross_cell(w, left, (far, near), (at_far, at_near), width)
            return w, left, at_near

        def step(carry, fractions):
            moving = jnp.any(carry[1] > 0)
            return jax.lax.cond(moving, cross, lambda carry, _: carry, carry, fractions), None

        # nothing moves at V = 0, nor beyond the limit
        rests = (middle == 0) | (width == 0) | (toward * (limit - x) < LEAST_DISTANCE)
        start = (distance, jnp.where(rests, 0.0, 1.0).astype(x.dtype), jnp.zeros_like(V))
        # reverse mode keeps three numbers a cell and computes the rest again
        (w, _, _), _ = jax.lax.scan(jax.checkpoint(step), start, jnp.asarray(_cell_edges(self.cells), x.dtype))
        return JartState(x + toward * (distance - w))

    def sweep(
        self, state: JartState, time, voltage, *, samples: int = 128, temperature=ROOM_TEMPERATURE
    ) -> tuple[JartState, JartTrace]:
        """Follow a piecewise-linear voltage and record it.

        Args:
            state: devices at the start.
            time: times of the corners, ascending, shape (corners,) or (corners, *devices), ns.
            voltage: voltages of the corners, of the same number, V.
            samples: equal steps of each segment; the trace holds the start and the end of each step.
            temperature: ambient temperature T_0, K.

        Raises:
            InputError: there are fewer than two corners, or not one time for each voltage.
        """
        time, voltage = self._cast(state, time, voltage)
        if time.ndim < 1 or voltage.ndim < 1 or time.shape[0] != voltage.shape[0] or time.shape[0] < 2:
            raise InputError("voltage", "hold at least two corners, one for each time", f"of shape {voltage.shape}")
        if samples < 1:
            raise InputError("samples", "be at least 1", samples)
        fraction = jnp.arange(samples + 1) / samples

        def corners_to_samples(values):
            weight = fraction.reshape(1, -1, *[1] * (values.ndim - 1)).astype(values.dtype)
            lines = values[:-1, None] * (1 - weight) + values[1:, None] * weight
            starts, ends = lines[:, :-1].reshape(-1, *values.shape[1:]), lines[:, 1:].reshape(-1, *values.shape[1:])
            return starts, ends

        starts, ends = corners_to_samples(voltage)
        widths = jnp.repeat(jnp.diff(time, axis=0) / samples, samples, axis=0)
        shape = jnp.broadcast_shapes(state.x.shape, starts.shape[1:], widths.shape[1:])
        state = JartState(jnp.broadcast_to(state.x, shape))

        # steps of no duration fill the square that the checkpointed loop is compiled for once
        steps = starts.shape[0]
        length = _next_square(steps)
        padded = [
            jnp.concatenate([v, jnp.broadcast_to(fill, (length - steps, *v.shape[1:]))])
            for v, fill in ((starts, ends[-1]), (ends, ends[-1]), (widths, jnp.zeros_like(widths[0])))
        ]

        def step(state, ramp):
            state = self.ramp(state, *ramp, temperature=temperature)
            return state, state.x

        end, x = checkpointed_scan(step, state, tuple(padded), length=length)
        x = jnp.concatenate([state.x[None], x[:steps]])
        voltages = jnp.concatenate([starts[:1], ends])
        V = voltages.reshape(*voltages.shape[:1], *[1] * (x.ndim - voltages.ndim), *voltages.shape[1:])
        point = self.operating_point(JartState(x), V, temperature=temperature)
        times = jnp.concatenate([time[:1], corners_to_samples(time)[1]])
        return end, JartTrace(times, voltages, point.I * jnp.sign(V), jnp.exp(x), point.T)

    def rate(self, state: JartState, voltage, *, temperature=ROOM_TEMPERATURE) -> Float[Array, "*devices"]:
        """d ln N/dt [1/s] at `voltage` [V] and ambient `temperature` T_0 [K]."""
        x, voltage, T_0 = jnp.broadcast_arrays(state.x, *self._cast(state, voltage, temperature))
        negative = voltage < 0
        ahead = LIMIT_POWER * jnp.where(negative, x - jnp.log(self.N_max), jnp.log(self.N_min) - x)
        speed = jnp.exp(self._log_rate(x, jnp.abs(voltage), negative, T_0)) * -jnp.expm1(ahead)
        return NANOSECONDS * jnp.where(voltage == 0, 0.0, jnp.where(negative, speed, -speed))

    def _log_rate(self, x, V, negative, T_0):
        """ln |d ln N/dt| [1/ns] without F_lim at |V| = `V` [V]; `V` may lead the others by axes."""
        conduction, N = self.conduction, jnp.exp(x)
        point = conduction.solve(N, jnp.maximum(V, LEAST_VOLTAGE), negative, T_0)
        E = jnp.where(negative, point.V_disc / conduction.l_disc, point.V_cell / conduction.l_cell)
        kT = thermal_voltage(point.T)
        gamma = jnp.minimum(conduction.z * self.a * E / (math.pi * self.dW_A), LARGEST_GAMMA)
        mean = self.dW_A * (jnp.sqrt(1 - gamma**2) + gamma * jnp.arcsin(gamma))
        half = 0.5 * math.pi * self.dW_A * gamma / kT  # 2 sinh(half) = exp(half) [1 - exp(-2 half)]
        hops = half - mean / kT + jnp.log(jnp.maximum(-jnp.expm1(-2 * half), 1e-30))
        c = 0.5 * (conduction.N_plug + N)
        return jnp.log(c * self.a * self.nu0 / conduction.l_disc) - x + hops

    @staticmethod
    def _cast(state, *values):
        return tuple(jnp.asarray(value, state.x.dtype) for value in values)


def _next_square(number: int) -> int:
    """The least square that is not below `number`."""
    return (math.isqrt(number - 1) + 1) ** 2


def _cell_edges(cells: int) -> np.ndarray:
    """Far and near edges of the cells as shares of the way to the limit, shape (cells + 1, 2), fine at both ends.

    The first has no length: its edge's rate is found there.
    """
    edges = 0.5 * (1 + np.cos(np.pi * np.arange(cells + 1) / cells))
    return np.stack([np.concatenate([edges[:1], edges[:-1]]), edges], -1)


def _cross_cell(w, left, edges, log_rates, width):
    """Move through one cell, to its near edge or to the end of the ramp.

    Args:
        w: distance to the limit in ln N; at the cell's far edge where the ramp has not ended.
        left: share of the ramp that is still to come.
        edges: distances of the cell's far and near edge.
        log_rates: ln(rate) [1/ns] at both edges, with a leading axis for the start and the end of the ramp.
        width: duration of the ramp, ns.

    Returns:
        The distance and the share left.
    """
    (far, near), (at_far, at_near) = edges, log_rates
    q_cell = _free_length(far, near)
    last = jnp.isinf(q_cell)  # the limit itself is reached after an infinite time
    empty = far == near
    q_cell = jnp.where(last | empty, 1.0, q_cell)
    along = jnp.clip(jnp.mean(at_near - at_far, axis=0), -STEEPEST, STEEPEST)
    tilt = jnp.clip(0.5 * (at_far[-1] - at_far[0] + at_near[-1] - at_near[0]), -STEEPEST, STEEPEST)
    k = jnp.where(last, 0.0, along / q_cell)
    begin = jnp.mean(at_far, axis=0) + jnp.where(last, 0.5 * along, 0.0)

    # d(q)/d(share) = now exp(k q + tilt share), from here on
    now = width * jnp.exp(begin + tilt * (0.5 - left))
    available = now * left * _mean_exponential(tilt * left)
    needed = q_cell * _mean_exponential(-k * q_cell)
    crosses = ((available > needed) | empty) & ~last & (left > 0)
    ratio = jnp.where(crosses & ~empty, needed, 0.0) / jnp.where(crosses, now, 1.0)
    spent = _inverse_mean_exponential(ratio, tilt)
    q = _inverse_mean_exponential(jnp.where(crosses, 0.0, available), -k)
    ends = jnp.where(left > 0, _approach(far, q), w)
    return jnp.where(crosses, near, ends), jnp.where(crosses, jnp.maximum(left - spent, 0.0), 0.0)


def _free_length(far, near):
    """Integral of dw/F_lim from distance `near` to `far`: what the way between them is worth without F_lim."""
    lost = [jnp.log(-jnp.expm1(-LIMIT_POWER * jnp.maximum(w, 1e-30))) / LIMIT_POWER for w in (far, near)]
    return jnp.where(near > 0, far - near + lost[0] - lost[1], jnp.inf)


def _approach(w, q):
    """The distance to the limit after a way of q without F_lim, from w."""
    excess = LIMIT_POWER * w + jnp.log(-jnp.expm1(-LIMIT_POWER * w))  # ln[exp(10 w) - 1]
    return jax.nn.softplus(excess - LIMIT_POWER * q) / LIMIT_POWER


def _mean_exponential(x):
    """(exp(x) - 1)/x, 1 at 0."""
    small = jnp.abs(x) < 1e-3
    safe = jnp.where(small, 1.0, x)
    return jnp.where(small, 1 + x / 2 + x**2 / 6, jnp.expm1(safe) / safe)


def _inverse_mean_exponential(area, k):
    """The t at which the integral of exp(k t) from 0 reaches `area`; where it never does, a long way."""
    x = jnp.maximum(k * area, -1 + 1e-6)
    small = jnp.abs(x) < 1e-3
    safe = jnp.where(small, 1.0, x)
    return area * jnp.where(small, 1 - x / 2 + x**2 / 3, jnp.log1p(safe) / safe)
