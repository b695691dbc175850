"""Programmed conductance and its trajectory: what every statistical retention model promises.

    state = model.init(shape, key)               # an array; `key` is its stream for life
    state = model.program(state, target)         # write-verify: target + spread; the clock starts again
    state = model.wait(state, seconds, temperature)
    G     = model.conductance(state)             # the trajectory now: the same each time, until time passes
    G     = model.read(state, key)               # one noisy read of it

The trajectory of a device is the mean law plus a Gauss-Markov process in ln t whose deviation at every time is the
published one. Its draws lie at (array's key, programming event), so reading twice gives the same, and `wait(a)` then
`wait(b)` gives what `wait(a + b)` gives. `mean` and `sigma` are the marginals themselves.

A model states its law at `ROOM_TEMPERATURE`. A bake runs the clock faster, by Arrhenius' law with `E_relax`.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from hfsim.devices.pulse import require_duration
from hfsim.devices.relaxation import Clock, arrhenius_acceleration
from hfsim.draws import address, normal, require_key, stream
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import ROOM_TEMPERATURE


class RetentionState(eqx.Module):
    """An array programmed together.

    `target` is the conductance aimed at and `programmed` the one left by programming [uS]; `clock` the time since;
    `event` counts programmings; `key` is the array's constant stream.
    """

    target: Float[Array, "*devices"]
    programmed: Float[Array, "*devices"]
    clock: Clock
    event: Int[Array, ""]
    key: Key[Array, ""]


class Window(PhysicalModel):
    """The range to which conductances are clipped; outside it their gradient is zero."""

    G_min: Float[Array, "..."] = parameter(unit="uS", bounds=(0.0, 1e3), doc="least conductance")
    G_max: Float[Array, "..."] = parameter(unit="uS", bounds=(0.0, 1e4), doc="largest conductance")

    def clip(self, G: Float[Array, "..."]) -> Float[Array, "..."]:
        """`G` [uS], not below G_min and not above G_max."""
        return jnp.clip(G, self.G_min, self.G_max)


class AbstractRetention(PhysicalModel):
    """A statistical model of programmed conductances; `window` None does not clip them."""

    E_relax: eqx.AbstractVar[Float[Array, ""]]
    window: eqx.AbstractVar[Window | None]

    @abc.abstractmethod
    def programming_sigma(self, target: Float[Array, "..."]) -> Float[Array, "..."]:
        """Standard deviation [uS] with which programming meets `target` [uS]."""

    @abc.abstractmethod
    def mean(self, state: RetentionState) -> Float[Array, "*devices"]:
        """Mean conductance [uS] now over devices programmed as these are, before clipping."""

    @abc.abstractmethod
    def sigma(self, state: RetentionState) -> Float[Array, "*devices"]:
        """Standard deviation [uS] now over devices programmed as these are, before clipping and without reads."""

    @abc.abstractmethod
    def trajectory(self, state: RetentionState) -> Float[Array, "*devices"]:
        """Conductance [uS] of each device now, before clipping."""

    @abc.abstractmethod
    def read_sigma(self, state: RetentionState) -> Float[Array, "*devices"]:
        """Standard deviation [uS] of one read now about each device's conductance."""

    def init(self, shape: tuple[int, ...], key: Key[Array, ""]) -> RetentionState:
        """An array of `shape` at 0 uS, not programmed yet; `key` becomes its stream."""
        blank = jnp.zeros(shape, jnp.result_type(float))
        return RetentionState(blank, blank, Clock.start(blank.dtype), jnp.int32(0), require_key(key))

    def program(self, state: RetentionState, target: Float[Array, "*devices"] | float) -> RetentionState:
        """Program to `target` [uS] with the model's spread, drawn at the next event."""
        target = jnp.broadcast_to(jnp.asarray(target, state.programmed.dtype), state.programmed.shape)
        begun = self.place(state, target)
        spread = normal(self.event_key(begun, "program"), target.shape, target.dtype)
        programmed = target + self.programming_sigma(target) * spread
        return eqx.tree_at(lambda s: s.programmed, begun, programmed)

    def place(self, state: RetentionState, conductance: Float[Array, "*devices"]) -> RetentionState:
        """The state after an event that left exactly `conductance` [uS]; the clock starts again."""
        return RetentionState(conductance, conductance, Clock.start(conductance.dtype), state.event + 1, state.key)

    def wait(self, state: RetentionState, seconds, temperature=ROOM_TEMPERATURE) -> RetentionState:
        """State after `seconds` [s] at `temperature` [K]; waits compose in value."""
        require_duration(seconds)
        aged = seconds * arrhenius_acceleration(self.E_relax, temperature)
        return eqx.tree_at(lambda s: s.clock, state, state.clock.advance(jnp.asarray(aged, state.clock.seconds.dtype)))

    def conductance(self, state: RetentionState) -> Float[Array, "*devices"]:
        """Conductance [uS] now, clipped to the window if there is one; reading changes nothing."""
        return self._clipped(self.trajectory(state))

    def read(self, state: RetentionState, key: Key[Array, ""]) -> Float[Array, "*devices"]:
        """One noisy read of the conductance [uS], clipped; `key` is the read's own address."""
        G = self.conductance(state)
        return self._clipped(G + self.read_sigma(state) * normal(key, G.shape, G.dtype))

    def plot(self, *targets: float, **options):
        """Mean and spread over ten years from each of `targets` [uS]: `hfsim.plot.relaxation`. Returns axes."""
        from hfsim.plot import relaxation  # matplotlib is needed here alone

        return relaxation(self, targets, **options)

    def event_key(self, state: RetentionState, name: str) -> Key[Array, ""]:
        """The address of a draw of the last programming."""
        return address(stream(state.key, name), state.event)

    def _clipped(self, G):
        return G if self.window is None else self.window.clip(G)

    def _require_one_clock(self, *names: str) -> None:
        for name in names:
            if jnp.ndim(getattr(self, name)):
                raise InputError(
                    f"{type(self).__name__}.{name}",
                    "be one number: an array has one clock",
                    "an array",
                    "vmap over arrays",
                )
