"""Write-verify programming, pulse by pulse: read, and while the read lies outside target (1 +- acceptance), pulse.

Every pulse of one direction is the same: SET below the target, RESET above. A device is left alone from its first
accepted read on; reads are one more than pulses. The loop is one compiled program over devices of any shape, as long
as its slowest device, at most `limit` pulses. Pulse and read number k draw at the address (key, k) for the whole
array, so that a device's history depends on its place and not on what the others do.

Where steps are wider than the acceptance, a device hits by chance: the number of pulses goes as noise/(acceptance
target), and the error is uniform inside the acceptance, sigma = acceptance target/sqrt(3), as published for CMO/HfOx.
A device whose mean steps vanish, or are far wider than the acceptance, gets there through its noise alone.

Counts are integers without gradient. What the final conductance's derivative is, is a choice, as the number and the
direction of pulses are decisions (`HeldError`, `HeldDecisions`).

Source: identical-pulse write-verify of D. F. Falcone et al., Adv. Funct. Mater. (2025), doi 10.1002/adfm.202504688.
The amplitude of its pulses is not published: cards hold the open-loop ones.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from hfsim.cards import Card
from hfsim.crossbar.programming import AbstractProgramming, Programmed, ProgrammingResult
from hfsim.devices.interface import AbstractMemristor
from hfsim.devices.memristor.cmo import CMOCell, CMOState
from hfsim.devices.memristor.series import SelectResistance
from hfsim.devices.pulse import Pulse
from hfsim.devices.pulsed import AbstractPulsedDevice, pulsed_device
from hfsim.devices.relaxation import log_read_time
from hfsim.devices.train import checkpointed_scan
from hfsim.draws import address, normal, stream
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import NANOSECONDS, ROOM_TEMPERATURE

PER_CENT = 1e-2


class VerifyRead(PhysicalModel):
    """Noise of the reads between pulses: the CMO/HfOx law, `delay` after the pulse.

        one read: N(0, f K log10(G) sqrt(ln((t + t_r)/(2 t_r))))

    It is 0 up to the duration of one read, and below 1 uS.
    """

    K_read: Float[Array, "..."] = parameter(unit="uS", bounds=(0.0, 10.0), doc="read noise per decade of conductance")
    read_factor: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 10.0), doc="factor on the read noise")
    t_read: Float[Array, "..."] = parameter(unit="ns", bounds=(1.0, 1e9), doc="duration of a read", logarithmic=True)
    delay: Float[Array, "..."] = parameter(unit="ns", bounds=(0.0, 1e12), doc="from a pulse to its verifying read")

    @classmethod
    def from_card(cls, card: Card, delay: float) -> "VerifyRead":
        """The card's read noise `delay` [ns] after a pulse."""
        units = {"K_read": "uS", "read_factor": "1", "t_read": "ns"}
        return cls(**{k: card.quantity("retention", k, unit) for k, unit in units.items()}, delay=jnp.asarray(delay))

    def sigma(self, G: Float[Array, "..."]) -> Float[Array, "..."]:
        """Standard deviation [uS] of one read of `G` [uS]."""
        decades = jnp.log10(jnp.maximum(G, 1.0))
        late = log_read_time(self.delay / NANOSECONDS, self.t_read / NANOSECONDS)
        return self.read_factor * self.K_read * decades * late


class AbstractPulseNoise(PhysicalModel):
    """Cycle-to-cycle noise for a compact model that has none.

    How much a step varies at the symmetry point is published, how it is distributed is not. The two forms here,
    with one and the same ratio there, need 40 and 17 pulses to 0.2 %: see the page.
    """

    @abc.abstractmethod
    def apply(self, cell: AbstractMemristor, state: Any, pulse: Pulse, key: Key[Array, ""], temperature) -> Any:
        """State after one noisy `pulse` of `cell` at ambient `temperature` [K]; `key` is the pulse's address."""


class StateNoise(AbstractPulseNoise):
    """ln C <- ln C + step + sigma N: the same at every state, so that a pulse may move a cell backwards.

    What `AdditiveNoise` is to a pulsed device; for `CMOCell`, whose state is ln C.
    """

    sigma: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 3.0), doc="standard deviation of a step of ln C")

    def apply(self, cell, state, pulse, key, temperature):
        after = cell.apply(state, pulse, temperature=temperature)
        return CMOState(after.log_C + self.sigma * normal(key, after.log_C.shape, after.log_C.dtype))


class RateNoise(AbstractPulseNoise):
    """The rate of each pulse times exp(sigma N - sigma^2/2), of mean 1: no pulse moves a device backwards.

    Made as a pulse of that much more width, which is the same where the rate follows the field at once. For any
    memristor.
    """

    sigma: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 3.0), doc="deviation of the logarithm of the rate")

    def apply(self, cell, state, pulse, key, temperature):
        shape = jnp.broadcast_shapes(jnp.shape(pulse.voltage), jnp.shape(pulse.width))
        factor = jnp.exp(self.sigma * normal(stream(key, "rate"), shape, pulse.width.dtype) - 0.5 * self.sigma**2)
        noisy = Pulse(pulse.voltage, pulse.width * factor)
        return cell.apply(state, noisy, stream(key, "device"), temperature=temperature)


