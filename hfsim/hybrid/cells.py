"""Line voltages of the 14 cells of each synapse in a destructive read, for either stored bit.

`WindowCells` states them, mean windows and spread; `CircuitCells` computes them from capacitor, bit line and pulses,
after a number of cycles and at a temperature. Each cell has its own line for the time of its read.
"""

import abc
import dataclasses

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hfsim.cards import Card
from hfsim.circuits.array_read import ArrayRead, read_array
from hfsim.circuits.floating_line import FloatingLine
from hfsim.devices.ferroelectric import Ageing, Fatigue, FerroelectricCapacitor
from hfsim.devices.from_card import ferroelectric_capacitor
from hfsim.devices.pulse import Pulse
from hfsim.draws import normal, stream
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import ROOM_TEMPERATURE

_GRID = 65
"""Remanences on which the circuit is solved; between them its voltages are linear to 0.1 mV."""
_REACH = 2.5
"""Largest remanence of the grid over the nominal one; a cell beyond reads like that one."""


class AbstractCells(PhysicalModel):
    """Minimum cells as a latch sees them."""

    @abc.abstractmethod
    def voltages(self, shape: tuple[int, ...], key: Key[Array, ""]) -> ArrayRead:
        """V_1 and V_0 [V] of cells of `shape`, each with its own mismatch."""


class WindowCells(AbstractCells):
    """Voltages as stated: V_1 ~ N(V_mid + MW/2, sigma^2), V_0 ~ N(V_mid - MW/2, sigma^2)."""

    window: Float[Array, ""] = parameter(unit="mV", bounds=(0.0, 5e3), doc="median memory window")
    sigma: Float[Array, ""] = parameter(unit="mV", bounds=(0.0, 500.0), doc="spread of each state between cells")
    V_mid: Float[Array, ""] = parameter(unit="V", bounds=(-5.0, 5.0), doc="middle of the window")

    def voltages(self, shape, key):
        def state(name, side):
            spread = self.sigma * normal(stream(key, name), shape, self.sigma.dtype)
            return self.V_mid + 1e-3 * (side * self.window / 2 + spread)

        return ArrayRead(state("one", 1), state("zero", -1))


class CircuitCells(AbstractCells):
    """Voltages by `read_array`; cells differ in P_r, by the capacitor's `P_r_spread`.

    The circuit is solved on a grid of remanences, and each cell's voltages are interpolated. Cells that are to be
    cycled need a capacitor with ageing; breakdown is drawn device by device and has no place here.
    """

    line: FloatingLine
    capacitor: FerroelectricCapacitor
    pulse: Pulse
    cycles: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 1e18), doc="bipolar cycles before", default=0.0)
    temperature: Float[Array, ""] = parameter(
        unit="K", bounds=(100.0, 600.0), doc="temperature of cycling, writing and reading", default=ROOM_TEMPERATURE
    )

    @classmethod
    def from_card(cls, card: Card, **options) -> "CircuitCells":
        """Woken cells that fatigue, on the card's bit line, written and read by its write pulse."""
        capacitor = dataclasses.replace(
            ferroelectric_capacitor(card, nodes=32), ageing=Ageing(fatigue=card.build(Fatigue, "fatigue"))
        )
        line = card.build(FloatingLine, "bit_line", steps=8)
        return cls(line=line, capacitor=capacitor, pulse=card.build(Pulse, "write_pulse"), **options)

    def voltages(self, shape, key):
        grid = jnp.linspace(0.0, _REACH, _GRID) * self.capacitor.P_r
        cells = eqx.tree_at(lambda c: c.P_r, self.capacitor, grid)
        found = read_array(
            self.line, cells, self.pulse, self.pulse, cycles=self.cycles, temperature=self.temperature, tile=_GRID
        )
        own = self.capacitor.sample(shape, key).P_r
        return ArrayRead(jnp.interp(own, grid, found.one), jnp.interp(own, grid, found.zero))
