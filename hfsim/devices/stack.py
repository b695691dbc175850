"""One HfO2 stack, two personalities: a ferroelectric capacitor until it is formed, a memristor ever after.

Martemucci et al., Nature Electronics 8, 921 (2025): the same TiN/Si:HfO2/Ti/TiN stack is a FeCAP once woken by about
1,000 cycles, or a memristor once formed by 6 V pulses of 300 us on the top electrode until it has 50 kohm.

Forming is the time-dependent breakdown of the capacitor's own film (`hfsim.devices.breakdown`): no threshold, a
probability that adds up over everything the film went through. So FeCAP pulses form with a probability that can be
stated, and only forming is one-way: the state of the film and its wear stay what they are, and a formed device never
has a polarisation again.

What is asked of the wrong personality is refused: outside jit by an `InputError`; inside, where nothing can be
raised, by a result code in the `Reading`, whose `explain` gives the remedy.
"""

from enum import IntEnum
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, Key

from hfsim.devices.ferroelectric.capacitor import FerroelectricCapacitor, FerroelectricState
from hfsim.devices.interface import AbstractDevice, AbstractMemristor
from hfsim.devices.pulse import Pulse
from hfsim.draws import address, require_key, stream
from hfsim.errors import InputError
from hfsim.parameters import parameter
from hfsim.units import ROOM_TEMPERATURE

_RESISTANCE_OF_CONDUCTANCE = 1e3  # kohm uS


class Personality(IntEnum):
    """What a stack is."""

    PRISTINE = 0
    WOKEN = 1
    FORMED = 2


class Result(IntEnum):
    """Whether a device could answer."""

    VALID = 0
    IS_FORMED = 1
    NOT_FORMED = 2


REMEDIES = {
    Result.VALID: "the value is valid",
    Result.IS_FORMED: "a formed device has no polarisation: forming is one-way, so ask for its conductance",
    Result.NOT_FORMED: "an unformed device has no level: form it with pulses of about 6 V for 300 us (`form`), or ask "
    "for its polarisation",
}


class Reading(NamedTuple):
    """Values, 0 where there are none, and a `Result` for each device."""

    value: Float[Array, "*devices"]
    result: Int[Array, "*devices"]

    def explain(self) -> str:
        """Which devices could not answer, and what to do; for results outside jit."""
        codes = np.asarray(self.result)
        bad = [
            f"{np.sum(codes == code)} of {codes.size}: {REMEDIES[code]}" for code in Result if code and code in codes
        ]
        return "; ".join(bad) or REMEDIES[Result.VALID]


class StackState(eqx.Module):
    """State of stacks of some shape; each device lives in the part that its personality names."""

    fecap: FerroelectricState
    memristor: Any


