"""The analogue CMO/HfOx memristor of IBM Research Zurich: the published compact model.

M. Galetta et al., Adv. Electron. Mater. 12(7), e00373 (2025), doi 10.1002/aelm.202500373; constants of
`IBM/Analog_ReRAM_Training_Simulator`. A half-spherical dome of the conductive metal oxide above a static filament
holds oxygen vacancies of mean density C. With V from bottom to top electrode (V > 0 sets):

    F     = (V - I R_s)/L, clipped to the sign of V
    I     = A q C a nu_e exp(-E_e/kT) 2 sinh(q F a/(2kT)),     a = max(a_min, a_0 - a_C C),  E_e = E_e0 - E_eC C
    dC/dt = (C a_i nu_i/L) exp(-E_i/kT) 2 sinh(z q F a_i/(2kT)) (1 - C/C_max)^10,  E_i = E_set + E_setC C or E_reset
    T     = T_0 + R_th V I,     T_0 the ambient `temperature`

I is implicit: it sets the field through R_s and the temperature through V I. It is solved together with what lies in
series (see `series.py`), in volts: the residual is nearly linear in I once sinh is inverted, so two Newton steps from
the last solution reach 1e-6. The root never clips F: I <= V/R_s. Heat is quasi-static: its time constant R_th C_th is
28 ps (docs/models/cmo.md measures what that leaves out).

ln C is integrated as t(ln C), each sub-step an equal part of the way that is still expected, the rate being
exponential in ln C over it: both polarities limit themselves, so equal steps of time would be wasted at the end of a
pulse and too long at its start. Six sub-steps keep G within 0.01 % through a 1 us pulse of the published scheme.
Pulses that move C by decades need more `substeps`; the page has the table.

Valid near the published scheme (1.3 to 1.4 V, microseconds, 25 to 90 uS); C = 7e24 to 3.8e25 m^-3. No noise and no
retention: put the cell into `RelaxingMemristor`. The article's q and k are kept, in which its energies are given.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float, Key

from hfsim.devices.interface import AbstractMemristor
from hfsim.devices.memristor.series import AbstractSeries, NoSeries
from hfsim.devices.pulse import Pulse, require_duration
from hfsim.errors import InputError
from hfsim.parameters import parameter
from hfsim.roots import increasing_root
from hfsim.units import ROOM_TEMPERATURE

Q = 1.60219e-4  # charge of the electron in the published constants [uA ns] (1.60219e-19 C)
K = 1.38062e-23 / 1.60219e-19  # Boltzmann constant over it [eV/K]
LOG_C_MIN = -25.0  # nothing: 1e16 m^-3
LOG_RATE = (-60.0, 15.0)  # of d ln C/dt [ln 1/ns]; the model's valid range is (-40, -5)
SLOPE_MAX = 200.0  # of ln rate against ln C; below 30 in the valid range
C_TURN = 0.0465  # C [1/nm3] up to which G rises with C near 300 K: from there on a falls faster than C grows
REACH = 5.0  # of ln C, what all sub-steps together may move
NEWTON_COLD, NEWTON_WARM = 4, 2
_SOLVED = "solution of the loop"


class CMOState(eqx.Module):
    """ln(C x 1 nm3) of each device, C the mean vacancy density of the dome."""

    log_C: Float[Array, "*devices"]


class CMOCell(AbstractMemristor):
    """One CMO/HfOx cell with what is in series with it.

    `temperature` is the ambient T_0 in K; the published numbers hold at the one in the card's [conditions].
    `substeps` is the number of steps of ln C in a pulse.
    """

    A: Float[Array, "..."] = parameter(
        unit="nm2", bounds=(10.0, 1e4), doc="conducting area of the dome", logarithmic=True
    )
    nu_e: Float[Array, "..."] = parameter(
        unit="1/ns", bounds=(1e2, 1e6), doc="attempt frequency of electrons", logarithmic=True
    )
    a_0: Float[Array, "..."] = parameter(unit="nm", bounds=(0.5, 8.0), doc="distance between traps at C = 0")
    a_C: Float[Array, "..."] = parameter(unit="nm4", bounds=(0.0, 100.0), doc="fall of the distance with C")
    a_min: Float[Array, "..."] = parameter(unit="nm", bounds=(0.3, 5.0), doc="least distance between traps")
    E_e0: Float[Array, "..."] = parameter(unit="eV", bounds=(0.0, 0.3), doc="barrier of hopping at C = 0")
    E_eC: Float[Array, "..."] = parameter(unit="eV nm3", bounds=(0.0, 2.0), doc="fall of the hopping barrier with C")
    L: Float[Array, "..."] = parameter(unit="nm", bounds=(3.0, 50.0), doc="length over which the field drops")
    R_s: Float[Array, "..."] = parameter(
        unit="kohm", bounds=(1e-3, 10.0), doc="series resistance inside the cell", logarithmic=True
    )
    a_i: Float[Array, "..."] = parameter(unit="nm", bounds=(0.1, 3.0), doc="hopping distance of vacancies")
    nu_i: Float[Array, "..."] = parameter(
        unit="1/ns", bounds=(1e2, 1e5), doc="attempt frequency of vacancies", logarithmic=True
    )
    z: Float[Array, "..."] = parameter(unit="1", bounds=(0.5, 4.0), doc="charge of a vacancy")
    C_max: Float[Array, "..."] = parameter(unit="1/nm3", bounds=(0.1, 100.0), doc="density at which drift ends")
    E_set: Float[Array, "..."] = parameter(unit="eV", bounds=(0.3, 3.0), doc="barrier of drift under SET at C = 0")
    E_setC: Float[Array, "..."] = parameter(unit="eV nm3", bounds=(0.0, 50.0), doc="rise of the SET barrier with C")
    E_reset: Float[Array, "..."] = parameter(unit="eV", bounds=(0.3, 3.0), doc="barrier of drift under RESET")
    R_th: Float[Array, "..."] = parameter(unit="K/uA V", bounds=(0.0, 5.0), doc="thermal resistance of the dome")
    C_init: Float[Array, "..."] = parameter(unit="1/nm3", bounds=(1e-4, 0.05), doc="vacancy density of fresh cells")
    V_read: Float[Array, "..."] = parameter(unit="V", bounds=(1e-3, 1.0), doc="read voltage")
    series: AbstractSeries = NoSeries()
    substeps: int = eqx.field(static=True, default=6)

    def __check_init__(self):
        if not isinstance(self.substeps, int) or self.substeps < 1:
            raise InputError("CMOCell.substeps", "be an integer >= 1", repr(self.substeps), "6 suit 1 us pulses")

    # ------------------------------------------------------------------------------------------- states

    def init(self, shape: tuple[int, ...], key: Key[Array, ""] | None = None) -> CMOState:
        """Fresh cells at `C_init`; nothing is drawn."""
        return CMOState(jnp.broadcast_to(jnp.log(self.C_init), shape))

    def at_conductance(self, G: Float[Array, "*devices"] | float, *, temperature=ROOM_TEMPERATURE) -> CMOState:
        """Cells that read `G` [uS] at ambient `temperature` [K]; differentiable.

        From 0.1 uS to where G(C) of the published constants turns (97.1 uS at 300 K); outside, the nearer end.
        """
        G, T_0 = jnp.broadcast_arrays(*(jnp.asarray(value, jnp.result_type(self.A)) for value in (G, temperature)))
        G = jnp.maximum(G, 1e-3)
        I = G * self.V_read
        T = T_0 + self.R_th * self.V_read * I
        U = jnp.maximum(self.V_read - 1e-3 * I * self.R_s, 1e-6)

        def residual(log_C):
            C = jnp.exp(log_C)
            x = U * self._distance(C) / (2 * self.L * K * T)
            hopping = jnp.log(Q * self.A * self.nu_e * self._distance(C)) + log_C
            return hopping - self._barrier(C) / (K * T) + x + jnp.log(-jnp.expm1(-2 * x)) - jnp.log(I)

        low, high = (jnp.full(jnp.shape(I), np.log(c), I.dtype) for c in (1e-5, C_TURN))
        return CMOState(increasing_root(residual, low, high))

    def density(self, state: CMOState) -> Float[Array, "*devices"]:
        """C [1/nm3]; 0.01 is 1e25 m^-3."""
        return jnp.exp(state.log_C)

    # -------------------------------------------------------------------------------------------- reads

    def current(self, state: CMOState, voltage, *, temperature=ROOM_TEMPERATURE) -> Float[Array, "*devices"]:
        """Current [uA] at `voltage` [V] between the cell's own electrodes, at ambient `temperature` [K]."""
        return self.operating_point(state, voltage, NoSeries(), temperature=temperature)[0]

    def conductance(self, state: CMOState, *, temperature=ROOM_TEMPERATURE) -> Float[Array, "*devices"]:
        """I/V [uS] of the cell at the read voltage and ambient `temperature` [K]."""
        return self.current(state, self.V_read, temperature=temperature) / self.V_read

    def operating_point(self, state: CMOState, voltage, series=None, *, temperature=ROOM_TEMPERATURE):
        """Current [uA], temperature of the dome [K] and d ln C/dt [1/ns] at `voltage` [V] over cell and series.

        `temperature` is the ambient T_0 [K]; `series` replaces the cell's own element. Solved to rounding by a
        bracketed Newton method.
        """
        series = self.series if series is None else series
        given = (jnp.asarray(value, state.log_C.dtype) for value in (voltage, temperature))
        log_C, V, T_0 = jnp.broadcast_arrays(state.log_C, *given)
        up, on = V >= 0, V != 0
        drive = _Drive(jnp.where(on, jnp.abs(V), 1.0), up, T_0, series)

        def residual(x):
            return self._residual(log_C, x, drive)

        limit = drive.series.limit(drive.V, up, self.R_s)
        x = increasing_root(residual, jnp.zeros_like(limit + log_C), limit + jnp.zeros_like(log_C))
        x = self._solve(log_C, x, drive, NEWTON_WARM)  # the bracket resolves 1e-7 of its own width, not of x
        _, I, T = self._branch(x, drive)
        rate = jnp.exp(self._log_rate(log_C, x, drive))
        sign = jnp.where(up, 1.0, -1.0)
        return jnp.where(on, sign * I, 0.0), jnp.where(on, T, T_0), jnp.where(on, sign * rate, 0.0)

    # ------------------------------------------------------------------------------------------- pulses

    def apply(
        self, state: CMOState, pulse: Pulse, key: Key[Array, ""] | None = None, *, temperature=ROOM_TEMPERATURE
    ) -> CMOState:
        """State after one rectangular pulse over cell and series element, at ambient `temperature` T_0 [K].

        The model draws nothing from `key`.
        """
        log_C = state.log_C
        V, width = (jnp.broadcast_to(jnp.asarray(v, log_C.dtype), log_C.shape) for v in (pulse.voltage, pulse.width))
        up, on = V >= 0, V != 0
        drive = _Drive(jnp.where(on, jnp.abs(V), 1.0), up, jnp.asarray(temperature, log_C.dtype), self.series)
        sign = jnp.where(up, 1.0, -1.0)
        cap = REACH / self.substeps

        def substep(carry, part):
            log_C, left, slope, x = carry
            here, x = self._solved_rate(log_C, x, drive, NEWTON_WARM)
            way = jnp.exp(here) * left  # of ln C, were the rate to stay
            probe = jnp.clip(part * _advance(way, slope), 1e-3, cap)
            there, x = self._solved_rate(log_C + sign * probe, x, drive, NEWTON_WARM)
            slope = jnp.clip((there - here) / probe, -SLOPE_MAX, SLOPE_MAX)
            step = jnp.minimum(part * _advance(way, slope), cap)
            left = jnp.maximum(left - step * jnp.exp(-here) * _elapsed(slope * step), 0.0)
            return (self._inside(log_C + sign * step), left, slope, x), None

        x = self._solve(log_C, drive.series.guess(drive.V, up, jnp.exp(log_C), self.R_s), drive, NEWTON_COLD)
        parts = jnp.asarray(1 / np.arange(self.substeps, 0, -1), log_C.dtype)  # of the way that is left
        # reverse mode computes a sub-step again from its start and its solutions of the loop: faster than keeping all
        step = jax.checkpoint(substep, prevent_cse=False, policy=jax.checkpoint_policies.save_only_these_names(_SOLVED))
        after = jax.lax.scan(step, (log_C, width, jnp.zeros_like(log_C), x), parts)[0][0]
        return CMOState(jnp.where(on, after, log_C))

    def wait(self, state: CMOState, seconds, temperature=ROOM_TEMPERATURE) -> CMOState:
        """The same state: without a field the compact model's vacancies rest, at any temperature."""
        require_duration(seconds)
        return state

    # ------------------------------------------------------------------------------------------ physics

    def _inside(self, log_C):
        return jnp.clip(log_C, LOG_C_MIN, jnp.log(0.99 * self.C_max))

    def _distance(self, C):
        return jnp.maximum(self.a_min, self.a_0 - self.a_C * C)

    def _barrier(self, C):
        return self.E_e0 - self.E_eC * C

    def _branch(self, x, drive: "_Drive"):
        """Voltage over the cell [V], current [uA] and temperature [K] at the unknown x of the series element."""
        drop, I = drive.series.branch(x, drive.V, drive.up, drive.ambient)
        return drive.V - drop, I, drive.ambient + self.R_th * (drive.V - drop) * I

    def _residual(self, log_C, x, drive: "_Drive"):
        """Voltage that the current x needs, less what there is [V]: sinh inverted, so nearly linear in x."""
        C = jnp.exp(self._inside(log_C))
        V, I, T = self._branch(x, drive)
        kT, a = K * T, self._distance(C)
        ratio = I / (2 * Q * self.A * self.nu_e * a) * jnp.exp(self._barrier(C) / kT - self._inside(log_C))
        return 1e-3 * I * self.R_s + 2 * kT * self.L / a * _arcsinh(jnp.minimum(ratio, 1e18)) - V

    def _log_rate(self, log_C, x, drive: "_Drive"):
        """ln |d ln C/dt| [ln 1/ns]."""
        C = jnp.exp(self._inside(log_C))
        V, I, T = self._branch(x, drive)
        kT = K * T
        F = jnp.maximum(V - 1e-3 * I * self.R_s, 1e-9) / self.L
        force = self.z * F * self.a_i / (2 * kT)
        barrier = jnp.where(drive.up, self.E_set + self.E_setC * C, self.E_reset)
        factor = (1 - jnp.exp(-2 * force)) * (1 - C / self.C_max) ** 10
        rate = jnp.log(self.a_i * self.nu_i / self.L) - barrier / kT + force + jnp.log(jnp.maximum(factor, 1e-35))
        return jnp.clip(rate, *LOG_RATE)

    def _solve(self, log_C, x, drive: "_Drive", steps: int):
        """The series element's unknown after `steps` of Newton from `x`; its derivative is the root's."""
        cell, log, held = jax.lax.stop_gradient((self, log_C, drive))
        limit = held.series.limit(held.V, held.up, cell.R_s)

        def newton(_, x):
            value, slope = jax.jvp(lambda x: cell._residual(log, x, held), (x,), (jnp.ones_like(x),))
            return jnp.clip(x - value / jnp.where(slope > 0, slope, 1.0), 1e-12 * limit, limit)

        start = jax.lax.stop_gradient(jnp.broadcast_to(x, log_C.shape))
        root = checkpoint_name(jax.lax.fori_loop(0, steps, newton, start), _SOLVED)
        return _at_root(root, (self, log_C, drive))

    def _solved_rate(self, log_C, x, drive: "_Drive", steps: int):
        x = self._solve(log_C, x, drive, steps)
        return self._log_rate(log_C, x, drive), x


