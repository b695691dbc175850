"""A filamentary HfO2 memristor in series with its select transistor: the two-state Stanford-PKU model.

P. Huang et al., IEEE Trans. Electron Devices 60, 4090 (2013); Z. Jiang et al., SISPAD (2014); constants of H. Li et
al., IEEE Electron Device Lett. 35, 211 (2014), 10.1109/LED.2013.2293354. A filament of width w ends in a gap x:

    I   = I_0 A exp(-x/X_T) sinh(V_g/V_T) + I_0 (A_CF - A) exp(-L_0/X_T) sinh(V/V_T),    A = pi w^2/4
    V   = V_g + I R_CF,   R_CF = rho (L_0 - x)/A,   T = T_0 + R_th V I

    SET, open     dx/dt = -a f exp[-(E_a - alpha V_g/x)/kT]
    SET, closed   dw/dt = (w_eff + w_eff^2/2w) f exp[-(E_a - alpha V/L_0)/kT]
    RESET         dx/dt = a f min{exp[-(E_i - r|V_g|)/kT], exp(-E_h/kT) sinh[alpha_h |V_g|/(x kT)]}

The transistor passes I at the voltage that the cell leaves it. Growth stops itself: the wider filament takes less of
the voltage, so the rate falls exponentially, and G = I_cc/V_C with V_C = (L_0/alpha) [E_a - kT ln(f t ...)], which
loses about kT L_0/alpha (0.1 V) per e-fold of pulse width (D. Ielmini, IEEE Trans. Electron Devices 58, 4309 (2011)).

Differences from the published equations: (1) each jump counts net of its reverse, so nothing moves at V = 0;
(2) the slower of two processes, the speed limit v_max and 1/x at x < a are smooth; (3) the gap's element stays in
series at x = 0 in either polarity (the published code drops it for V > 0, a jump of the current by 1.7 times);
(4) RESET takes the width with it, dw/dx = -(w - w_0)/x_w (published: dw = 0, that is x_w = infinity);
(5) spread, wear and retention, below.

- Spread: a closed filament is read with a normal part of deviation sigma_G (bent to stay positive below half of the
  mean), an open gap is x exp(sigma_x z), log-normal in G. The z are rotated towards new ones as far as a pulse moves
  the filament, which keeps their variance; a pulse that moves nothing keeps them. SET starts from the gap with its
  spread; otherwise pulses act on the mean filament.
- Wear: the widest gap falls with the number of openings N as L_0/[1 + (N/N_f)^m].
- Retention: w returns to w_0 with the time constant tau_473 at 473.15 K and the activation energy E_ret.

Each process is autonomous and moves one coordinate one way. So time is integrated over the coordinate, dt = ds/rate
with ln(rate) linear between `nodes` graded places at which the circuit is solved, and the place reached is found in
closed form: no stiffness, fixed shapes, error 1/nodes^2. Valid for rectangular pulses long against RC times, and a
temperature that follows at once.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from hfsim.devices.interface import AbstractMemristor
from hfsim.devices.pulse import Pulse, require_duration
from hfsim.devices.transistor import Transistor
from hfsim.draws import normal, stream
from hfsim.errors import InputError
from hfsim.parameters import parameter, parameters
from hfsim.roots import increasing_root
from hfsim.units import BOLTZMANN, ROOM_TEMPERATURE, thermal_voltage

RETENTION_TEMPERATURE = 473.15
"""Temperature [K] at which `tau_473` is stated: 200 C."""
_KOHM = 1e-3  # uA kohm in V
_LN_RATE_MIN = -60.0  # of rates in nm/ns: 1e-26
_EXPONENT_MAX = 60.0  # of x/X_T and V/V_T
_NU_MAX = 70.0  # of V_g/V_T
_RELATIVE_MIN = -10.0  # of sigma_G z over the mean
_CLOSED = 1e-6  # nm; a smaller gap is none


class FilamentState(eqx.Module):
    """Gap x and width w [nm], the normal parts of gap and width, and the number of openings N of each device."""

    x: Float[Array, "*devices"]
    w: Float[Array, "*devices"]
    z_x: Float[Array, "*devices"]
    z_w: Float[Array, "*devices"]
    N: Float[Array, "*devices"]


class Settled(NamedTuple):
    """Where a SET ends: conductance at V_read [uS], width [nm], cell voltage [V] and current [uA]."""

    G: Float[Array, "..."]
    w: Float[Array, "..."]
    V: Float[Array, "..."]
    I: Float[Array, "..."]


class Filament(AbstractMemristor):
    """A 1T1R cell; `apply` puts the pulse over memristor and transistor, V > 0 sets."""

    transistor: Transistor
    V_G: Float[Array, "..."] = parameter(unit="V", bounds=(-1.0, 6.0), doc="gate voltage in SET: sets the compliance")
    V_GR: Float[Array, "..."] = parameter(unit="V", bounds=(-1.0, 6.0), doc="gate voltage in RESET")
    a: Float[Array, "..."] = parameter(unit="nm", bounds=(0.1, 1.0), doc="distance between oxygen vacancies")
    f: Float[Array, "..."] = parameter(unit="1/ns", bounds=(1e2, 1e6), doc="vibration frequency", logarithmic=True)
    E_a: Float[Array, "..."] = parameter(unit="eV", bounds=(0.3, 2.0), doc="activation energy of a vacancy")
    E_h: Float[Array, "..."] = parameter(unit="eV", bounds=(0.3, 2.0), doc="hopping barrier of an oxygen ion")
    E_i: Float[Array, "..."] = parameter(unit="eV", bounds=(0.3, 2.0), doc="barrier from electrode to oxide")
    r: Float[Array, "..."] = parameter(unit="1", bounds=(0.1, 4.0), doc="enhancement of the voltage at the electrode")
    alpha: Float[Array, "..."] = parameter(unit="nm", bounds=(0.1, 2.0), doc="lowering of E_a per field")
    alpha_h: Float[Array, "..."] = parameter(unit="nm", bounds=(0.1, 2.0), doc="lowering of E_h per field")
    L_0: Float[Array, "..."] = parameter(unit="nm", bounds=(1.0, 10.0), doc="length of filament and gap")
    W_CF: Float[Array, "..."] = parameter(unit="nm", bounds=(1.0, 20.0), doc="greatest width")
    w_0: Float[Array, "..."] = parameter(unit="nm", bounds=(0.05, 0.9), doc="width of a filament that just closed")
    w_eff: Float[Array, "..."] = parameter(unit="nm", bounds=(0.05, 2.0), doc="step by which the width grows")
    X_T: Float[Array, "..."] = parameter(unit="nm", bounds=(0.1, 1.0), doc="decay of the current with the gap")
    V_T: Float[Array, "..."] = parameter(unit="V", bounds=(0.1, 1.0), doc="voltage scale of the gap's current")
    I_0: Float[Array, "..."] = parameter(unit="uA/nm2", bounds=(0.1, 1e3), doc="current density", logarithmic=True)
    rho: Float[Array, "..."] = parameter(unit="kohm nm", bounds=(0.1, 1e3), doc="resistivity", logarithmic=True)
    R_th: Float[Array, "..."] = parameter(unit="K/V uA", bounds=(0.0, 10.0), doc="thermal resistance")
    v_max: Float[Array, "..."] = parameter(unit="nm/ns", bounds=(1.0, 1e4), doc="speed limit", logarithmic=True)
    x_w: Float[Array, "..."] = parameter(unit="nm", bounds=(0.05, 1e3), doc="gap over which RESET removes the width")
    sigma_G: Float[Array, "..."] = parameter(unit="uS", bounds=(0.0, 50.0), doc="deviation of G after SET")
    sigma_x: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 0.5), doc="deviation of ln x after RESET")
    N_f: Float[Array, "..."] = parameter(
        unit="1", bounds=(1.0, 1e15), doc="openings at which the widest gap is L_0/2", logarithmic=True
    )
    m: Float[Array, "..."] = parameter(unit="1", bounds=(0.5, 10.0), doc="steepness of the wear-out")
    E_ret: Float[Array, "..."] = parameter(unit="eV", bounds=(0.0, 4.0), doc="activation energy of retention")
    tau_473: Float[Array, "..."] = parameter(
        unit="s", bounds=(1.0, 1e15), doc="time constant of the width at 473.15 K", logarithmic=True
    )
    V_read: Float[Array, "..."] = parameter(unit="V", bounds=(1e-3, 1.0), doc="voltage at which conductance is read")
    nodes: int = eqx.field(static=True, default=32)

    def __check_init__(self):
        if not isinstance(self.nodes, int) or not 4 <= self.nodes <= 4096:
            raise InputError("nodes", "be an integer from 4 to 4096", repr(self.nodes), "32 is the default")

    # ------------------------------------------------------------------------------------------- the cell

    def init(self, shape: tuple[int, ...], key: Key[Array, ""] | None = None) -> FilamentState:
        """Fully open devices of `shape`: x = L_0, w = w_0; `key` draws their spread (without it they have none)."""
        zero = jnp.zeros(shape, jnp.result_type(self.L_0))
        fresh = FilamentState(zero + self.L_0, zero + self.w_0, zero, zero, zero)
        return fresh if key is None else self._redrawn(fresh, jnp.asarray(jnp.pi / 2, zero.dtype), key)

    def apply(
        self, state: FilamentState, pulse: Pulse, key: Key[Array, ""] | None = None, *, temperature=ROOM_TEMPERATURE
    ) -> FilamentState:
        """State after one rectangular pulse on the cell; `key` draws the spread (without it the old one stays)."""
        u = jnp.broadcast_to(jnp.abs(pulse.voltage), state.x.shape)
        setting = jnp.broadcast_to(pulse.voltage, state.x.shape) > 0
        moving = u > 0
        u = jnp.where(moving, u, 1.0)
        share = _places(self.nodes, state.x.ndim)
        # SET starts from the gap that there is, RESET leaves one whose spread is drawn anew
        start = jnp.where(setting, self._stretched(state), jnp.minimum(state.x, self.L_0))
        end = jnp.where(setting, 0.0, jnp.maximum(self.widest_gap(state.N), start))

        def narrowed(x):  # RESET takes width away as it opens
            wider = jnp.where(setting, 0.0, x - state.x)  # in SET the exponent would overflow
            return jnp.where(setting, state.w, self.w_0 + (state.w - self.w_0) * jnp.exp(-wider / self.x_w))

        # two stages, the gap and then the width of a closed filament, whose circuits are solved together
        xs = start + (end - start) * share
        ws = state.w * (jnp.maximum(self.W_CF, state.w) / state.w) ** share
        gaps, widths = jnp.concatenate((xs, jnp.zeros_like(ws))), jnp.concatenate((narrowed(xs), ws))
        V, V_g, I = self._operating_point(gaps, self.area(widths), u, setting)
        first, last = slice(None, self.nodes + 1), slice(self.nodes + 1, None)
        gap = (xs, V_g[first], V[first], I[first], temperature)
        ln_rate = jnp.where(setting, self._closing(*gap), self._opening(*gap))
        travelled, left = passage(xs, ln_rate, jnp.where(moving, pulse.width, 0.0))
        opened = start > _CLOSED
        remaining = jnp.where(opened, jnp.maximum(1 - travelled / jnp.where(opened, start, 1.0), 0.0), 0.0)
        x = jnp.where(setting, state.x * remaining, state.x + travelled)
        grown, _ = passage(ws, self._growing(ws, V[last], I[last], temperature), jnp.where(setting, left, 0.0))
        w = narrowed(x) + grown
        worn = jnp.maximum(jnp.exp(-state.x / self.X_T) - jnp.exp(-x / self.X_T), 0.0)
        after = FilamentState(x, w, state.z_x, state.z_w, state.N + worn)
        if key is None:
            return after
        moved = jnp.abs(x - state.x) / self.X_T + jnp.abs(w - state.w) / self.w_eff
        return self._redrawn(after, 0.5 * jnp.pi * -jnp.expm1(-moved), key)

    def wait(self, state: FilamentState, seconds, temperature=ROOM_TEMPERATURE) -> FilamentState:
        """State after `seconds` [s] at rest at `temperature` [K]: the width returns to w_0; waits compose."""
        require_duration(seconds)
        ln_tau = jnp.log(self.tau_473) + self.E_ret / BOLTZMANN * (1 / temperature - 1 / RETENTION_TEMPERATURE)
        lost = seconds * jnp.exp(-jnp.clip(ln_tau, -_EXPONENT_MAX, _EXPONENT_MAX))
        return eqx.tree_at(lambda s: s.w, state, self.w_0 + (state.w - self.w_0) * jnp.exp(-lost))

    def current(self, state: FilamentState, voltage) -> Float[Array, "*devices"]:
        """Current [uA] at `voltage` [V] over the memristor alone."""
        u = jnp.broadcast_to(jnp.abs(voltage), state.x.shape)
        mean = self.area(state.w)
        per_area = 1 / (_KOHM * self.rho * self.L_0 + self.V_T / self.I_0)
        closed = jnp.exp(-state.x / self.X_T)
        relative = jnp.maximum(self.sigma_G * state.z_w * closed / (per_area * mean), _RELATIVE_MIN)
        bent = 0.5 * jnp.exp(2 * (jnp.minimum(relative, -0.5) + 0.5))  # continues 1 + relative with its slope
        A = mean * jnp.where(relative > -0.5, 1 + relative, bent)
        _, _, I = self._operating_point(self._stretched(state), A, u, None)
        return jnp.sign(voltage) * I

    def conductance(self, state: FilamentState) -> Float[Array, "*devices"]:
        """Conductance [uS] of the memristor alone at V_read."""
        return self.current(state, self.V_read) / self.V_read

    def widest_gap(self, N) -> Float[Array, "..."]:
        """L_0/[1 + (N/N_f)^m] [nm]."""
        used = N > 0
        ratio = jnp.where(used, N, 1.0) / self.N_f
        return self.L_0 / (1 + jnp.where(used, jnp.exp(jnp.minimum(self.m * jnp.log(ratio), _EXPONENT_MAX)), 0.0))

    # ------------------------------------------------------------------------------------------ compliance

    def compliance_current(self) -> Float[Array, "..."]:
        """I_cc [uA]: the transistor's saturation current at V_G, far above the drain voltage that saturates it."""
        return self.transistor.current(self.V_G, 0.0, 50.0)

    def settled(self, pulse: Pulse, *, temperature=ROOM_TEMPERATURE) -> Settled:
        """Where a SET from w_0 with a closed gap ends, by the equation of its compliance point.

        With y = I/(I_0 A), the cell's voltage is V = y I_0 rho L_0 + V_T asinh(y) whatever the width, so the
        transistor's current gives A(y) and the growth law the time, without any circuit to solve:

            t = integral from y to y_0 of -(dA/dy) / (dA/dt) dy,      A(y_0) = pi w_0^2/4

        solved for y and differentiated implicitly. Spread and the time that the gap takes to close are left out.
        Positive pulses.
        """
        shapes = (jnp.shape(value) for _, _, value in parameters((self, pulse)))
        shape = jnp.broadcast_shapes(*shapes)
        u, t = jnp.broadcast_to(pulse.voltage, shape), jnp.broadcast_to(pulse.width, shape)
        y_max = u / (_KOHM * self.I_0 * self.rho * self.L_0)
        y_0 = increasing_root(lambda y: self.area(self.w_0) - self._area_of(y, u)[0], 1e-3 * y_max, y_max)
        place, weight = (p.astype(u.dtype) for p in map(jnp.asarray, _GAUSS))
        column = (slice(None),) + (None,) * u.ndim

        def overdue(y):  # ln of the given time over the time to get from y_0 to y
            span = y_0 - y
            ys = y + span * place[column] ** 2  # dense near the end, where most of the time goes
            A, V, I, slope = self._area_of(ys, u)
            w = jnp.sqrt(4 * jnp.maximum(A, 1e-6) / jnp.pi)
            ln_rate = self._growing(w, V, I, temperature) + jnp.log(0.5 * jnp.pi * w)
            dt = 2 * span * place[column] * jnp.maximum(-slope, 0.0) * jnp.exp(-ln_rate)
            return jnp.log(t) - jnp.log(jnp.maximum(jnp.sum(weight[column] * dt, axis=0), 1e-30))

        y = increasing_root(overdue, 1e-2 * y_0, y_0)
        A, V, I, _ = self._area_of(y, u)
        w = jnp.minimum(jnp.sqrt(4 * A / jnp.pi), self.W_CF)
        zero = jnp.zeros_like(w)
        return Settled(self.conductance(FilamentState(zero, w, zero, zero, zero)), w, V, I)

    def _area_of(self, y, u):
        """Area, cell voltage, current and dA/dy of a closed filament at y = I/(I_0 A) under `u` on the cell."""

        def area(y):
            V = _KOHM * self.I_0 * self.rho * self.L_0 * y + self.V_T * jnp.arcsinh(y)
            I = self.transistor.current(self.V_G, 0.0, u - V)
            leak = self._leak(V)
            return (I - leak * self.area(self.W_CF)) / (self.I_0 * y - leak), (V, I)

        A, slope, (V, I) = jax.jvp(area, (y,), (jnp.ones_like(y),), has_aux=True)
        return A, V, I, slope

    # -------------------------------------------------------------------------------------------- circuit

    def area(self, w) -> Float[Array, "..."]:
        """Cross-section pi w^2/4 [nm2]."""
        return 0.25 * jnp.pi * w**2

    def _leak(self, V):
        """Current density outside the filament [uA/nm2]."""
        depth = jnp.minimum(self.L_0 / self.X_T, _EXPONENT_MAX)
        return self.I_0 * jnp.exp(-depth) * jnp.sinh(jnp.minimum(V / self.V_T, _EXPONENT_MAX))

    def _stretched(self, state):
        """The gap [nm] with its spread, x exp(sigma_x z)."""
        return jnp.minimum(state.x * jnp.exp(self.sigma_x * state.z_x), self.L_0)

    def _operating_point(self, gap, A, u, setting):
        """Magnitudes of cell voltage, gap voltage [V] and current [uA] of a filament with `gap` [nm] and area `A`
        [nm2], at `u` [V] over the cell, or over the memristor alone where `setting` is None."""
        R_CF = _KOHM * self.rho * (self.L_0 - gap) / A
        I_gap = self.I_0 * A * jnp.exp(-jnp.minimum(gap / self.X_T, _EXPONENT_MAX))
        outside = jnp.maximum(self.area(self.W_CF) - A, 0.0)

        def cell(nu):
            I_f = I_gap * jnp.sinh(nu)
            V = I_f * R_CF + self.V_T * nu
            return V, I_f + outside * self._leak(V)

        def excess(nu):
            V, I = cell(nu)
            if setting is None:
                return V - u
            V_G = jnp.where(setting, self.V_G, self.V_GR)
            # SET: source at 0, drain at u - V; RESET: the line at u is the drain, the cell's node at V the source
            V_S, V_D = jnp.where(setting, 0.0, V), jnp.where(setting, u - V, u)
            return I - self.transistor.current(V_G, V_S, V_D)

        # V_T nu < V < u and R_CF I < u
        V_T, resistive, whole = jax.lax.stop_gradient((self.V_T, I_gap * R_CF, u))
        most = jnp.minimum(whole / V_T, jnp.arcsinh(jnp.minimum(whole / jnp.maximum(resistive, 1e-20), 1e20)))
        most = jnp.minimum(most, _NU_MAX)
        nu = increasing_root(excess, jnp.zeros_like(most), most)
        V, I = cell(nu)
        return V, self.V_T * nu, I

    # ---------------------------------------------------------------------------------------------- rates

    def _kT(self, V, I, temperature):
        return thermal_voltage(temperature + self.R_th * V * I)

    def _limited(self, *ln_rates):
        """ln of the harmonic sum of rates and the speed limit [nm/ns]: the slowest rules."""
        slowness = -jnp.log(self.v_max)
        for ln_rate in ln_rates:
            slowness = jnp.logaddexp(slowness, -jnp.maximum(ln_rate, _LN_RATE_MIN))
        return -slowness

    def _distance(self, x):
        return (x**4 + self.a**4) ** 0.25

    def _closing(self, x, V_g, V, I, temperature):
        kT = self._kT(V, I, temperature)
        lowering = self.alpha * V_g / (self._distance(x) * kT)
        return self._limited(jnp.log(self.a * self.f) - self.E_a / kT + ln_2_sinh(lowering))

    def _growing(self, w, V, I, temperature):
        kT = self._kT(V, I, temperature)
        step = self.w_eff + self.w_eff**2 / (2 * w)
        return self._limited(jnp.log(step * self.f) - self.E_a / kT + ln_2_sinh(self.alpha * V / (self.L_0 * kT)))

    def _opening(self, x, V_g, V, I, temperature):
        kT = self._kT(V, I, temperature)
        attempt = jnp.log(self.a * self.f)
        release = attempt - self.E_i / kT + ln_2_sinh(self.r * V_g / kT)
        hop = attempt - self.E_h / kT + ln_2_sinh(self.alpha_h * V_g / (self._distance(x) * kT)) - np.log(2.0)
        return self._limited(release, hop)

    def _redrawn(self, state, angle, key):
        """The state with its normal parts rotated towards new draws by `angle`."""
        z_x, z_w = (
            jnp.cos(angle) * old + jnp.sin(angle) * normal(stream(key, name), state.x.shape, state.x.dtype)
            for old, name in ((state.z_x, "gap"), (state.z_w, "width"))
        )
        return FilamentState(state.x, state.w, z_x, z_w, state.N)