class HfO2Stack(AbstractDevice):
    """The stack: a capacitor whose `ageing` has a breakdown, and the memristor that it becomes."""

    capacitor: FerroelectricCapacitor
    memristor: AbstractMemristor
    N_woken: Float[Array, "..."] = parameter(
        unit="1", bounds=(0.0, 1e12), doc="cycles after which the film counts as woken", default=1000.0
    )
    R_formed: Float[Array, "..."] = parameter(
        unit="kohm", bounds=(1e-2, 1e6), doc="resistance at which forming ends", logarithmic=True, default=50.0
    )

    def __check_init__(self):
        if self.capacitor.ageing is None or self.capacitor.ageing.breakdown is None:
            raise InputError(
                "capacitor", "age with a breakdown", "without", "give it Ageing(breakdown=DielectricBreakdown(...))"
            )

    def init(self, shape: tuple[int, ...], key: Key[Array, ""] | None = None, *, up=0.0) -> StackState:
        """Pristine stacks; `key` draws when each breaks, and the memristor that it will be."""
        key = require_key(key)
        return StackState(
            self.capacitor.init(shape, stream(key, "fecap"), up=up),
            self.memristor.init(shape, stream(key, "memristor")),
        )

    def apply(
        self, state: StackState, pulse: Pulse, key: Key[Array, ""] | None = None, *, temperature=ROOM_TEMPERATURE
    ) -> StackState:
        """State after one pulse: on the film of an unformed device, through the filament of a formed one.

        A device that forms in this pulse has its filament shaped by the whole of it.
        """
        before = self.formed(state)
        fecap = self.capacitor.apply(state.fecap, pulse, temperature=temperature)
        fecap = _updated(~before, fecap, state.fecap)
        formed = fecap.wear.damage.broken > 0
        driven = self.memristor.apply(state.memristor, pulse, key, temperature=temperature)
        return StackState(fecap, _updated(formed, driven, state.memristor))

    def wait(self, state: StackState, seconds, temperature=ROOM_TEMPERATURE) -> StackState:
        """State after `seconds` [s] at rest at `temperature` [K]; either personality ages in its own way."""
        return StackState(
            self.capacitor.wait(state.fecap, seconds, temperature),
            self.memristor.wait(state.memristor, seconds, temperature),
        )

    def wake(self, state: StackState, pulse: Pulse, cycles, *, temperature=ROOM_TEMPERATURE) -> StackState:
        """State after `cycles` bipolar cycles of `pulse`; formed devices, which it would only switch, are left out."""
        cycled = self.capacitor.cycle(state.fecap, pulse, cycles, temperature=temperature)
        fecap = _updated(~self.formed(state), cycled, state.fecap)
        return StackState(fecap, state.memristor)

    def form(
        self,
        state: StackState,
        pulse: Pulse,
        key: Key[Array, ""] | None = None,
        *,
        most: int = 100,
        temperature=ROOM_TEMPERATURE,
    ) -> tuple[StackState, Int[Array, "*devices"]]:
        """Pulse each device until its resistance is R_formed or less: (state, pulses each took).

        A device that has not got there after `most` pulses counts `most` + 1.
        """

        def done(state):
            low = self.memristor.conductance(state.memristor) * self.R_formed >= _RESISTANCE_OF_CONDUCTANCE
            return self.formed(state) & low

        def step(carry, number):
            state, count = carry
            finished = done(state)
            own = None if key is None else address(require_key(key), number)
            driven = self.apply(state, pulse, own, temperature=temperature)
            return (_updated(~finished, driven, state), count + (~finished).astype(jnp.int32)), None

        count = jnp.zeros(self.formed(state).shape, jnp.int32)
        (state, count), _ = jax.lax.scan(step, (state, count), jnp.arange(most))
        return state, count + (~done(state)).astype(jnp.int32)

    def formed(self, state: StackState):
        """True where the film has broken down."""
        return state.fecap.wear.damage.broken > 0

    def personality(self, state: StackState) -> Int[Array, "*devices"]:
        """`Personality` of each device."""
        woken = (state.fecap.wear.cycles.value >= self.N_woken).astype(jnp.int32)
        return jnp.where(self.formed(state), Personality.FORMED, woken)

    def forming_probability(self, state: StackState) -> Float[Array, "*devices"]:
        """Share of devices with this history that have formed; differentiable in everything they went through."""
        ageing: Any = self.capacitor.ageing
        return ageing.breakdown.probability(state.fecap.wear.damage.total.value)

    def polarisation(self, state: StackState, *, throw: bool = True) -> Reading:
        """P [uC/cm2] of unformed devices.

        Raises:
            InputError: outside jit, a device is formed and `throw` is True.
        """
        formed = self.formed(state)
        value = jnp.where(formed, 0.0, self.capacitor.polarisation(state.fecap))
        return _answer("polarisation", value, jnp.where(formed, Result.IS_FORMED, Result.VALID), throw)

    def conductance(self, state: StackState, *, throw: bool = True) -> Reading:
        """G [uS] of formed devices.

        Raises:
            InputError: outside jit, a device is not formed and `throw` is True.
        """
        formed = self.formed(state)
        value = jnp.where(formed, self.memristor.conductance(state.memristor), 0.0)
        return _answer("conductance", value, jnp.where(formed, Result.VALID, Result.NOT_FORMED), throw)


def _answer(name: str, value, result, throw: bool) -> Reading:
    reading = Reading(value, result.astype(jnp.int32))
    if throw and not isinstance(result, Tracer) and bool(jnp.any(result != Result.VALID)):
        raise InputError(f"state, asked for {name},", "hold only devices that have one", reading.explain())
    return reading


def _updated(mask, new, old):
    """`new` where the mask is True, else `old`; what all devices share (clocks, counters, streams) is new."""

    def choose(a, b):
        own = a.ndim >= mask.ndim and a.shape[a.ndim - mask.ndim :] == mask.shape
        return jnp.where(mask, a, b) if own and not jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a

    return jax.tree.map(choose, new, old)