class _Drive(eqx.Module):
    """What a pulse holds constant: |V| [V], its sign, the ambient [K] and the series element."""

    V: Any
    up: Any
    ambient: Any
    series: AbstractSeries


@jax.custom_jvp
def _at_root(x, arguments):
    """`x`, of which the arguments' derivative is that of the root of `_residual`: -(dr/darguments)/(dr/dx)."""
    return x


@_at_root.defjvp
def _at_root_jvp(primals, tangents):
    x, arguments = _at_root(*primals), primals[1]  # itself, so that higher derivatives are right too

    def residual(x, arguments):
        cell, log_C, drive = arguments
        return cell._residual(log_C, x, drive)

    moved = jax.jvp(lambda a: residual(x, a), (arguments,), (tangents[1],))[1]
    slope = jax.jvp(lambda x: residual(x, arguments), (x,), (jnp.ones_like(x),))[1]
    return x, -moved / jnp.where(slope > 0, slope, 1.0)


@jax.custom_jvp
def _arcsinh(x):
    """arcsinh of x >= 0, with the short derivative."""
    return jnp.log1p(x + x**2 / (1 + jnp.sqrt(1 + x**2)))


@_arcsinh.defjvp
def _arcsinh_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return _arcsinh(x), dx / jnp.sqrt(1 + x**2)


def _advance(way, slope):
    """-ln(1 - slope way)/slope: how far ln C goes while the first rate would go `way`, for ln rate of that slope."""
    q = jnp.minimum(slope * way, 0.99)
    small = jnp.abs(q) < 0.03
    p, q = jnp.where(small, q, 0.0), jnp.where(small, 0.0, q)  # each branch sees only what it can bear
    near = jnp.where(small, way, 0.0) * (1 + p * (1 / 2 + p * (1 / 3 + p * (1 / 4 + p / 5))))
    return jnp.where(small, near, -jnp.log(1 - q) / jnp.where(small, 1.0, slope))


def _elapsed(q):
    """(1 - exp(-q))/q: its inverse, the time that a step takes over that at the first rate."""
    q = jnp.maximum(q, -60.0)
    small = jnp.abs(q) < 0.03
    p, q = jnp.where(small, q, 0.0), jnp.where(small, 1.0, q)
    return jnp.where(small, 1 - p * (1 / 2 - p * (1 / 6 - p / 24)), (1 - jnp.exp(-q)) / q)