class AbstractDifferentiation(eqx.Module):
    """What is held fixed when the programmed conductance is differentiated."""

    @abc.abstractmethod
    def run(self, loop: "AbstractWriteVerify", key, target, state) -> tuple["_Carry", Float[Array, "*devices"]]:
        """The loop's end and the conductance [uS] with its derivative."""


class HeldError(AbstractDifferentiation):
    """Each device keeps its place in the acceptance: G = target (1 + acceptance u), u held where it ended.

    For acceptances narrow against a step u is uniform whatever the target, so this is the derivative of the mean and
    of the spread of G; that of the device's parameters is 0, as it is in the mean, and the state carries none. Costs
    nothing: the loop stops once all devices have.
    """

    def run(self, loop, key, target, state):
        held, t, fixed = jax.lax.stop_gradient((loop, target, state))

        def unfinished(carry):
            return (carry.count < held.limit) & jnp.any(carry.active)

        end = jax.lax.while_loop(unfinished, lambda c: held._advance(key, t, c), held._start(key, t, fixed))
        G = held.true_conductance(end.state)
        u = (G / jnp.where(t > 0, t, 1.0) - 1) / held.acceptance
        along = target * (1 + loop.acceptance * u)
        moved = jnp.where(end.accepted, along - jax.lax.stop_gradient(along), 0.0)
        return end, G + moved


class HeldDecisions(AbstractDifferentiation):
    """Each device keeps the number and the directions of its pulses: the exact derivative of what those pulses do.

    It reaches the device's parameters, the pulses and the starting state, through `limit` pulses in a checkpointed
    scan, forward or reverse. It is that of one history, not of the mean over histories: decisions shift with the
    parameters, and bring the conductance back to the target, whose own derivative here is 0.
    """

    def run(self, loop, key, target, state):
        def step(carry, _):
            return loop._advance(key, target, carry), None

        start = loop._start(key, target, state)
        end = checkpointed_scan(step, start, jnp.arange(loop.limit), length=loop.limit)[0] if loop.limit else start
        return end, loop.true_conductance(end.state)


class _Carry(eqx.Module):
    """Pulses sent, devices, those accepted and those still pulsed, directions of the next pulse, pulses of each."""

    count: Int[Array, ""]
    state: Any
    accepted: Bool[Array, "*devices"]
    active: Bool[Array, "*devices"]
    up: Bool[Array, "*devices"]
    pulses: Int[Array, "*devices"]


class AbstractWriteVerify(AbstractProgramming):
    """The loop over any device; `read` None verifies without noise."""

    acceptance: eqx.AbstractVar[Float[Array, "..."]]
    read: eqx.AbstractVar[VerifyRead | None]
    differentiation: eqx.AbstractVar[AbstractDifferentiation]
    limit: eqx.AbstractVar[int]

    @abc.abstractmethod
    def pulsed(self, state: Any, up: Bool[Array, "*devices"], active: Bool[Array, "*devices"], key) -> Any:
        """State after one pulse on the active devices, SET where `up`."""

    @abc.abstractmethod
    def true_conductance(self, state: Any) -> Float[Array, "*devices"]:
        """True conductance [uS]."""

    def _program(self, key, target, state):
        shape = self.true_conductance(state).shape
        if shape != target.shape:
            raise InputError("target", f"have the devices' shape {shape}", f"of shape {target.shape}")
        end, G = self.differentiation.run(self, key, target, state)
        result = jnp.where(end.accepted, ProgrammingResult.ACCEPTED, ProgrammingResult.NOT_REACHED)
        result = jnp.where(self._wanted(target), result, ProgrammingResult.NO_TARGET).astype(jnp.int32)
        return Programmed(end.state, G, end.pulses, result)

    def _check_limit(self):
        if not isinstance(self.limit, int) or isinstance(self.limit, bool) or self.limit < 0:
            raise InputError(f"{type(self).__name__}.limit", "be an integer >= 0", repr(self.limit))

    @staticmethod
    def _wanted(target):
        return (target > 0) & jnp.isfinite(target)

    def _start(self, key, target, state) -> _Carry:
        nothing = jnp.zeros(target.shape, jnp.int32)
        before = _Carry(jnp.int32(0), state, nothing > 0, self._wanted(target), nothing > 0, nothing)
        return self._verified(key, target, before)

    def _advance(self, key, target, carry: _Carry) -> _Carry:
        """One pulse on what is active, and the read that verifies it."""
        state = self.pulsed(carry.state, carry.up, carry.active, address(stream(key, "pulses"), carry.count))
        pulses = carry.pulses + carry.active
        after = _Carry(carry.count + 1, state, carry.accepted, carry.active, carry.up, pulses)
        return self._verified(key, target, after)

    def _verified(self, key, target, carry: _Carry) -> _Carry:
        seen = self.true_conductance(carry.state)
        if self.read is not None:
            noise = normal(address(stream(key, "reads"), carry.count), seen.shape, seen.dtype)
            seen = seen + self.read.sigma(seen) * noise
        hit = carry.active & (jnp.abs(seen - target) <= self.acceptance * target)
        return _Carry(carry.count, carry.state, carry.accepted | hit, carry.active & ~hit, seen < target, carry.pulses)


