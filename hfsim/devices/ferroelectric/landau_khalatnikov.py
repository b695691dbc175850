"""Landau-Khalatnikov switching of a single domain.

L. D. Landau, I. M. Khalatnikov, Dokl. Akad. Nauk SSSR 96, 469 (1954); for ferroelectrics Y. Ishibashi, J. Phys. Soc.
Jpn. 59, 4148 (1990), and in circuits S. Salahuddin, S. Datta, Nano Lett. 8, 405 (2008):

    rho dP/dt = E - (2 alpha P + 4 beta P^3 + 6 gamma P^5)

with alpha < 0 < beta (second order). For gamma = 0 a remanent polarisation P_r and a coercive field E_c give

    alpha = -(3 sqrt3/4) E_c/P_r,      beta = (3 sqrt3/8) E_c/P_r^3,      spinodal at P_r/sqrt3

(`of_loop`). Curie-Weiss: alpha(T) = alpha (T_0 - T)/(T_0 - 300 K); beyond T_0 the film is paraelectric. P here is in
units of the remanent polarisation at 300 K, and exceeds it under a field.

In units of p = P/P_r and rho/(2 |alpha|) the equation has the coefficients (E, alpha, beta, gamma) of order 1. It is
integrated by diffrax (Tsit5, adaptive, each device on its own) until the time is up or the domain has come to rest:
an equation of first order cannot overshoot, so from there on nothing moves, and a wait of years costs what the
relaxation costs; times beyond 1e4 rho/(2 |alpha|) count as that. Stiffness would come from resting, so that no
implicit solver is needed. Relative tolerance 2e-6 in float32, 1e-11 in float64.

Derivatives are forward sensitivities: p', the five integrals of exp(integral of f_p) times what each coefficient
multiplies, are integrated along with p under the same tolerance, and serve forward and reverse mode alike. They are
exact derivatives of the equation rather than of the steps taken, and need no memory for them. Higher derivatives:
forward mode over either.

Validity: one domain, so one coercive field, above which all switches within a few rho/(2 |alpha|) and below which
nothing ever does: E_c comes out several times too high when alpha is taken from P_r and the permittivity, and there is
no tail of nucleation. A fraction `up` of 1/2 is P = 0, where the domain is in unstable balance.
"""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from hfsim.devices.ferroelectric.kinetics import AbstractKinetics
from hfsim.parameters import parameter
from hfsim.units import ROOM_TEMPERATURE

_MV_OF_V = 1e-6  # beta and gamma are per V, so that their numbers are near 1
_TIME_MAX = 1e4  # in rho/(2 |alpha|)
_STEPS_MAX = 16384
# By bytes of a float: of a step, and of rest. An explicit solver that rests hovers at its step's tolerance, so that
# rest has to be coarser to be seen; what it leaves is made up by a step of Newton.
_TOLERANCES = {4: (2e-6, 2e-5), 8: (1e-11, 1e-10)}
_FIELD_MAX = 1e6  # in 2 |alpha| P_r


class LandauKhalatnikovState(eqx.Module):
    """P over the remanent polarisation at 300 K."""

    p: Float[Array, "*devices"]


