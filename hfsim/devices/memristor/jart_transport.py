"""Conduction and heat of the JART VCM v1b memristor: the current that a vacancy concentration gives at a voltage.

C. Bengel et al., IEEE Trans. Circuits Syst. I 67, 4618 (2020); Verilog-A code (CC0): 10.26165/JUELICH-DATA/LUA8QY.
A Schottky contact in series with the disc under it, the rest of the filament (the plug) and the cell's lines:

    V = V_s + I (R_disc + R_plug + R_series),    A = pi r^2
    R_disc = l_disc/(z e mu_n N A),   R_plug = (l_cell - l_disc)/(z e mu_n N_plug A)
    R_series = R_TiOx + R_0 (1 + R_0 alpha_line I^2 R_th_line)
    T = T_0 + R_th0 (r_det/r)^2 I (V - I R_series) x {1 for V < 0; eta_reset for V > 0}
    psi = phi_Bn0 - phi_n - V_s,   phi_Bn = max{phi_Bn0 - [e^3 z N psi/(8 pi^2 eps_phiB^3)]^(1/4), 0}

    V_s > 0:  I =  A A* T^2 exp(-phi_Bn/kT) [exp(V_s/kT) - 1]                                  thermionic emission
    V_s < 0:  I = -A A* T/k sqrt{pi W00 [|V_s| + phi_Bn/cosh^2(W00/kT)]} exp(-phi_Bn/W0) [exp(|V_s|/eps') - 1]
              W00 = (h/4 pi) sqrt[z N/(m* eps)],  W0 = W00 coth(W00/kT),  eps' = W00/[W00/kT - tanh(W00/kT)]

with kT, W00, W0 and eps' in volts. The unknown is |V_s|: it gives I by Ohm's law, I gives T, and the contact's law is
written as |V_s| = s ln(1 + I/I_0) (s = kT or eps'), close to linear, so that Newton's method needs a few steps.

Trap: for V > 0 the barrier lowering ends where psi = 0. There the contact's current falls by up to exp(phi_Bn0/kT)
before it rises again, and the loop equation has up to three roots; the smallest V_s, on the conducting branch that a
rising voltage follows, is taken. The peak before the fall is known and tells on which side that root lies.
psi^(1/4) has an infinite slope at 0: psi is 2 mV softplus(psi/2 mV).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from hfsim.parameters import PhysicalModel, parameter
from hfsim.roots import increasing_root
from hfsim.units import thermal_voltage

CHARGE = 1.602176634e-4
"""Elementary charge [fC]."""
TUNNELLING = 0.5871206
"""(h/4 pi) sqrt[1 nm^-3/(m_e eps0)] [V]: W00 at z N = 1 nm^-3, m* = m_e, eps = eps0."""
LOWERING = 2.943227
"""[e^3 nm^-3/(8 pi^2 eps0^3)]^(1/4) [V^(3/4)]: barrier lowering at z N = 1 nm^-3, psi = 1 V, eps_phiB = eps0."""
BOLTZMANN_VOLTS = thermal_voltage(1.0)
SMOOTHING = 0.002
"""Width of the softplus that ends the barrier lowering [V]."""
LEAST_VOLTAGE = 1e-9
"""Below this voltage [V] the device is taken as linear."""


class OperatingPoint(NamedTuple):
    """Solution at one voltage, as magnitudes: contact voltage [V], current [uA], temperature [K], and the voltages [V]
    over the disc and over the whole filament with its contact."""

    V_s: Float[Array, "..."]
    I: Float[Array, "..."]
    T: Float[Array, "..."]
    V_disc: Float[Array, "..."]
    V_cell: Float[Array, "..."]


class JartConduction(PhysicalModel):
    """Schottky contact, filament, lines and heat of the JART VCM v1b cell."""

    phi_Bn0: Float[Array, "..."] = parameter(unit="V", bounds=(0.05, 0.5), doc="Schottky barrier without lowering")
    phi_n: Float[Array, "..."] = parameter(unit="V", bounds=(0.0, 0.3), doc="Fermi level below the conduction band")
    eps: Float[Array, "..."] = parameter(unit="1", bounds=(5.0, 50.0), doc="static relative permittivity")
    eps_phiB: Float[Array, "..."] = parameter(
        unit="1", bounds=(2.0, 20.0), doc="relative permittivity of the barrier lowering"
    )
    A_star: Float[Array, "..."] = parameter(
        unit="uA/um2 K2", bounds=(0.05, 5.0), doc="effective Richardson constant A*", logarithmic=True
    )
    m_star: Float[Array, "..."] = parameter(
        unit="1", bounds=(0.1, 5.0), doc="tunnelling mass over the electron's", logarithmic=True
    )
    mu_n: Float[Array, "..."] = parameter(
        unit="nm2/V ns", bounds=(400.0, 40000.0), doc="electron mobility", logarithmic=True
    )
    z: Float[Array, "..."] = parameter(unit="1", bounds=(1.0, 3.0), doc="charge of a vacancy over e")
    N_plug: Float[Array, "..."] = parameter(
        unit="1/nm3", bounds=(0.2, 10.0), doc="vacancy concentration of the plug", logarithmic=True
    )
    r: Float[Array, "..."] = parameter(unit="nm", bounds=(5.0, 200.0), doc="radius of the filament", logarithmic=True)
    l_cell: Float[Array, "..."] = parameter(unit="nm", bounds=(1.5, 20.0), doc="length of disc and plug")
    l_disc: Float[Array, "..."] = parameter(unit="nm", bounds=(0.2, 1.5), doc="length of the disc")
    R_TiOx: Float[Array, "..."] = parameter(unit="kohm", bounds=(0.05, 10.0), doc="resistance of the TiOx layer")
    R_0: Float[Array, "..."] = parameter(unit="kohm", bounds=(0.0, 10.0), doc="resistance of the lines, cold")
    alpha_line: Float[Array, "..."] = parameter(
        unit="1/K", bounds=(0.0, 0.02), doc="temperature coefficient of the lines"
    )
    R_th_line: Float[Array, "..."] = parameter(unit="K/V uA", bounds=(0.0, 1.0), doc="thermal resistance of the lines")
    R_th0: Float[Array, "..."] = parameter(
        unit="K/V uA", bounds=(0.5, 100.0), doc="thermal resistance of a filament of radius r_det", logarithmic=True
    )
    r_det: Float[Array, "..."] = parameter(
        unit="nm", bounds=(5.0, 200.0), doc="radius of the deterministic model's filament", logarithmic=True
    )
    eta_reset: Float[Array, "..."] = parameter(
        unit="1", bounds=(0.05, 1.0), doc="thermal resistance at V > 0 over that at V < 0"
    )

    def solve(
        self, N: Float[Array, "..."], V: Float[Array, "..."], negative: Bool[Array, "..."], T_0
    ) -> OperatingPoint:
        """The loop equation's solution at vacancy concentration N [1/nm3] and |V| = `V` [V], at ambient T_0 [K].

        `negative` is where the applied voltage is below 0. `V` has the devices' shape, or leads it by axes.
        """

        def residual(V_s, of=(self, N, V, negative, T_0)):
            model, N, V, negative, T_0 = of
            I, T, *_ = model._line(V_s, N, V, negative, T_0)
            log_I_0, scale = model._contact(V_s, T, N, negative)
            return V_s - scale * jax.nn.softplus(jnp.log(jnp.maximum(I, 1e-30)) - log_I_0)

        shape = jnp.broadcast_shapes(*map(jnp.shape, (N, V, negative, T_0, *jax.tree.leaves(self))))
        V, negative = jnp.broadcast_to(V, shape), jnp.broadcast_to(negative, shape)
        detached = jax.lax.stop_gradient((self, N, V, negative, T_0))
        lower, upper = self._bracket(lambda V_s: residual(V_s, detached), *detached[1:4])
        V_s = increasing_root(residual, lower, upper)

        I, T, R_disc, R_filament = self._line(V_s, N, V, negative, T_0)
        log_I_0, scale = self._contact(V_s, T, N, negative)
        # where the contact takes nearly all of V, Ohm's law of the rest cancels: its own law gives the same current
        ratio = jnp.minimum(V_s / scale, 80.0)
        contact = jnp.exp(jnp.minimum(log_I_0 + ratio, 40.0)) * -jnp.expm1(-ratio)
        I = jnp.where(V - V_s < 0.1 * V, contact, I)
        V_cell = V_s + 1e-3 * I * R_filament
        return OperatingPoint(V_s, I, self._temperature(I, V_cell, negative, T_0), 1e-3 * I * R_disc, V_cell)

    def _bracket(self, residual, N, V, negative):
        """An interval that holds the smallest root alone, found without derivatives.

        For V < 0 there is one root. For V > 0 the contact's current, at constant T, peaks where the lowering falls as
        fast as V_s rises, or where the barrier appears, if that is later; it is sampled about that peak.
        """
        steepness = LOWERING * (self.z * N / self.eps_phiB**3) ** 0.25
        peak = jnp.minimum((steepness / 4) ** (4 / 3), (self.phi_Bn0 / steepness) ** 4)
        psi = jnp.stack([jnp.broadcast_to(peak * share, V.shape) for share in (4.0, 2.0, 1.4, 1.0, 0.7, 0.5)])
        psi = psi + SMOOTHING * jnp.log(-jnp.expm1(-psi / SMOOTHING))  # what the softplus turns into psi
        points = jnp.clip(self.phi_Bn0 - self.phi_n - psi, 0.0, V)
        above = residual(points) >= 0
        first = jnp.argmax(above, axis=0)[None]
        some = jnp.any(above, axis=0)
        here = jnp.take_along_axis(points, first, axis=0)[0]
        before = jnp.take_along_axis(points, jnp.maximum(first - 1, 0), axis=0)[0]
        lower = jnp.where(some, jnp.where(first[0] > 0, before, 0.0), points[-1])
        return jnp.where(negative, 0.0, lower), jnp.where(negative | ~some, V, here)

    def _line(self, V_s, N, V, negative, T_0):
        """Current [uA] and temperature by Ohm's law at the contact voltage V_s; R of disc and filament [kohm]."""
        conductivity = 1e-3 * self.z * CHARGE * self.mu_n * math.pi * self.r**2  # N x this / l in 1/kohm
        R_disc = self.l_disc / (conductivity * N)
        R_filament = R_disc + (self.l_cell - self.l_disc) / (conductivity * self.N_plug)
        heating = 1e-3 * self.R_0**2 * self.alpha_line * self.R_th_line  # kohm/uA2
        I = _ohmic_current(V - V_s, R_filament + self.R_TiOx + self.R_0, heating)
        T = self._temperature(I, V_s + 1e-3 * I * R_filament, negative, T_0)
        return I, T, R_disc, R_filament

    def _temperature(self, I, V_cell, negative, T_0):
        """Temperature [K] of the filament; V_cell = V - I R_series, without its cancellation."""
        R_th = self.R_th0 * (self.r_det / self.r) ** 2 * jnp.where(negative, 1.0, self.eta_reset)
        return T_0 + R_th * I * V_cell

    def _contact(self, V_s, T, N, negative):
        """ln(I_0/uA) and s [V] of the contact's law I = I_0 [exp(|V_s|/s) - 1]."""
        kT, zN = thermal_voltage(T), self.z * N
        psi = self.phi_Bn0 - self.phi_n + jnp.where(negative, V_s, -V_s)
        lowering = LOWERING * jnp.exp(0.25 * (jnp.log(zN) - 3 * jnp.log(self.eps_phiB) + _log_smooth(psi)))
        phi = jnp.maximum(self.phi_Bn0 - lowering, 0.0)
        thermionic = jnp.log(T) - phi / kT

        W00 = TUNNELLING * jnp.sqrt(zN / (self.m_star * self.eps))
        w = W00 / kT
        tanh = jnp.tanh(w)
        fall = jnp.exp(-2 * w)
        energy = jnp.maximum(V_s + phi * 4 * fall / (1 + fall) ** 2, LEAST_VOLTAGE)
        tunnelling = 0.5 * jnp.log(math.pi * W00 * energy) - phi * tanh / W00 - math.log(BOLTZMANN_VOLTS)

        area = 1e-6 * math.pi * self.r**2  # um2
        log_I_0 = jnp.log(area * self.A_star * T) + jnp.where(negative, tunnelling, thermionic)
        return log_I_0, kT * jnp.where(negative, _tunnelling_slope(w, tanh), 1.0)


