"""The Preisach model: an ensemble of hysterons, each with a coercive and a bias field, without time.

F. Preisach, Z. Phys. 94, 277 (1935); I. D. Mayergoyz, Phys. Rev. Lett. 56, 1518 (1986); the saturated branch by
S. L. Miller et al., J. Appl. Phys. 68, 6463 (1990) and B. Jiang et al., Symp. VLSI Technology (1997). A hysteron of
coercive field c and bias field f goes up where E passes f + c and down where it passes f - c. Here f is logistic of
scale delta and c uniform over E_c (1 - s) to E_c (1 + s), so that the weight of the hysterons that go up below a and
down above b, which is the Everett function,

    E(a, b) = integral over c < (a - b)/2 of {S[(a - c)/delta] - S[(b + c)/delta]} dc/(2 s E_c),  S(x) = 1/(1 + e^-x)

is a closed form, smooth in all of its arguments. As s goes to 0 the major loop goes to

    P = P_s tanh[(E -+ E_c)/(2 delta)],      delta = E_c/ln[(1 + P_r/P_s)/(1 - P_r/P_s)],      P(0) = P_r

and for any s to the average of that over c. Polarisation is in units of the remanent one, exactly.

The memory is the list of turning points of the field that no later field has passed (wiping-out). P is a sum of
Everett functions over it, with no grid, so both properties of Preisach's model hold to rounding: return-point memory,
and congruency, all loops between the same two fields being the same up to a shift of P. `depth` turning points are
kept; what would be one more forgets the smallest loop. P is continuous, with the kinks in its slope that
return-point memory has, at fields that turned before.

Quasi-static: a pulse of any width above 0 has its full effect, and P after it is that *under* its field; a hysteron
with |f| > c falls back when the field does. Temperature scales the field, as in `gb2`. It has no rate and no creep:
use it for loops at one frequency. Cost: `depth` Everett functions at each read of P, a few comparisons a pulse.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hfsim.devices.ferroelectric.kinetics import AbstractKinetics
from hfsim.errors import InputError
from hfsim.parameters import parameter
from hfsim.units import ROOM_TEMPERATURE


class PreisachState(eqx.Module):
    """Polarisation of the hysterons that no field has reached, the field now, and where it turned before.

    Fields [MV/cm] are those at 300 K of the same effect; the last turning point is first, the oldest one, an extreme
    of all fields seen, is last and fills the places that are not used.
    """

    start: Float[Array, "*devices"]
    field: Float[Array, "*devices"]
    turning: Float[Array, "depth *devices"]


class PreisachKinetics(AbstractKinetics):
    """Hysterons with uniform coercive and logistic bias fields."""

    E_c: Float[Array, "..."] = parameter(unit="MV/cm", bounds=(0.01, 20.0), doc="mean coercive field")
    squareness: Float[Array, "..."] = parameter(
        unit="1", bounds=(0.02, 0.999), doc="P_r/P_s of the loop without spread of coercive fields"
    )
    spread: Float[Array, "..."] = parameter(
        unit="1", bounds=(1e-3, 0.999), doc="half width s of the distribution of coercive fields over E_c"
    )
    dlnE_dT: Float[Array, "..."] = parameter(
        unit="1/K", bounds=(-0.02, 0.02), doc="relative change of the field scale per kelvin", default=0.0
    )
    depth: int = eqx.field(static=True, default=16)

    def __check_init__(self):
        if not isinstance(self.depth, int) or self.depth < 4 or self.depth % 2:
            raise InputError("depth", "be an even integer >= 4", repr(self.depth), "16 is the default")

    @property
    def delta(self) -> Float[Array, "..."]:
        """Scale of the bias fields [MV/cm]: E_c/ln[(1 + P_r/P_s)/(1 - P_r/P_s)]."""
        return self.E_c / (2 * jnp.arctanh(self.squareness))

    def everett(self, a, b) -> Float[Array, "..."]:
        """Weight of the hysterons that go up below a and down above b [MV/cm]; 0 for a <= b."""
        low, span, delta = self.E_c * (1 - self.spread), 2 * self.spread * self.E_c, self.delta
        reach = jnp.clip((a - b) / 2 - low, 0.0, span)
        up = _mean_logistic((a - low - reach) / delta, reach / delta)
        down = _mean_logistic((b + low) / delta, reach / delta)
        return reach / span * (up - down)

    def branch(self, field) -> Float[Array, "..."]:
        """Share of the hysterons that are up at `field` [MV/cm] on the rising branch of the major loop."""
        high, span = self.E_c * (1 + self.spread), 2 * self.spread * self.E_c
        return _mean_logistic((field - high) / self.delta, span / self.delta)

    def init(self, shape: tuple[int, ...], up=0.0, key: Key[Array, ""] | None = None) -> PreisachState:
        zero = jnp.zeros(shape, jnp.result_type(self.E_c, float))
        start = zero + 2 * jnp.asarray(up, zero.dtype) - 1
        return PreisachState(start, zero, jnp.zeros((self.depth, *shape), zero.dtype))

    def expose(self, state: PreisachState, field, width, temperature) -> PreisachState:
        field = field * jnp.exp(-self.dlnE_dT * (temperature - ROOM_TEMPERATURE))
        field = jnp.where(jnp.asarray(width) > 0, field, state.field)
        turning = state.turning
        highest, lowest = _extremes(state)
        # a sign +1 turns all comparisons into those of a rising field
        sign = jnp.where(field >= state.field, 1.0, -1.0).astype(state.start.dtype)
        turns = sign * (state.field - turning[0]) < 0
        full = turns & (turning[-1] != turning[-2])
        pushed = jnp.concatenate([state.field[None], turning[:-1]])
        dropped = jnp.concatenate([turning[1:], turning[-1:]])
        turning = jnp.where(full, dropped, jnp.where(turns, pushed, turning))
        # a field that passes an older turning point of its own side wipes out that one and the one after it
        passed = sign * (field - turning[1::2]) >= 0
        wiped = 2 * jnp.argmin(passed, axis=0)
        places = jnp.arange(self.depth).reshape((-1,) + (1,) * wiped.ndim) + wiped
        turning = jnp.take_along_axis(turning, jnp.minimum(places, self.depth - 1), axis=0)
        # a field beyond all before leaves the opposite extreme as the one turning point
        beyond = jnp.where(sign > 0, field >= highest, field <= lowest)
        opposite = jnp.where(sign > 0, lowest, highest)
        turning = jnp.where(beyond, opposite, turning)
        field = jnp.broadcast_to(field, state.field.shape)
        return PreisachState(state.start, field, jnp.where(field == state.field, state.turning, turning))

    def polarisation(self, state: PreisachState) -> Float[Array, "*devices"]:
        highest, lowest = _extremes(state)
        path = jnp.concatenate([state.field[None], state.turning])
        later, earlier = path[:-1], path[1:]
        steps = self.everett(jnp.maximum(later, earlier), jnp.minimum(later, earlier))
        moved = 2 * jnp.sum(jnp.where(later > earlier, steps, -steps), axis=0)
        # hysterons beyond the highest and lowest field kept their start; those of the first reversal came from it too
        first = jnp.where(path[-1] < highest, state.start - 1, state.start + 1)
        reached = (1 - state.start) * self.branch(highest) - (1 + state.start) * self.branch(-lowest)
        P = state.start + reached + first * self.everett(highest, lowest) + moved
        return P / (1 - 2 * self.branch(jnp.zeros_like(self.E_c)))


def _extremes(state: PreisachState):
    """Highest and lowest field seen: both are always among the field now and the turning points."""
    return (
        jnp.maximum(jnp.max(state.turning, axis=0), state.field),
        jnp.minimum(jnp.min(state.turning, axis=0), state.field),
    )


def _mean_logistic(x, span):
    """Mean of 1/(1 + e^-x) over [x, x + span], span >= 0, without cancellation where the span is short."""
    short = span < 1
    some = jnp.maximum(jnp.where(short, span, 1.0), jnp.finfo(jnp.result_type(x)).eps)
    close = jnp.log1p(jax.nn.sigmoid(x) * jnp.expm1(some)) / some
    wide = jnp.where(short, 1.0, span)
    return jnp.where(short, close, (jax.nn.softplus(x + wide) - jax.nn.softplus(x)) / wide)