class LandauKhalatnikovKinetics(AbstractKinetics):
    """A single domain in Landau's potential with viscous damping."""

    alpha: Float[Array, "..."] = parameter(unit="MV cm/uC", bounds=(-10.0, -1e-4), doc="coefficient of P^2 at 300 K")
    beta: Float[Array, "..."] = parameter(
        unit="V cm5/uC3", bounds=(1e-2, 1e7), doc="coefficient of P^4", logarithmic=True
    )
    rho: Float[Array, "..."] = parameter(
        unit="kohm cm", bounds=(1e-8, 1e8), doc="damping; 1 kohm cm = 1 MV/cm per uC/cm2/ns", logarithmic=True
    )
    gamma: Float[Array, "..."] = parameter(unit="V cm9/uC5", bounds=(0.0, 1e6), doc="coefficient of P^6", default=0.0)
    T_0: Float[Array, "..."] = parameter(
        unit="K", bounds=(310.0, 1e5), doc="Curie-Weiss temperature; the default is no dependence", default=1e5
    )

    @classmethod
    def of_loop(cls, P_r, E_c, rho, **others) -> "LandauKhalatnikovKinetics":
        """The model with gamma = 0 whose remanent polarisation is P_r [uC/cm2] and coercive field E_c [MV/cm]."""
        shape = 3 * np.sqrt(3.0) / 8 * E_c
        return cls(alpha=-2 * shape / P_r, beta=shape / P_r**3 / _MV_OF_V, rho=rho, **others)

    @property
    def remanent_polarisation(self) -> Float[Array, "..."]:
        """P_r [uC/cm2] at 300 K, where 2 alpha + 4 beta P^2 + 6 gamma P^4 = 0."""
        beta, gamma = _MV_OF_V * self.beta, _MV_OF_V * self.gamma
        return jnp.sqrt(-self.alpha / (beta + jnp.sqrt(beta**2 - 3 * self.alpha * gamma)))

    @property
    def time_scale(self) -> Float[Array, "..."]:
        """rho/(2 |alpha|) [ns]: e-folding time of growth from P = 0, twice that of coming to rest for gamma = 0."""
        return -self.rho / (2 * self.alpha)

    def init(self, shape: tuple[int, ...], up=0.0, key: Key[Array, ""] | None = None) -> LandauKhalatnikovState:
        zero = jnp.zeros(shape, jnp.result_type(self.alpha, float))
        return LandauKhalatnikovState(zero + 2 * jnp.asarray(up, zero.dtype) - 1)

    def expose(self, state: LandauKhalatnikovState, field, width, temperature) -> LandauKhalatnikovState:
        P_r = self.remanent_polarisation
        unit = -2 * self.alpha * P_r  # of field
        quintic = 6 * _MV_OF_V * self.gamma * P_r**5 / unit
        linear = -(self.T_0 - temperature) / (self.T_0 - ROOM_TEMPERATURE)
        drive = jnp.clip(field / unit, -_FIELD_MAX, _FIELD_MAX)
        time = jnp.minimum(width / self.time_scale, _TIME_MAX)
        # 2 alpha + 4 beta P_r^2 + 6 gamma P_r^4 = 0 makes the cubic coefficient 1 less the quintic one
        values = (state.p, time, drive, linear, 1 - quintic, quintic)
        values = [jnp.broadcast_to(v, state.p.shape).astype(state.p.dtype).reshape(-1) for v in values]
        return LandauKhalatnikovState(jax.vmap(_flow)(*values).reshape(state.p.shape))

    def polarisation(self, state: LandauKhalatnikovState) -> Float[Array, "*devices"]:
        return state.p


def _rate(p, drive, linear, cubic, quintic):
    """dp/dt, and its derivative in p."""
    square = p * p
    rate = drive - p * (linear + square * (cubic + square * quintic))
    return rate, -(linear + square * (3 * cubic + square * 5 * quintic))


def _integrate(rates, start, time, at_rest):
    """Solve dy/dt = rates(y) from `start` over `time`, or until `at_rest(y)`."""
    tolerance, _ = _TOLERANCES[time.dtype.itemsize]
    start, time = jax.lax.optimization_barrier((start, time))  # XLA's simplifier runs in circles on constants here
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: rates(y)),
        diffrax.Tsit5(),
        t0=jnp.zeros_like(time),
        t1=time,
        dt0=None,
        y0=start,
        saveat=diffrax.SaveAt(t1=True),
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
        event=diffrax.Event(lambda t, y, args, **_: at_rest(y)),
        adjoint=diffrax.ForwardMode(),
        max_steps=_STEPS_MAX,
        throw=False,
    )
    return jax.tree.map(lambda y: y[-1], solution.ys)


def _settled(p, coefficients):
    """p, moved to its equilibrium where it rests."""
    rate, slope = _rate(p, *coefficients)
    return jnp.where(_rests(p, coefficients), p - rate / jnp.where(slope < 0, slope, -1.0), p)


def _rests(p, coefficients):
    """Whether p is closer to its stable equilibrium than the tolerance."""
    rate, slope = _rate(p, *coefficients)
    return jnp.abs(rate) < -slope * _TOLERANCES[p.dtype.itemsize][1] * jnp.maximum(jnp.abs(p), 1.0)


@jax.custom_jvp
def _flow(p, time, drive, linear, cubic, quintic):
    """p after `time`, one device, all in units of order 1."""
    coefficients = (drive, linear, cubic, quintic)
    end = _integrate(lambda y: _rate(y, *coefficients)[0], p, time, lambda y: _rests(y, coefficients))
    return _settled(end, coefficients)


@_flow.defjvp
def _flow_jvp(primals, tangents):
    p, time, *coefficients = primals
    zero = jnp.zeros_like(p)
    start = (p, jnp.ones_like(p), zero, zero, zero, zero)

    def rates(y):
        p, *sensitivities = y
        rate, slope = _rate(p, *coefficients)
        cube = p * p * p
        sources = (0.0, 1.0, -p, -cube, -cube * p * p)
        return rate, *(slope * s + source for s, source in zip(sensitivities, sources, strict=True))

    def at_rest(y):
        return _rests(y[0], coefficients) & (jnp.abs(y[1]) < _TOLERANCES[p.dtype.itemsize][1])

    end, of_start, *of_coefficients = _integrate(rates, start, time, at_rest)
    p_dot, time_dot, *coefficient_dots = tangents
    slope = of_start * p_dot + _rate(end, *coefficients)[0] * time_dot
    return _settled(end, coefficients), slope + sum(
        s * d for s, d in zip(of_coefficients, coefficient_dots, strict=True)
    )