def _ohmic_current(U, R, heating):
    """The current I [uA] of 1e3 U = R I + heating I^3 [kohm, kohm/uA2].

    Newton's method from above, where it converges monotonically; its start carries no derivative, its steps do.
    """
    Y = 1e3 * U
    I = jax.lax.stop_gradient(jnp.minimum(Y / R, jnp.cbrt(Y / jnp.maximum(heating, 1e-20))))
    for _ in range(4):
        I = (Y + 2 * heating * I**3) / (R + 3 * heating * I**2)
    return I


def _log_smooth(psi):
    """ln[2 mV softplus(psi/2 mV)], which tends to psi/2 mV far below 0."""
    x = psi / SMOOTHING
    above = jnp.log(jax.nn.softplus(jnp.maximum(x, -15.0)))
    return math.log(SMOOTHING) + jnp.where(x < -15.0, x, above)


def _tunnelling_slope(w, tanh):
    """eps'/kT = w/[w - tanh(w)]; by the series of the difference where it cancels."""
    x = jnp.minimum(w, 0.4) ** 2
    series = x * (1 / 3 - x * (2 / 15 - x * (17 / 315 - x * (62 / 2835 - x * 1382 / 155925))))
    return jnp.where(w < 0.4, 1 / series, w / jnp.maximum(w - tanh, 0.02))
