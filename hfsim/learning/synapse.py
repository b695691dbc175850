"""What a learning rule needs of a device: to be set, pulsed, read and left alone, a whole array at a time.

    PulsedSynapse     a phenomenological device (`hfsim.devices.pulsed`), with a retention model or without
    PhysicalSynapse   any memristor model, its SET and RESET pulses, and noise for one that has none

Both move a weight w = (G - G_0)/g and count it in the same way, so that rules mix them: the fast array on one, the
slow array on the other. The pulses of a sample are applied one after the other, each with noise of its own; where that
noise is small against the window, `PulsedSynapse` applies them at once.

At rest a device follows its own law and, where a retention model is given, that model: the conductance relaxes from the
moment of the last pulses on, a later pulse acts on what relaxation left, and its clock starts again. The clock is the
array's: devices that got no pulse since the last rest start again with the others.
"""

import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Key

from hfsim.cards import Card
from hfsim.crossbar.write_path import Merged
from hfsim.crossbar.write_verify import AbstractPulseNoise, PhysicalProgramming
from hfsim.devices.interface import AbstractMemristor
from hfsim.devices.memristor.cmo import CMOCell, CMOState
from hfsim.devices.pulse import Pulse
from hfsim.devices.pulsed import AbstractPulsedDevice, PulsedState, pulsed_device
from hfsim.devices.pulsed.aggregate import AbstractLinearDevice
from hfsim.devices.pulsed.short_train import ShortTrains, coarseness, has_short_form, short_trains
from hfsim.devices.retention import AbstractRetention, RetentionState
from hfsim.draws import EventHash, address, hashed_normals, require_key, stream
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import ROOM_TEMPERATURE

_HALVINGS = 40
_TINY = 1e-30  # slope of a conductance
_WRITE = -2  # number of the write noise in an event; pulses count from 0, and -1 rounds `MeanCount`


class AbstractSynapse(PhysicalModel):
    """An array of devices that hold weights."""

    @property
    @abc.abstractmethod
    def granularity(self) -> Float[Array, ""]:
        """Mean size of a step, in weight: what one pulse is worth."""

    @property
    @abc.abstractmethod
    def window(self) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """The weights between which devices can be set, as read."""

    @abc.abstractmethod
    def init(self, shape: tuple[int, ...], key: Key[Array, ""]) -> Any:
        """Fresh devices; `key` is the array's stream for life."""

    @abc.abstractmethod
    def place(self, state: Any, w: Float[Array, "*devices"]) -> Any:
        """The state with weights that read exactly `w`, cut at the window."""

    def prepared(self) -> "AbstractSynapse":
        """The same array, with what many calls of `pulses` share made once."""
        return self

    @abc.abstractmethod
    def pulses(
        self, state: Any, counts: Int[Array, "*devices"], event: EventHash, key: Key[Array, ""], limit: int
    ) -> Any:
        """State after signed numbers of pulses, at most `limit` each, in order; `event` and `key` draw the noise."""

    @abc.abstractmethod
    def half_pulses(self, state: Any, up: Int[Array, "*devices"], down: Int[Array, "*devices"]) -> Any:
        """State after these numbers of pulses at half of the voltage, those up first."""

    @abc.abstractmethod
    def written(self, state: Any, touched: Bool[Array, "*devices"], event: EventHash) -> Any:
        """State after the pulses of `event` on the devices `touched`: the error that the last of them left."""

    @abc.abstractmethod
    def weight(self, state: Any) -> Float[Array, "*devices"]:
        """Weights as read now, without the noise of a read."""

    @abc.abstractmethod
    def conductance(self, state: Any) -> Float[Array, "*devices"]:
        """Conductances now [uS]."""

    @abc.abstractmethod
    def awake(self, state: Any) -> Any:
        """The state before pulses: what relaxation left becomes the device's own."""

    @abc.abstractmethod
    def wait(self, state: Any, seconds, temperature=ROOM_TEMPERATURE) -> Any:
        """State after `seconds` [s] at rest at `temperature` [K]."""


