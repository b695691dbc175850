"""How a ferroelectric capacitor ages: wake-up, fatigue, imprint and breakdown, as one history in the state.

N counts cycles by what switched: a full reversal is half a cycle, a pulse that switches nothing is none.

    wake-up    sigma_b(N) = sigma_inf + (sigma_0 - sigma_inf) exp[-(N/N_w)^m],   P_r falls short by d exp[-(N/N_w)^m]
    fatigue    P_r(N) = P_r/[1 + (N/N_f)^c]
    imprint    E_imp = E_1 ln(1 + t/t_i) towards the state stored, for t at rest at one temperature
    breakdown  `hfsim.devices.breakdown`: Weibull, accelerated by field

sigma_b is the spread of the domains' built-in field (pinched loops before wake-up); the kinetics must have one
(`GB2Kinetics.built_in`). Wake-up: M. Pesic et al., Adv. Funct. Mater. 26, 4601 (2016) for its cause, a
redistribution of trapped charge; the functions of N are the empirical ones of endurance measurements.

Imprint is charge that follows the polarisation p through traps of very different rates s/t_i: with the density
exp(-s)/s ds of rates, the sum of all 1 - exp(-s t/t_i) is exactly ln(1 + t/t_i) (Frullani's integral). Each group
of traps relaxes exponentially towards the present p, so a device that is stored, written over and baked in any order
keeps one history, waits compose exactly at a constant p, and an opposite state erases the imprint as slowly as it came.
Rates are Arrhenius-accelerated. Log-time law: J. Appl. Phys. 129, 224102 (2021), doi 10.1063/5.0053185.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from hfsim.compensated import Compensated
from hfsim.devices.breakdown import Damage, DielectricBreakdown
from hfsim.draws import require_key, stream
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import BOLTZMANN, NANOSECONDS, ROOM_TEMPERATURE

_CYCLES_MIN = 1e-6  # below it (N/N_w)^m is that of 1e-6 cycles: its slope at N = 0 may be infinite
_SPACING = 1.25  # of the groups of traps in ln s; the sum is within 5e-4 of the logarithm
_LN_S_MAX, _LN_S_MIN = 2.75, -43.5  # fastest and slowest groups: t_i/16 to 8e18 t_i
_ACCELERATION_LN_MAX = 80.0


def _stretched(cycles, scale, exponent):
    return jnp.exp(exponent * jnp.log(jnp.maximum(cycles, _CYCLES_MIN) / scale))


class WakeUp(PhysicalModel):
    """Cycling narrows the spread of built-in fields and frees pinned domains."""

    sigma_0: Float[Array, "..."] = parameter(unit="MV/cm", bounds=(0.0, 5.0), doc="spread of E_off, pristine")
    sigma_inf: Float[Array, "..."] = parameter(unit="MV/cm", bounds=(0.0, 5.0), doc="spread of E_off, woken")
    deficit: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 0.9), doc="share of P_r missing when pristine")
    N_w: Float[Array, "..."] = parameter(unit="1", bounds=(1.0, 1e9), doc="cycles of wake-up", logarithmic=True)
    m: Float[Array, "..."] = parameter(unit="1", bounds=(0.1, 4.0), doc="stretching exponent of wake-up")

    def remaining(self, cycles) -> Float[Array, "..."]:
        """exp[-(N/N_w)^m]: 1 when pristine, 0 when woken."""
        return jnp.exp(-jnp.minimum(_stretched(cycles, self.N_w, self.m), 80.0))


class Fatigue(PhysicalModel):
    """Cycling pins domains for good."""

    N_f: Float[Array, "..."] = parameter(unit="1", bounds=(1e2, 1e18), doc="cycles that halve P_r", logarithmic=True)
    c: Float[Array, "..."] = parameter(unit="1", bounds=(0.1, 4.0), doc="exponent of fatigue")

    def remaining(self, cycles) -> Float[Array, "..."]:
        """1/[1 + (N/N_f)^c]."""
        return 1 / (1 + _stretched(cycles, self.N_f, self.c))


class Imprint(PhysicalModel):
    """A built-in field that grows with the logarithm of time towards the state that is stored."""

    E_1: Float[Array, "..."] = parameter(unit="MV/cm", bounds=(0.0, 1.0), doc="imprint per e-fold of time")
    t_i: Float[Array, "..."] = parameter(
        unit="s", bounds=(1e-9, 1e9), doc="onset of imprint at 300 K", logarithmic=True
    )
    E_A: Float[Array, "..."] = parameter(unit="eV", bounds=(0.0, 3.0), doc="activation energy of the traps")

    @staticmethod
    def rates() -> np.ndarray:
        """s of the groups of traps; rates are s/t_i."""
        return np.exp(np.arange(_LN_S_MIN, _LN_S_MAX + 1e-9, _SPACING))

    def relax(self, traps, polarisation, seconds, temperature) -> Float[Array, "groups *devices"]:
        """Occupation of the groups after `seconds` [s] at this polarisation."""
        acceleration = jnp.clip(
            self.E_A / BOLTZMANN * (1 / ROOM_TEMPERATURE - 1 / temperature),
            -_ACCELERATION_LN_MAX,
            _ACCELERATION_LN_MAX,
        )
        turns = seconds / self.t_i * jnp.exp(acceleration)
        rates = jnp.asarray(self.rates(), traps.dtype).reshape((-1,) + (1,) * (traps.ndim - 1))
        return traps - (traps - polarisation) * -jnp.expm1(-rates * turns)

    def field(self, traps) -> Float[Array, "*devices"]:
        """E_imp [MV/cm]."""
        weight = jnp.asarray(_SPACING * np.exp(-self.rates()), traps.dtype)
        return self.E_1 * jnp.tensordot(weight, traps, axes=1)


class Wear(eqx.Module):
    """History of devices of some shape; a part that the model of ageing does not have is None."""

    cycles: Compensated
    traps: Float[Array, "groups *devices"] | None
    damage: Damage | None


class Ageing(PhysicalModel):
    """The ways in which a capacitor ages; any of them may be left out."""

    wake_up: WakeUp | None = None
    fatigue: Fatigue | None = None
    imprint: Imprint | None = None
    breakdown: DielectricBreakdown | None = None

    def init(self, shape: tuple[int, ...], key: Key[Array, ""] | None, dtype) -> Wear:
        """Pristine devices; `key` draws when each breaks, and is needed where they can.

        Raises:
            InputError: the model has a breakdown, and `key` is none.
        """
        damage = None
        if self.breakdown is not None:
            draw = self.breakdown.threshold(shape, stream(require_key(key), "breakdown"))
            damage = Damage(Compensated.zero(shape, dtype), draw.astype(dtype))
        traps = None if self.imprint is None else jnp.zeros((self.imprint.rates().size, *shape), dtype)
        return Wear(Compensated.zero(shape, dtype), traps, damage)

    def aged(self, capacitor: Any, wear: Wear) -> Any:
        """The capacitor as it is now: remanence, built-in field and its spread after what the state went through."""
        cycles, share = wear.cycles.value, 1.0
        if self.fatigue is not None:
            share = share * self.fatigue.remaining(cycles)
        if self.wake_up is not None:
            pristine = self.wake_up.remaining(cycles)
            share = share * (1 - self.wake_up.deficit * pristine)
            sigma = self.wake_up.sigma_inf + (self.wake_up.sigma_0 - self.wake_up.sigma_inf) * pristine
            if getattr(capacitor.kinetics, "built_in", None) is None:
                raise InputError(
                    "kinetics",
                    "have a spread of built-in fields for wake-up to act on",
                    type(capacitor.kinetics).__name__,
                    "use GB2Kinetics(..., built_in=BuiltInSpread(sigma)), or leave `wake_up` out",
                )
            capacitor = eqx.tree_at(lambda c: c.kinetics.built_in.sigma, capacitor, sigma)
        if wear.damage is not None:
            share = share * (1 - wear.damage.broken)
        capacitor = eqx.tree_at(lambda c: c.P_r, capacitor, capacitor.P_r * share)
        if self.imprint is not None:
            capacitor = eqx.tree_at(lambda c: c.E_bi, capacitor, capacitor.E_bi + self.imprint.field(wear.traps))
        return capacitor

    def worn(self, wear: Wear, *, turned, level, field, seconds, area, temperature) -> Wear:
        """The history after an exposure.

        Args:
            wear: history so far.
            turned: sum of the changes of the polarisation p, each without its sign; 4 is a full cycle.
            level: p that the traps followed.
            field: in the film [MV/cm].
            seconds: duration [s].
            area: [um2].
            temperature: [K].
        """
        traps, damage = wear.traps, wear.damage
        if self.imprint is not None:
            traps = self.imprint.relax(traps, level, seconds, temperature)
        if self.breakdown is not None and damage is not None:
            more = self.breakdown.damage(field, NANOSECONDS * seconds, area, temperature)
            damage = Damage(damage.total.add(jnp.broadcast_to(more, damage.threshold.shape)), damage.threshold)
        return Wear(wear.cycles.add(0.25 * turned), traps, damage)