class PulsedProgramming(AbstractWriteVerify):
    """Write-verify of a phenomenological device: its steps, and its noise."""

    device: AbstractPulsedDevice
    acceptance: Float[Array, "..."] = parameter(unit="1", bounds=(1e-6, 1.0), doc="accepted error over the target")
    read: VerifyRead | None = None
    differentiation: AbstractDifferentiation = HeldError()
    limit: int = eqx.field(static=True, default=2000)

    def __check_init__(self):
        self._check_limit()

    @classmethod
    def from_card(cls, card: Card, acceptance: float = 0.2, **options: Any) -> "PulsedProgramming":
        """The card's pulsed device to `acceptance` per cent; options are the other fields."""
        return cls(device=pulsed_device(card), acceptance=jnp.asarray(PER_CENT * acceptance), **options)

    def init(self, shape, key):
        return self.device.init(shape, stream(key, "device"))

    def pulsed(self, state, up, active, key):
        return self.device.step(state, jnp.where(active, jnp.where(up, 1, -1), 0), key)

    def true_conductance(self, state):
        return self.device.conductance(state)


class PhysicalProgramming(AbstractWriteVerify):
    """Write-verify of a physical memristor with the card's SET and RESET pulses, at ambient `temperature`.

    `noise` None leaves the model's own noise alone, which a compact model without any does not have: its pulses then
    repeat themselves, and many a device never hits. Cells of `CMOCell` are read at `temperature`, others as their
    `conductance` is.
    """

    cell: AbstractMemristor
    set_pulse: Pulse
    reset_pulse: Pulse
    acceptance: Float[Array, "..."] = parameter(unit="1", bounds=(1e-6, 1.0), doc="accepted error over the target")
    noise: AbstractPulseNoise | None = None
    read: VerifyRead | None = None
    temperature: Float[Array, ""] = parameter(
        unit="K", bounds=(100.0, 600.0), doc="ambient temperature", default=ROOM_TEMPERATURE
    )
    differentiation: AbstractDifferentiation = HeldError()
    limit: int = eqx.field(static=True, default=2000)

    def __check_init__(self):
        self._check_limit()
        if isinstance(self.noise, StateNoise) and not isinstance(self.cell, CMOCell):
            name = type(self.cell).__name__
            raise InputError("PhysicalProgramming.noise", "fit the cell", f"StateNoise of a {name}", "take RateNoise")

    @classmethod
    def from_card(cls, card: Card, acceptance: float = 0.2, **options: Any) -> "PhysicalProgramming":
        """The card's CMO/HfOx cell, pulses and state noise to `acceptance` per cent; options replace any field."""
        parts = {
            "cell": lambda: card.build(CMOCell, "cell", series=card.build(SelectResistance, "series")),
            "set_pulse": lambda: card.build(Pulse, "set_pulse"),
            "reset_pulse": lambda: card.build(Pulse, "reset_pulse"),
            "noise": lambda: card.build(StateNoise, "state_noise"),
            "temperature": lambda: card.quantity("conditions", "T_0", "K"),
        }
        built = {name: make() for name, make in parts.items() if name not in options}
        return cls(acceptance=jnp.asarray(PER_CENT * acceptance), **built, **options)

    def init(self, shape, key):
        return self.cell.init(shape, stream(key, "device"))

    def pulsed(self, state, up, active, key):
        pulse = jax.tree.map(lambda a, b: jnp.where(up, a, b), self.set_pulse, self.reset_pulse)
        ambient: Any = self.temperature
        if self.noise is None:
            after = self.cell.apply(state, pulse, key, temperature=ambient)
        else:
            after = self.noise.apply(self.cell, state, pulse, key, ambient)

        def kept(new, old):  # leaves of one number for a whole array (keys, counters) move on
            own = jnp.shape(new)[max(jnp.ndim(new) - active.ndim, 0) :] == active.shape
            return jnp.where(active, new, old) if own else new

        return jax.tree.map(kept, after, state)

    def true_conductance(self, state):
        if isinstance(self.cell, CMOCell):
            ambient: Any = self.temperature
            return self.cell.conductance(state, temperature=ambient)
        return self.cell.conductance(state)