class RestedState(eqx.Module):
    """Devices as their last pulses left them, and the retention model's state since, None without such a model."""

    device: Any
    rest: RetentionState | None


class _RestingSynapse(AbstractSynapse):
    """What both kinds share: the retention model beside the device."""

    retention: eqx.AbstractVar[AbstractRetention | None]

    @abc.abstractmethod
    def _device_conductance(self, device: Any) -> Float[Array, "*devices"]:
        """Conductance [uS] without relaxation."""

    @abc.abstractmethod
    def _at_conductance(self, device: Any, G: Float[Array, "*devices"]) -> Any:
        """The device's state with another conductance [uS]."""

    @abc.abstractmethod
    def _to_weight(self, G: Float[Array, "*devices"]) -> Float[Array, "*devices"]:
        """The weight that a conductance [uS] reads as."""

    def conductance(self, state: RestedState):
        if self.retention is None or state.rest is None:
            return self._device_conductance(state.device)
        held = self.retention
        return jax.lax.cond(
            state.rest.clock.seconds > 0,
            lambda s: held.conductance(s.rest),
            lambda s: self._device_conductance(s.device),
            state,
        )

    def weight(self, state: RestedState):
        return self._to_weight(self.conductance(state))

    def awake(self, state: RestedState) -> RestedState:
        if self.retention is None or state.rest is None:
            return state
        return jax.lax.cond(
            state.rest.clock.seconds > 0,
            lambda s: self._rested(self._at_conductance(s.device, self.conductance(s)), s.rest),
            lambda s: s,
            state,
        )

    def _begun(self, device: Any, key) -> RestedState:
        if self.retention is None:
            return RestedState(device, None)
        G = self._device_conductance(device)
        return self._rested(device, self.retention.init(G.shape, stream(key, "rest")))

    def _rested(self, device: Any, rest: RetentionState | None) -> RestedState:
        """`device`, its clock at 0."""
        if self.retention is None or rest is None:
            return RestedState(device, None)
        return RestedState(device, self.retention.place(rest, self._device_conductance(device)))

    def _aged(self, device: Any, rest: RetentionState | None, seconds, temperature) -> RestedState:
        if self.retention is None or rest is None:
            return RestedState(device, None)
        # pulses left the clock at 0 and the retention model's conductance behind
        current = jax.lax.cond(
            rest.clock.seconds > 0,
            lambda r: r,
            lambda r: eqx.tree_at(lambda q: (q.target, q.programmed), r, (self._device_conductance(device),) * 2),
            rest,
        )
        return RestedState(device, self.retention.wait(current, seconds, temperature))


COARSE = 0.05
"""Noise of a step over the window up to which the pulses of one sample are applied at once."""


