"""Programming an array to target conductances: what every way of doing it promises, and the published statistics.

    programmed = programming.program(key, target)                 # target [uS], of the array's shape
    programmed.conductance, programmed.pulses, programmed.result  # uS; whole pulses; a code for each device
    programmed = programming.program(key2, other, programmed.state)   # from where it stands

Two fidelities behind one interface. `PublishedProgramming` draws from the measured spread and knows the average
number of pulses; `PulsedProgramming` and `PhysicalProgramming` (`hfsim.crossbar.write_verify`) send the pulses, read,
and stop. `statistics` measures either as the experiment was: levels, many devices each; its `spread` is what the
published form takes, so that the statistical one can be derived from the physical one.
"""

import abc
import enum
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, Key

from hfsim.cards import Card
from hfsim.devices.retention import AbstractRetention, CMORetention
from hfsim.devices.retention.cmo import ACCEPTANCES, LinearSpread
from hfsim.draws import address, require_key
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter


class ProgrammingResult(enum.IntEnum):
    """How programming ended, for each device."""

    ACCEPTED = 0
    """The last read was inside the acceptance; of the published statistics: the target lies in their window."""
    NOT_REACHED = 1
    """The pulses were spent, or the target lies outside the window."""
    NO_TARGET = 2
    """The target is no positive number: nothing was done."""


class Programmed(NamedTuple):
    """Devices as programming left them.

    `state` is the technology's own (a `RetentionState`, a `PulsedState`, a `CMOState`, ...), `conductance` the true
    one [uS] (not the last read), `pulses` the number each device got, `result` its `ProgrammingResult`.
    """

    state: Any
    conductance: Float[Array, "*devices"]
    pulses: Int[Array, "*devices"]
    result: Int[Array, "*devices"]


class AbstractProgramming(PhysicalModel):
    """A way to bring devices to target conductances."""

    @abc.abstractmethod
    def init(self, shape: tuple[int, ...], key: Key[Array, ""]) -> Any:
        """State of devices of `shape` before their first programming."""

    @abc.abstractmethod
    def _program(self, key: Key[Array, ""], target: Float[Array, "*devices"], state: Any) -> Programmed:
        """`program`, its arguments checked."""

    def program(self, key: Key[Array, ""], target: Float[Array, "*devices"] | float, state: Any = None) -> Programmed:
        """Bring devices to `target`.

        Args:
            key: address of this programming; the same key gives the same devices, bit by bit.
            target: wanted conductances [uS], of the devices' shape.
            state: of devices of that shape, where they stand; None takes fresh ones.

        Returns:
            State, conductance, pulses and result of each device.

        Raises:
            InputError: `target` is not positive and finite (a traced one gives `NO_TARGET` in its place).
        """
        require_key(key)
        if not isinstance(target, Tracer) and not np.all(np.isfinite(target) & (np.asarray(target) > 0)):
            raise InputError("target", "be positive and finite conductances in uS", target)
        target = jnp.asarray(target, jnp.result_type(float))
        return self._program(key, target, self.init(target.shape, key) if state is None else state)


class PublishedProgramming(AbstractProgramming):
    """Programming as its published statistics: target + N(0, sigma(target)), and the average number of pulses.

    The spread is the retention model's. Every device is counted the average number of pulses, rounded: how the
    numbers scatter, and how they depend on the target, is not published. Differentiable in the target and the spread
    (reparameterised). `key` becomes the stream of the devices' relaxation.
    """

    retention: AbstractRetention
    mean_pulses: Float[Array, ""] = parameter(unit="1", bounds=(1.0, 1e6), doc="pulses for one device, on average")

    @classmethod
    def from_card(cls, card: Card, acceptance: float = 0.2, *, clip: bool = True) -> "PublishedProgramming":
        """Write-verify to `acceptance` per cent (0.2 or 2) as the card of the CMO/HfOx cell has it."""
        retention = CMORetention.from_card(card, acceptance, clip=clip)
        return card.build(cls, ACCEPTANCES[acceptance].replace("programming", "pulses"), retention=retention)

    def init(self, shape, key):
        return self.retention.init(shape, key)

    def _program(self, key, target, state):
        positive = target > 0  # not NaN either
        state = self.retention.program(eqx.tree_at(lambda s: s.key, state, key), jnp.where(positive, target, 1.0))
        window = self.retention.window
        inside = positive if window is None else (target >= window.G_min) & (target <= window.G_max)
        result = jnp.where(inside, ProgrammingResult.ACCEPTED, ProgrammingResult.NOT_REACHED)
        counts = jnp.where(positive, jnp.round(self.mean_pulses), 0).astype(jnp.int32)
        return Programmed(
            state,
            self.retention.conductance(state),
            counts,
            jnp.where(positive, result, ProgrammingResult.NO_TARGET).astype(jnp.int32),
        )


