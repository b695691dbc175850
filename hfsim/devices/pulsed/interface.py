"""Devices that take one step per identical pulse, whatever moves inside them.

The state is a weight w, a pure number inside a window [w_min, w_max]; a pulse of either sign moves it by

    w <- clip(w +- [Delta(w) + std N], w_min, w_max),    a_up = dw_min (1 + up_down),  a_down = dw_min (1 - up_down)

where each model gives the mean step Delta, of scale a_up or a_down, and `noise` the cycle-to-cycle deviation std. The
conductance is affine in the weight, G = G_0 + g w, the same map for all devices of an array: a device with a wider
window reaches further in G. Spread from device to device is nothing but parameters of the devices' shape.

Write noise. Of some arrays each write lands with an error that the next write forgets. They hold a persistent weight
w, which the steps move, and what is read is w + sigma_write N, where N is drawn anew with each event (one pulse, or
one call of `pulses`) for the devices that it touches; it does not accumulate, and it is not clipped to the window.

Reference. `w_ref` is the weight of a fixed second device that the read-out subtracts: `weight` is the difference,
`conductance` that of the device alone. `hfsim.devices.pulsed.metrics.at_symmetry_point` puts it at the symmetry point.

Validity: the amplitude and width at which the steps were measured, and the temperature: only the sign of a pulse is
used, and any temperature but ROOM_TEMPERATURE is refused. That sign is a fact, not a decision, so voltage and width
have no gradient; everything else has, with the noise reparameterised.

aihwkit 1.1 applies `up_down` to one direction alone, against its documentation; `from_one_sided` converts.
"""

import abc
import dataclasses
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Key

from hfsim.devices.interface import AbstractMemristor
from hfsim.devices.pulse import Pulse, require_duration
from hfsim.devices.pulsed.noise import AbstractCycleNoise
from hfsim.devices.pulsed.weight_decay import WeightDecay
from hfsim.devices.train import checkpointed_scan
from hfsim.draws import address, normal, require_key, stream
from hfsim.errors import InputError
from hfsim.parameters import parameter
from hfsim.units import ROOM_TEMPERATURE

_PULSES_PER_WORD = 4  # a 32-bit word gives four binomial numbers
_MANY_WORDS = 32  # beyond, reverse mode computes twice again rather than keep a weight for each


class PulsedState(eqx.Module):
    """State of an array of pulsed devices.

    `w` is the persistent weight and `error` what the last write added to it for reading; `waits` counts the times at
    rest and `key` is the array's constant stream: (key, waits) addresses the diffusion. `key` may be None where
    nothing is drawn.
    """

    w: Float[Array, "*devices"]
    error: Float[Array, "*devices"]
    waits: Int[Array, ""]
    key: Key[Array, ""] | None