class PulsedSynapse(_RestingSynapse):
    """Devices that take a step per pulse, with or without a retention model.

    `one_by_one` says how the several pulses of one sample on one device are applied: each by itself (True), or at once
    by `ShortTrains` (False), which a linear device with additive noise has; its error is at most 1.3 of one pulse's
    noise, at the bounds. None takes the latter where the noise of a step is at most `COARSE` of the window. That is
    decided when the synapse is made, and the former taken where its numbers are not known then (made while compiling).
    """

    device: AbstractPulsedDevice
    retention: AbstractRetention | None = None
    one_by_one: bool | None = eqx.field(static=True, default=None)
    short: ShortTrains | None = None

    def __post_init__(self):
        # once and for all: a synapse that is an argument of a compiled function must do what one it closes over does
        if self.one_by_one is None:
            noise = coarseness(self.device)
            self.one_by_one = noise is None or noise > COARSE

    def __check_init__(self):
        if not self.one_by_one and not has_short_form(self.device):
            name = type(self.device).__name__
            raise InputError("one_by_one", "be True or None for a device without a short form", f"False for {name}")
        if self.retention is not None and self.device.decay is not None:
            name = type(self.retention).__name__
            raise InputError("retention", "be None where the device has a decay of its own", name, "take one of both")

    @classmethod
    def from_card(cls, card: Card, retention: AbstractRetention | None = None) -> "PulsedSynapse":
        """The card's pulsed device."""
        return cls(device=pulsed_device(card), retention=retention)

    @property
    def granularity(self):
        return jnp.mean(self.device.dw_min)

    @property
    def window(self):
        return self.device.w_min - self.device.w_ref, self.device.w_max - self.device.w_ref

    def init(self, shape, key):
        return self._begun(self.device.init(shape, stream(require_key(key), "device")), key)

    def place(self, state, w):
        device = self.device.program(state.device, w + self.device.w_ref)
        return self._rested(device, state.rest)

    def prepared(self):
        if self.one_by_one:
            return self
        assert isinstance(self.device, AbstractLinearDevice)  # `coarseness` knows no other
        return dataclasses.replace(self, short=short_trains(self.device))

    def pulses(self, state, counts, event, key, limit):
        old = state.device
        if self.short is not None:
            xi = hashed_normals(event).astype(old.w.dtype)
            w = self.short.moved(old.w, jnp.clip(counts, -limit, limit), xi)
            return RestedState(PulsedState(w, old.error, old.waits, old.key), state.rest)
        number, direction = jnp.abs(counts), jnp.sign(counts)

        def one(index, w):
            xi = hashed_normals(event, index).astype(w.dtype)
            return self.device.stepped(w, jnp.where(index < number, direction, 0), xi)

        def two(carry):  # in one compiled pass over the array
            index, w = carry
            return index + 2, one(index + 1, one(index, w))

        most = jnp.minimum(jnp.max(number), limit)
        first = one(jnp.int32(0), state.device.w)  # most trains end here
        _, w = jax.lax.while_loop(lambda carry: carry[0] < most, two, (jnp.int32(1), first))
        return RestedState(PulsedState(w, old.error, old.waits, old.key), state.rest)

    def half_pulses(self, state, up, down):
        kind = type(self.device).__name__
        raise InputError(
            "disturb", "be False for pulsed devices, which have steps for one amplitude", kind, "take PhysicalSynapse"
        )

    def written(self, state, touched, event):
        sigma, old = self.device.sigma_write, state.device
        if not isinstance(sigma, Tracer) and not np.any(np.asarray(sigma) > 0):
            return state
        error = sigma * hashed_normals(event, _WRITE).astype(old.w.dtype)
        new = PulsedState(old.w, jnp.where(touched, error, old.error), old.waits, old.key)
        return RestedState(new, state.rest)

    def wait(self, state, seconds, temperature=ROOM_TEMPERATURE):
        device = self.device.wait(state.device, seconds, temperature)
        return self._aged(device, state.rest, seconds, temperature)

    def weight(self, state):
        # without a way round by conductances, which costs a rounding
        return self.device.weight(state.device) if self.retention is None else super().weight(state)

    def _device_conductance(self, device):
        return self.device.conductance(device)

    def _at_conductance(self, device, G):
        # the error of the last write stays one, which the next write forgets
        held = self.device.program(device, (G - self.device.G_0) / self.device.g - device.error)
        return PulsedState(held.w, device.error, device.waits, device.key)

    def _to_weight(self, G):
        return (G - self.device.G_0) / self.device.g - self.device.w_ref