def _places(nodes: int, rank: int):
    return jnp.linspace(0.0, 1.0, nodes + 1).reshape((-1,) + (1,) * rank)


_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_GAUSS = 0.5 * (_POINTS + 1), 0.5 * _WEIGHTS


def ln_2_sinh(y):
    """ln(2 sinh y) for y > 0, without overflow; y is kept above 1e-6."""
    y = jnp.maximum(y, 1e-6)
    return y + jnp.log(-jnp.expm1(-2 * y))


def passage(places, ln_rate, width):
    """How far a coordinate moves in a time, at a rate that depends on where it is.

    Between two places ln(rate) is linear in the coordinate, so that the time and its inverse are closed:

        dt = |ds| exp(-l_0) (e^d - 1)/d,      share = ln(1 + d dt'/(|ds| exp(-l_0)))/d,      d = l_0 - l_1

    Args:
        places: increasing or decreasing, leading axis of places [nm].
        ln_rate: there, of nm/ns.
        width: time [ns].

    Returns:
        The distance travelled [nm] and the time left at the last place [ns].
    """
    length = jnp.abs(places[1:] - places[:-1])
    slowest, d = ln_rate[:-1], ln_rate[:-1] - ln_rate[1:]
    flat = jnp.abs(d) < 1e-3
    safe = jnp.where(flat, 1.0, d)
    whole = jnp.where(flat, 1 + d / 2 + d**2 / 6, jnp.expm1(safe) / safe)
    unit = length * jnp.exp(-slowest)
    taken = unit * whole
    before = jnp.cumsum(taken, axis=0) - taken
    left = jnp.maximum(width - before, 0.0)
    through = (left >= taken) | (length == 0)
    y = jnp.where(through, 0.0, left) / jnp.where(through, 1.0, unit)
    part = jnp.where(flat, y * (1 - d * y / 2), jnp.log1p(jnp.maximum(safe * y, -0.999999)) / safe)
    return jnp.sum(length * jnp.where(through, 1.0, part), axis=0), jnp.maximum(width - jnp.sum(taken, axis=0), 0.0)