def require_accepted(programmed: Programmed) -> Programmed:
    """`programmed`, if every device was; call it outside of jit.

    Raises:
        InputError: some device did not reach its target.
    """
    missed = int(np.sum(np.asarray(programmed.result) != ProgrammingResult.ACCEPTED))
    if missed:
        count = f"missed by {missed} of {np.size(programmed.result)}"
        remedy = "allow more pulses, a wider acceptance, or targets inside the devices' window"
        raise InputError("target", "be reached by every device", count, remedy)
    return programmed


def staircase(
    programming: AbstractProgramming, key: Key[Array, ""], targets: Float[Array, " levels"], shape: tuple[int, ...]
) -> Programmed:
    """Program devices of `shape` to one target after the other, each from where the last one left them.

    Args:
        programming: any.
        key: level i is programmed at the address (key, i), and the devices are made at `key`.
        targets: [uS].
        shape: of the devices.

    Returns:
        The state after the last level; conductance, pulses and result with a leading axis of levels.
    """
    targets = jnp.asarray(targets, jnp.result_type(float))

    def level(state, numbered):
        number, target = numbered
        done = programming.program(address(key, number), jnp.broadcast_to(target, shape), state)
        return done.state, done[1:]

    start = programming.init(shape, require_key(key))
    state, records = jax.lax.scan(level, start, (jnp.arange(targets.size), targets))
    return Programmed(state, *records)


class ProgrammingStatistics(NamedTuple):
    """What an experiment reports, by level: over devices that were accepted.

    `bias` and `sigma` of the conductance about its target [uS], mean number of pulses, share of accepted devices.
    """

    target: Float[Array, " levels"]
    bias: Float[Array, " levels"]
    sigma: Float[Array, " levels"]
    pulses: Float[Array, " levels"]
    accepted: Float[Array, " levels"]

    def spread(self) -> LinearSpread:
        """The straight line through sigma(target) by least squares; its offset is not below 0."""
        slope, offset = np.polyfit(np.asarray(self.target, float), np.asarray(self.sigma, float), 1)
        if offset < 0:
            slope, offset = np.sum(np.asarray(self.target * self.sigma)) / np.sum(np.asarray(self.target**2)), 0.0
        return LinearSpread(slope=jnp.asarray(float(slope)), offset=jnp.asarray(float(offset)))


def statistics(targets: Float[Array, " levels"], programmed: Programmed) -> ProgrammingStatistics:
    """Statistics of devices programmed to each of `targets` [uS], the leading axis of `programmed`."""
    targets = jnp.asarray(targets)
    flat = programmed.result.reshape(targets.size, -1)
    kept = flat == ProgrammingResult.ACCEPTED
    number = jnp.maximum(jnp.sum(kept, axis=1), 1)

    def mean(x):
        return jnp.sum(jnp.where(kept, x.reshape(flat.shape), 0), axis=1) / number

    error = programmed.conductance.reshape(flat.shape) - targets[:, None]
    bias = mean(error)
    sigma = jnp.sqrt(mean((error - bias[:, None]) ** 2))
    return ProgrammingStatistics(targets, bias, sigma, mean(programmed.pulses), jnp.mean(kept, axis=1))