class AbstractPulsedDevice(AbstractMemristor):
    """A device described by its mean step, the noise of a step and a window."""

    dw_min: Float[Array, "..."] = parameter(
        unit="1", bounds=(1e-6, 10.0), doc="granularity: mean of the two scales of a step", logarithmic=True
    )
    up_down: Float[Array, "..."] = parameter(unit="1", bounds=(-0.99, 0.99), doc="(a_up - a_down)/(a_up + a_down)")
    w_min: Float[Array, "..."] = parameter(unit="1", bounds=(-10.0, 10.0), doc="lower end of the window")
    w_max: Float[Array, "..."] = parameter(unit="1", bounds=(-10.0, 10.0), doc="upper end of the window")
    G_0: Float[Array, "..."] = parameter(unit="uS", bounds=(-1e6, 1e6), doc="conductance at w = 0")
    g: Float[Array, "..."] = parameter(unit="uS", bounds=(1e-6, 1e6), doc="conductance of a unit of weight")
    noise: AbstractCycleNoise = eqx.field(kw_only=True)
    _: dataclasses.KW_ONLY
    w_ref: Float[Array, "..."] = parameter(
        unit="1", bounds=(-10.0, 10.0), doc="weight of the reference device", default=0.0
    )
    sigma_write: Float[Array, "..."] = parameter(
        unit="1", bounds=(0.0, 10.0), doc="standard deviation of the write noise", default=0.0
    )
    decay: WeightDecay | None = None

    def __check_init__(self):
        if isinstance(self.w_min, Tracer) or isinstance(self.w_max, Tracer):
            return
        if np.any(np.asarray(self.w_min) > np.asarray(self.w_max)):
            raise InputError("w_min", "lie below w_max", f"{self.w_min} with w_max {self.w_max}")

    @abc.abstractmethod
    def magnitude(self, w: Float[Array, "..."], up: Bool[Array, "..."]) -> Float[Array, "..."]:
        """Mean size of the step at `w`, up where `up` and down elsewhere; negative where pulses push backwards."""

    def scale(self, up: Bool[Array, "..."]) -> Float[Array, "..."]:
        """a_up where `up`, elsewhere a_down."""
        return self.dw_min * (1 + jnp.where(up, self.up_down, -self.up_down))

    def init(self, shape: tuple[int, ...], key: Key[Array, ""] | None = None) -> PulsedState:
        """Devices of `shape` at w = 0, or at the end of the window next to it, read without write noise."""
        blank = jnp.zeros(shape, jnp.result_type(self.dw_min))
        key = None if key is None else require_key(key)
        return PulsedState(self._clip(blank), blank, jnp.int32(0), key)

    def program(self, state: PulsedState, w: Float[Array, "*devices"], key: Key[Array, ""] | None = None):
        """The state with persistent weights `w`, clipped to the window; `key` draws the write noise."""
        w = self._clip(jnp.broadcast_to(jnp.asarray(w, state.w.dtype), state.w.shape))
        return self.written(state, w, jnp.ones(w.shape, bool), key)

    def step(self, state: PulsedState, direction, key: Key[Array, ""] | None = None) -> PulsedState:
        """State after one pulse: up where `direction` is positive, down where negative, none where it is zero.

        Without a key the step is its mean and the write is exact.
        """
        direction = jnp.broadcast_to(jnp.sign(jnp.asarray(direction)), state.w.shape)
        xi = None if key is None else drawn(stream(key, "step"), state.w.shape, state.w.dtype)
        return self.written(state, self.stepped(state.w, direction, xi), direction != 0, key)

    def apply(
        self, state: PulsedState, pulse: Pulse, key: Key[Array, ""] | None = None, *, temperature=ROOM_TEMPERATURE
    ) -> PulsedState:
        """State after one pulse in the direction of its voltage; one of no amplitude or no width does nothing."""
        if isinstance(temperature, Tracer) or np.any(np.asarray(temperature) != ROOM_TEMPERATURE):
            raise InputError(
                "temperature",
                f"be {ROOM_TEMPERATURE:g} K, where the steps were measured",
                temperature,
                "take a physical model for another",
            )
        return self.step(state, jnp.sign(pulse.voltage) * (pulse.width > 0), key)

    def pulses(
        self, state: PulsedState, n: Int[Array, "..."], key: Key[Array, ""] | None = None, *, limit: int | None = None
    ) -> PulsedState:
        """State after n identical pulses: |n| up where n > 0, |n| down where n < 0, each device its own number.

        Each pulse takes the model's own step; its noise is a centred binomial number of 8 draws (a byte of a random
        word), the last pulse's a normal one. Mean, variance and skew of the noise are those of N and its fourth
        moment is 2.75 for 3: so are mean, variance and skew of any map linear in w, to all orders, and those of a
        curved or clipped one to the fourth order of the noise. Without a key the result is that of n mean steps.

        Args:
            state: state before.
            n: integers that fit the devices' shape.
            key: address of the event.
            limit: the largest |n|; needed inside jit. A device with more pulses becomes NaN there.

        Raises:
            InputError: n is not integer, beyond `limit`, or traced without one.
        """
        counts = checked_counts(n, limit, state.w.shape, bounded=True)
        limit = int(np.max(np.abs(np.asarray(n)), initial=0)) if limit is None else limit
        number, direction, w = jnp.abs(counts), jnp.sign(counts), state.w
        last = None if key is None else drawn(stream(key, "step"), state.w.shape, state.w.dtype)

        # reverse mode keeps one weight a pulse, not all that its step computes on the way
        one = jax.checkpoint(lambda *pulse: self.stepped(*pulse), prevent_cse=False)

        def word(w, block):
            noise = None if key is None else _binomials(address(stream(key, "pulses"), block), w.shape, w.dtype)
            for i in range(_PULSES_PER_WORD):
                index = block * _PULSES_PER_WORD + i
                xi = None if noise is None or last is None else jnp.where(index == number - 1, last, noise[i])
                w = one(w, jnp.where(index < number, direction, 0), xi)
            return w

        def block(w, index):  # words beyond the longest train of the array are not drawn
            return jax.lax.cond(jnp.any(number > index * _PULSES_PER_WORD), word, lambda w, _: w, w, index), None

        words = -(-limit // _PULSES_PER_WORD)
        if words > _MANY_WORDS:
            w, _ = checkpointed_scan(block, w, jnp.arange(words), length=words)
        elif words:
            w, _ = jax.lax.scan(jax.checkpoint(block, prevent_cse=False), w, jnp.arange(words))
        return self.written(state, jnp.where(number > limit, jnp.nan, w), counts != 0, key)

    def plot(self, **options):  # pyright: ignore[reportIncompatibleMethodOverride]
        """Conductance over identical pulses up, then down: `hfsim.plot.pulse_train`. Returns matplotlib axes."""
        from hfsim.plot import pulse_train  # matplotlib is needed here alone

        return pulse_train(self, **options)

    def wait(self, state: PulsedState, seconds, temperature=ROOM_TEMPERATURE) -> PulsedState:
        """State after `seconds` [s] at rest at `temperature` [K]; with no `decay` nothing happens at rest.

        Raises:
            InputError: a duration that is none, or diffusion in a state that was made without a key.
        """
        require_duration(seconds)
        if self.decay is None:
            return state
        w, deviation = self.decay.age(state.w, seconds, temperature)
        D = self.decay.D
        if state.key is not None:
            key = address(stream(state.key, "diffusion"), state.waits)
            w = w + deviation * drawn(key, state.w.shape, state.w.dtype)
        elif isinstance(D, Tracer) or np.any(np.asarray(D) > 0):
            raise InputError("key", "be given to `init` of devices that diffuse", "None", "pass jax.random.key(seed)")
        return PulsedState(self._clip(w), state.error, state.waits + 1, state.key)

    def weight(self, state: PulsedState) -> Float[Array, "*devices"]:
        """Weight as read: persistent weight and write noise, less the reference's."""
        return state.w + state.error - self.w_ref

    def conductance(self, state: PulsedState) -> Float[Array, "*devices"]:
        """Conductance [uS] of the device itself, write noise included."""
        return self.G_0 + self.g * (state.w + state.error)

    def current(self, state: PulsedState, voltage) -> Float[Array, "*devices"]:
        """Current [uA] at `voltage` [V]: ohmic."""
        return self.conductance(state) * voltage

    def with_reference(self, w_ref: Float[Array, "..."]) -> Self:
        """The same device read against a reference of weight `w_ref`."""
        return eqx.tree_at(lambda d: d.w_ref, self, jnp.asarray(w_ref, self.w_ref.dtype))

    def _clip(self, w):
        return clipped(w, self.w_min, self.w_max)

    def stepped(self, w: Float[Array, "*devices"], direction: Int[Array, "*devices"], xi) -> Float[Array, "*devices"]:
        """Persistent weights after one pulse, up where `direction` is 1, down where -1; `xi` is its noise, or None."""
        step = once(self.magnitude(w, direction > 0))
        if xi is not None:
            step = step + self.noise.deviation(step, w, self.dw_min) * xi
        # a device without a pulse keeps its weight to the bit
        return jnp.where(direction == 0, w, self._clip(once(w + direction.astype(w.dtype) * step)))

    def written(self, state: PulsedState, w: Float[Array, "*devices"], touched, key) -> PulsedState:
        """The state with persistent weights `w`, the write noise drawn anew where `touched`; none without a key."""
        error = jnp.zeros_like(w)
        if key is not None:
            error = self.sigma_write * drawn(stream(key, "write"), w.shape, w.dtype)
        return PulsedState(w, jnp.where(touched, error, state.error), state.waits, state.key)


@jax.custom_jvp
def once(x):
    """`x`; its cotangent is computed once, where XLA would do so again in the sum over devices of each parameter."""
    return x


@once.defjvp
def _once_jvp(primals, tangents):
    return primals[0], jax.lax.optimization_barrier(tangents[0])


def drawn(key: Key[Array, ""], shape: tuple[int, ...], dtype) -> Float[Array, "..."]:
    """Standard normal numbers that are made once, where XLA would make them again for each use of them."""
    return jax.lax.optimization_barrier(normal(key, shape, dtype))


def clipped(w, low, high):
    """w inside [low, high]; at a bound the derivative is that of the bound alone, so that it ends what came before."""
    w = jnp.where(w < high, w, high)
    return jnp.where(w > low, w, low)


def from_one_sided(dw_min: float, up_down: float, sigma: float = 0.0) -> tuple[float, float, float]:
    """(dw_min, up_down, sigma) of this module from those of aihwkit 1.1, whose up_down shortens one direction alone.

    a_up = dw_min (1 + min(up_down, 0)), a_down = dw_min (1 - max(up_down, 0)); the noise of either is
    sigma dw_min, of the dw_min given.
    """
    a_up, a_down = dw_min * (1 + min(up_down, 0.0)), dw_min * (1 - max(up_down, 0.0))
    ours = (a_up + a_down) / 2
    return ours, (a_up - a_down) / (a_up + a_down), sigma * dw_min / ours


def checked_counts(n, limit: int | None, shape: tuple[int, ...], *, bounded: bool = False) -> Int[Array, "..."]:
    """Numbers of pulses as an array of `shape`; `bounded` refuses traced ones without a limit."""
    if not jnp.issubdtype(jnp.result_type(n), jnp.integer):
        raise InputError("n", "hold integers", str(jnp.result_type(n)), "round it, with an estimator of your choice")
    if limit is not None and limit < 0:
        raise InputError("limit", "be an integer >= 0", limit)
    if isinstance(n, Tracer):
        if bounded and limit is None:
            raise InputError("limit", "be given where n is traced", "None", "pass the largest |n| there can be")
    elif limit is not None and np.any(np.abs(np.asarray(n, np.int64)) > limit):
        raise InputError("n", f"lie within +-limit = {limit}", int(np.max(np.abs(np.asarray(n, np.int64)))), "raise it")
    return jnp.broadcast_to(jnp.asarray(n, jnp.int32), shape)


def _binomials(key: Key[Array, ""], shape: tuple[int, ...], dtype) -> list[Float[Array, "..."]]:
    """Four arrays of centred binomial numbers of 8 draws, variance 1."""
    words = jax.lax.optimization_barrier(jax.random.bits(require_key(key), shape, jnp.uint32))
    counts = (jax.lax.population_count((words >> (8 * i)) & 0xFF) for i in range(_PULSES_PER_WORD))
    return [(count.astype(dtype) - 4) * dtype.type(0.5**0.5) for count in counts]
