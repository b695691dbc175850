"""Nucleation-limited switching with a Lorentzian distribution of the logarithm of switching times.

A. K. Tagantsev et al., Phys. Rev. B 66, 214109 (2002): a film is an ensemble of regions that switch one by one;
J. Y. Jo et al., Phys. Rev. Lett. 99, 267602 (2007): log t_0 of the regions is Lorentzian. A region switches at once
when its time is up, so one pulse of length t from saturation gives

    dP/(2 P_s) = 1/2 + (1/pi) arctan[(log t - log t_1)/w],      log to base 10
    t_1        = t_inf exp[(E_a/|E|)^alpha]

Any train of rectangular pulses: as in `gb2`, the history of a region grows by dt/t_0 while the field opposes it and
shrinks, not below 0, while the field is along it; it flips when its history reaches 1. Since w does not depend on
the field, every region has t_0 = u t_1(E) with a constant u of its own: all histories are one effective time
s = integral of dt/t_1(E), taken up and down with the sign of the field, and a region is up or down by the last
stretch of s whose range reached u. A stretch that outgrows the one before it closes it for good, as in the rainflow
count, so the state is a list of stretches, each shorter than the last, and P follows in closed form: no classes of
regions, no truncated tail, n pulses of width t are one of n t. `depth` stretches are kept; what would be one more
is merged with the smallest loop, which forgets only the regions between its two stretches.

The tail is heavy: the switched part falls as w/[pi log(t_1/t)], 2.6 % at t = 1e-12 t_1 for w = 1. So the model
never quite saturates, and rest under a weak residual field does switch a little; at zero field nothing moves.
Temperature scales the field: E has the effect of E exp[-dlnE_dT (T - 300 K)] at 300 K.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from hfsim.devices.ferroelectric.kinetics import AbstractKinetics
from hfsim.errors import InputError
from hfsim.parameters import parameter
from hfsim.units import ROOM_TEMPERATURE

_LN_10 = float(np.log(10.0))
_LN_POWER_MAX = 46.0  # of (E_a/E)^alpha: 1e20 e-folds of time
_FIELD_FLOOR = 1e-6  # MV/cm
_WIDTH_FLOOR = 1e-30  # ns
_NONE = -1e30  # ln of the range of a stretch that is not there


class LorentzianState(eqx.Module):
    """Polarisation of the regions that no stretch has reached, sign of the last stretch, ln of all their ranges.

    Ranges are in units of t_1, the last one first.
    """

    start: Float[Array, "*devices"]
    direction: Float[Array, "*devices"]
    log_ranges: Float[Array, "depth *devices"]


class LorentzianKinetics(AbstractKinetics):
    """Regions whose log t_0 is Lorentzian about log t_1(E)."""

    E_a: Float[Array, "..."] = parameter(unit="MV/cm", bounds=(0.01, 100.0), doc="activation field")
    t_inf: Float[Array, "..."] = parameter(
        unit="ns", bounds=(1e-6, 1e9), doc="median switching time at infinite field", logarithmic=True
    )
    alpha: Float[Array, "..."] = parameter(unit="1", bounds=(0.2, 12.0), doc="exponent of E_a/E")
    w: Float[Array, "..."] = parameter(
        unit="1", bounds=(1e-3, 10.0), doc="half width at half maximum of the distribution of log10 t_0, in decades"
    )
    dlnE_dT: Float[Array, "..."] = parameter(
        unit="1/K", bounds=(-0.02, 0.02), doc="relative change of the field scale per kelvin", default=0.0
    )
    depth: int = eqx.field(static=True, default=16)

    def __check_init__(self):
        if not isinstance(self.depth, int) or self.depth < 4 or self.depth % 2:
            raise InputError("depth", "be an even integer >= 4", repr(self.depth), "16 is the default")

    def log_progress(self, field, width, temperature) -> Float[Array, "..."]:
        """ln(t/t_1) of a pulse of `field` [MV/cm], not 0, and `width` [ns]."""
        field = field * jnp.exp(-self.dlnE_dT * (temperature - ROOM_TEMPERATURE))
        ratio = self.E_a / jnp.maximum(jnp.abs(field), _FIELD_FLOOR)
        exponent = jnp.exp(jnp.minimum(self.alpha * jnp.log(ratio), _LN_POWER_MAX))
        return jnp.log(jnp.maximum(width, _WIDTH_FLOOR)) - jnp.log(self.t_inf) - exponent

    def reached(self, log_range) -> Float[Array, "..."]:
        """Share of the regions that a stretch of this ln(range/t_1) switches: 1/2 + (1/pi) arctan[log10(.)/w]."""
        return jnp.arctan2(_LN_10 * self.w, -log_range) / np.pi  # the same angle, exact in the lower tail

    def init(self, shape: tuple[int, ...], up=0.0, key: Key[Array, ""] | None = None) -> LorentzianState:
        zero = jnp.zeros(shape, jnp.result_type(self.w, float))
        ranges = jnp.full((self.depth, *shape), _NONE, zero.dtype)
        return LorentzianState(zero + 2 * jnp.asarray(up, zero.dtype) - 1, zero, ranges)

    def expose(self, state: LorentzianState, field, width, temperature) -> LorentzianState:
        acts = (field != 0) & (width > 0)
        direction = jnp.broadcast_to(jnp.where(field > 0, 1.0, -1.0).astype(state.start.dtype), state.start.shape)
        stretch = jnp.broadcast_to(self.log_progress(field, width, temperature), state.start.shape)
        going_on = direction == state.direction
        older, none = state.log_ranges, jnp.full_like(state.log_ranges[:1], _NONE)
        last = jnp.where(going_on, jnp.logaddexp(older[0], stretch), stretch)
        rest = jnp.where(going_on, jnp.concatenate([older[1:], none]), older)
        overflows = ~going_on & (older[-1] > _NONE)
        last, closed = _close_loops(last, rest, overflows)
        places = jnp.arange(self.depth - 1).reshape((-1,) + (1,) * last.ndim) + closed
        rest = jnp.concatenate([rest, none])
        kept = jnp.take_along_axis(rest, jnp.minimum(places, self.depth), axis=0)
        ranges = jnp.concatenate([last[None], kept])
        return LorentzianState(
            state.start,
            jnp.where(acts, direction, state.direction),
            jnp.where(acts, ranges, state.log_ranges),
        )

    def polarisation(self, state: LorentzianState) -> Float[Array, "*devices"]:
        # regions between the range of a stretch and that of the next, shorter one have the sign of the former
        share = jnp.where(state.log_ranges > _NONE, self.reached(state.log_ranges), 0.0)
        shorter = jnp.concatenate([jnp.zeros_like(share[:1]), share[:-1]])
        signs = jnp.where(jnp.arange(self.depth) % 2 == 0, 1.0, -1.0).astype(share.dtype)
        signs = signs.reshape((-1,) + (1,) * state.start.ndim) * state.direction
        moved = jnp.sum(jnp.where(share > 0, signs * (share - shorter), 0.0), axis=0)
        return moved + state.start * (1 - jnp.max(share, axis=0))


def _close_loops(last, rest, overflows):
    """Merge the last stretch with those that it outgrows: its ln(range), and how many of `rest` are gone.

    Three stretches r_2 > r_1 <= r_0 become one of r_2 - r_1 + r_0; where r_1 is the first of all, it is just gone.
    """

    def close(carry, loop):
        last, going, closed = carry
        (inner, outer), forced = loop
        going = going & (inner > _NONE) & ((last >= inner) | forced)
        largest = jnp.maximum(outer, last)
        change = jnp.exp(outer - largest) + jnp.exp(last - largest) - jnp.exp(jnp.minimum(inner - largest, 0.0))
        merged = largest + jnp.log(jnp.maximum(change, jnp.finfo(last.dtype).tiny))
        last = jnp.where(going, jnp.where(outer > _NONE, merged, last), last)
        return (last, going, closed + 2 * going), None

    loops = rest.reshape(-1, 2, *last.shape)
    forced = jnp.zeros(loops.shape[:1] + last.shape, bool).at[0].set(overflows)
    start = (last, jnp.ones(last.shape, bool), jnp.zeros(last.shape, jnp.int32))
    (last, _, closed), _ = jax.lax.scan(close, start, (loops, forced))
    return last, closed
