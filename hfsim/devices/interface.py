"""What every device promises: parameters in a module, state in another tree, pure functions between states.

    state = device.init(shape, key)                          # fresh devices of a shape
    state = device.apply(state, pulse, key)                  # one voltage pulse
    state = device.wait(state, seconds, temperature)         # time at rest

Everything is element-wise: a parameter is a scalar or carries the devices' shape, so a population is the same
module with larger leaves. What is read from a state is the device's own: a capacitor's read is destructive and
returns a new state, a memristor's conductance is not and does not.

`temperature` is the ambient in K, taken literally. Where the numbers published for a card hold at another one than
`ROOM_TEMPERATURE`, its section [conditions] says at which.
"""

import abc
from typing import Any

from jaxtyping import Array, Float, Key

from hfsim.devices.pulse import Pulse
from hfsim.parameters import PhysicalModel
from hfsim.units import ROOM_TEMPERATURE


class AbstractDevice(PhysicalModel):
    """A device that pulses and time change."""

    @abc.abstractmethod
    def init(self, shape: tuple[int, ...], key: Key[Array, ""] | None = None) -> Any:
        """State of fresh devices of `shape`; `key` is needed where their state holds draws."""

    @abc.abstractmethod
    def apply(
        self, state: Any, pulse: Pulse, key: Key[Array, ""] | None = None, *, temperature=ROOM_TEMPERATURE
    ) -> Any:
        """State after one rectangular pulse at ambient `temperature` [K]; `key` draws what is random about it."""

    @abc.abstractmethod
    def wait(self, state: Any, seconds, temperature=ROOM_TEMPERATURE) -> Any:
        """State after `seconds` [s] at rest at ambient `temperature` [K]."""


class AbstractMemristor(AbstractDevice):
    """A device whose state is read as a current that leaves it as it is."""

    @abc.abstractmethod
    def current(self, state: Any, voltage: Float[Array, "..."] | float) -> Float[Array, "*devices"]:
        """Current [uA] at `voltage` [V] over the device."""

    @abc.abstractmethod
    def conductance(self, state: Any) -> Float[Array, "*devices"]:
        """Conductance [uS] at the device's read voltage."""

    def plot(self, first: float, second: float, **options):
        """Conductance over a staircase of pulses 0, first, 0, second, 0 [V]: `hfsim.plot.staircase`. Returns axes."""
        from hfsim.plot import staircase  # matplotlib is needed here alone

        return staircase(self, first, second, **options)
