"""Heracles: thermally activated switching between two states over one barrier.

L. Fehlings et al., arXiv:2410.07791 (2024); their Verilog-A model is at github.com/bics-rug/heracles (MIT licence).
The probability p of the state "up" obeys

    dp/dt = k_+ (1 - p) - k_- p,      k_+- = (k_B T/h) exp{-[w_b -+ (E - E_off) d_E]/(k_B T)}

with a barrier w_b, an action length d_E of the field and an offset field E_off; P = P_s (2 p - 1). Under a constant
field p relaxes exponentially, so each step is exact, however long it is. Where the field lowers the barrier so far
that k = nu, the coercive field of a loop whose field sweeps the thermal energy in about 1/nu,

    E_c(nu, T) = [w_b - k_B T ln(k_B T/(h nu))]/d_E,      branches at E_off +- E_c

The rest of Heracles is around it: leakage in `leakage`, interface layer and area in the capacitor. Its electrode's
depletion capacitance is not modelled here.

Validity: one barrier has one time constant, so switching takes one decade of time where a film takes many, and rest
erases: at 300 K and E = E_off the published values give 1/(k_+ + k_-) = 9.7 h, at E = 0 under E_off = 0.2 MV/cm
3.5 min. Rates beyond the attempt frequency k_B T/h (|E - E_off| > w_b/d_E) follow the formula but mean nothing.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hfsim.devices.ferroelectric.kinetics import AbstractKinetics
from hfsim.parameters import parameter
from hfsim.units import BOLTZMANN, FIELD_OF_VOLT_PER_NM

PLANCK = 4.135667696e-6
"""Planck constant [eV ns]."""
_LN_HAZARD = (-80.0, 5.0)  # of k t: below it nothing has moved, above it all is relaxed


class HeraclesState(eqx.Module):
    """Probability p of the state "up"."""

    p: Float[Array, "*devices"]


class HeraclesKinetics(AbstractKinetics):
    """Two states and a barrier that field and temperature overcome."""

    w_b: Float[Array, "..."] = parameter(unit="eV", bounds=(0.05, 5.0), doc="energy barrier at zero field")
    d_E: Float[Array, "..."] = parameter(unit="nm", bounds=(0.1, 100.0), doc="action length of the field")
    E_off: Float[Array, "..."] = parameter(unit="MV/cm", bounds=(-5.0, 5.0), doc="offset field", default=0.0)

    def log_rates(self, field, temperature) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """ln k_+ and ln k_- [1/ns] at `field` [MV/cm]."""
        kT = BOLTZMANN * temperature
        shift = (field - self.E_off) * self.d_E / FIELD_OF_VOLT_PER_NM
        attempt = jnp.log(kT / PLANCK)
        return attempt - (self.w_b - shift) / kT, attempt - (self.w_b + shift) / kT

    def coercive_field(self, rate, temperature) -> Float[Array, "..."]:
        """E_c(nu, T) [MV/cm] from E_off, at which a rate k is `rate` [1/ns]."""
        kT = BOLTZMANN * temperature
        return FIELD_OF_VOLT_PER_NM * (self.w_b - kT * jnp.log(kT / (PLANCK * rate))) / self.d_E

    def init(self, shape: tuple[int, ...], up=0.0, key: Key[Array, ""] | None = None) -> HeraclesState:
        zero = jnp.zeros(shape, jnp.result_type(self.w_b, float))
        return HeraclesState(zero + jnp.asarray(up, zero.dtype))

    def expose(self, state: HeraclesState, field, width, temperature) -> HeraclesState:
        plus, minus = self.log_rates(field, temperature)
        settled = jax.nn.sigmoid(plus - minus)
        waits = jnp.asarray(width) > 0
        log_hazard = jnp.logaddexp(plus, minus) + jnp.log(jnp.where(waits, width, 1.0))
        moved = jnp.where(waits, -jnp.expm1(-jnp.exp(jnp.clip(log_hazard, *_LN_HAZARD))), 0.0)
        return HeraclesState(state.p + moved * (settled - state.p))

    def polarisation(self, state: HeraclesState) -> Float[Array, "*devices"]:
        return 2 * state.p - 1