class PhysicalSynapse(_RestingSynapse):
    """Memristors of a physical model under fixed SET and RESET pulses at ambient `temperature`.

    `noise` None leaves the model's own noise alone. The state of a conductance is the cell's own `at_conductance`
    (`CMOCell`), or lies on the straight line between two states, the `ends` of least and largest conductance.
    """

    cell: AbstractMemristor
    set_pulse: Pulse
    reset_pulse: Pulse
    dw_min: Float[Array, ""] = parameter(
        unit="1", bounds=(1e-6, 10.0), doc="mean step at the symmetry point", logarithmic=True
    )
    G_0: Float[Array, "..."] = parameter(unit="uS", bounds=(-1e6, 1e6), doc="conductance that reads as 0")
    g: Float[Array, "..."] = parameter(unit="uS", bounds=(1e-6, 1e6), doc="conductance of a unit of weight")
    w_min: Float[Array, ""] = parameter(unit="1", bounds=(-10.0, 10.0), doc="least weight to be set", default=-1.0)
    w_max: Float[Array, ""] = parameter(unit="1", bounds=(-10.0, 10.0), doc="largest weight to be set", default=1.0)
    temperature: Float[Array, ""] = parameter(
        unit="K", bounds=(100.0, 600.0), doc="ambient temperature of pulses and reads", default=ROOM_TEMPERATURE
    )
    noise: AbstractPulseNoise | None = None
    retention: AbstractRetention | None = None
    ends: tuple[Any, Any] | None = None

    @classmethod
    def between(
        cls, cell: AbstractMemristor, low: Any, high: Any, set_pulse: Pulse, reset_pulse: Pulse, **options: Any
    ) -> "PhysicalSynapse":
        """Any memristor between two of its states, which read as -1 and 1; 0 is half-way in conductance.

        Args:
            cell: the memristor.
            low: state of one device, of the least conductance.
            high: state of one device, of the largest.
            set_pulse: raises the conductance.
            reset_pulse: lowers it; the mean of both steps half-way is `dw_min`.
            **options: other fields.

        Raises:
            InputError: the states are the wrong way round, or a pulse does not move a device its way.
        """
        parts: dict[str, Any] = {"cell": cell, "set_pulse": set_pulse, "reset_pulse": reset_pulse, "ends": (low, high)}
        unknown: dict[str, Any] = {"dw_min": 1.0, "G_0": 0.0, "g": 1.0}
        begun = cls(**unknown | parts | options)
        (least, most), (up, down) = eqx.filter_jit(PhysicalSynapse._between_ends)(begun)
        if not isinstance(up, Tracer):
            if not most > least:
                raise InputError("high", "conduct more than `low`", f"{most:.3g} uS after {least:.3g} uS")
            for name, step, way in (("set_pulse", up, "raise"), ("reset_pulse", -down, "lower")):
                if not step > 0:
                    raise InputError(
                        name, f"{way} the conductance half-way", f"a step of {abs(step):.2g} uS against it"
                    )
        g = 0.5 * (most - least)
        known: dict[str, Any] = {"G_0": 0.5 * (most + least), "g": g, "dw_min": 0.5 * (up - down) / g}
        return cls(**known | parts | options)

    def _between_ends(self):
        """Conductances of the ends, and the steps half-way between them."""
        ambient: Any = self.temperature
        assert self.ends is not None
        least, most = self._device_conductance(jax.tree.map(_stacked, *self.ends))
        middle = self._at_conductance(None, 0.5 * (least + most))
        # both pulses at once: a cell's program may be large
        pulse = jax.tree.map(_stacked, self.set_pulse, self.reset_pulse)
        after = self.cell.apply(jax.tree.map(_stacked, middle, middle), pulse, temperature=ambient)
        up, down = self._device_conductance(after) - self._device_conductance(middle)
        return (least, most), (up, down)

    @classmethod
    def from_card(cls, card: Card, retention: AbstractRetention | None = None, **options: Any) -> "PhysicalSynapse":
        """The card's CMO/HfOx cell, pulses and state noise; options replace any field.

        The card's `states` give the map: their symmetry point reads as 0, as a pulsed card's reference does, and from
        the high-resistance to the low-resistance state is a window of 2. `dw_min` is the mean of both steps there.
        """
        loop = PhysicalProgramming.from_card(card)
        density = [card.quantity("states", name, "1/nm3") for name in ("hrs", "symmetry_point", "lrs")]
        states = CMOState(jnp.log(jnp.stack(density)))
        low, zero, high = loop.true_conductance(states)
        g = 0.5 * (high - low)
        ambient: Any = loop.temperature
        after = [loop.cell.apply(states, pulse, temperature=ambient) for pulse in (loop.set_pulse, loop.reset_pulse)]
        up, down = (jnp.abs(loop.true_conductance(state)[1] - zero) for state in after)
        parts: dict[str, Any] = {
            "cell": loop.cell,
            "set_pulse": loop.set_pulse,
            "reset_pulse": loop.reset_pulse,
            "dw_min": 0.5 * (up + down) / g,
            "G_0": zero,
            "g": g,
            "w_min": (low - zero) / g,
            "w_max": (high - zero) / g,
            "temperature": loop.temperature,
            "noise": loop.noise,
            "retention": retention,
        }
        return cls(**(parts | options))

    @property
    def granularity(self):
        return self.dw_min

    @property
    def window(self):
        return self.w_min, self.w_max

    @property
    def _programming(self) -> PhysicalProgramming:
        """The same cell under the same pulses, as write-verify sends them."""
        return PhysicalProgramming(
            cell=self.cell,
            set_pulse=self.set_pulse,
            reset_pulse=self.reset_pulse,
            acceptance=jnp.ones(()),
            noise=self.noise,
            temperature=self.temperature,
        )

    def init(self, shape, key):
        if self.ends is not None:
            return self._begun(self._at_conductance(None, jnp.zeros(shape) + self.G_0), key)
        return self._begun(self.cell.init(shape, stream(require_key(key), "device")), key)

    def place(self, state, w):
        G = self.G_0 + self.g * jnp.clip(w, self.w_min, self.w_max)
        return self._rested(self._at_conductance(state.device, G), state.rest)

    def pulses(self, state, counts, event, key, limit):
        number, up, programming = jnp.abs(counts), counts > 0, self._programming

        def one(carry):
            index, device = carry
            return index + 1, programming.pulsed(device, up, index < number, address(key, index))

        most = jnp.minimum(jnp.max(number), limit)
        _, device = jax.lax.while_loop(lambda carry: carry[0] < most, one, (jnp.int32(0), state.device))
        return RestedState(device, state.rest)

    def half_pulses(self, state, up, down):
        device = state.device
        for pulse, count in ((self.set_pulse, up), (self.reset_pulse, down)):
            half = Pulse(0.5 * pulse.voltage, pulse.width)
            device = Merged().apply(self.cell, device, half, count, None, self.temperature)
        return RestedState(device, state.rest)

    def written(self, state, touched, event):
        return state

    def wait(self, state, seconds, temperature=ROOM_TEMPERATURE):
        device = self.cell.wait(state.device, seconds, temperature)
        return self._aged(device, state.rest, seconds, temperature)

    def _device_conductance(self, device):
        return self._programming.true_conductance(device)

    def _at_conductance(self, device, G):
        if isinstance(self.cell, CMOCell):
            ambient: Any = self.temperature
            return self.cell.at_conductance(G, temperature=ambient)
        if self.ends is None:
            kind = type(self.cell).__name__
            raise InputError(
                "ends", f"be given for a {kind}, whose states are set", None, "take PhysicalSynapse.between"
            )
        return self._on_the_line(jnp.asarray(G))

    def _on_the_line(self, G):
        """The state of conductance `G` between the ends, by bisection; one step of Newton carries the derivatives."""
        assert self.ends is not None
        low, high = self.ends

        def state(share):
            def at(a, b):
                moved = eqx.is_inexact_array(a)
                return a + (b - a) * share if moved else jnp.broadcast_to(a, share.shape)

            return jax.tree.map(at, low, high)

        def conductance(share):
            return self._device_conductance(state(share))

        def halved(_, bounds):
            middle = 0.5 * (bounds[0] + bounds[1])
            below = conductance(middle) < G
            return jnp.where(below, middle, bounds[0]), jnp.where(below, bounds[1], middle)

        begun = jnp.zeros_like(G), jnp.ones_like(G)
        share = jax.lax.stop_gradient(jax.lax.fori_loop(0, _HALVINGS, halved, begun)[0])
        now, slope = jax.jvp(conductance, (share,), (jnp.ones_like(share),))
        slope = jax.lax.stop_gradient(jnp.maximum(slope, _TINY))
        return state(jnp.clip(share + (G - now) / slope, 0.0, 1.0))

    def _to_weight(self, G):
        return (G - self.G_0) / self.g


def _stacked(*values) -> Array:
    return jnp.stack([jnp.asarray(value) for value in values])
