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
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter
from hfsim.units import ROOM_TEMPERATURE

_GRID = 65
"""Remanences on which the circuit is solved; between them its voltages are linear to 0.1 mV."""
_REACH = 2.5
"""Largest remanence of the grid over the nominal one; a cell beyond reads like that one."""


class AbstractCells(PhysicalModel):
    """Minimum cells as a latch sees them."""

    @abc.abstractmethod
    def charges(self, shape: tuple[int, ...], key: Key[Array, ""]) -> Float[Array, "*shape"]:
        """Switching charge of cells of `shape` over the nominal one, each with its own mismatch."""

    @abc.abstractmethod
    def voltages(self, charges: Float[Array, "*shape"], key: Key[Array, ""]) -> ArrayRead:
        """V_1 and V_0 [V] of cells of these relative charges."""


class WindowCells(AbstractCells):
    """Voltages as stated: V_1 ~ N(V_mid + MW/2, sigma^2), V_0 ~ N(V_mid - MW/2, sigma^2)."""

    window: Float[Array, ""] = parameter(unit="mV", bounds=(0.0, 5e3), doc="median memory window")
    sigma: Float[Array, ""] = parameter(unit="mV", bounds=(0.0, 500.0), doc="spread of each state between cells")
    V_mid: Float[Array, ""] = parameter(unit="V", bounds=(-5.0, 5.0), doc="middle of the window")

    def charges(self, shape, key):
        return jnp.ones(shape, self.window.dtype)

    def voltages(self, charges, key):
        def state(name, side):
            spread = self.sigma * normal(stream(key, name), charges.shape, self.sigma.dtype)
            return self.V_mid + 1e-3 * (side * self.window / 2 + spread)

        return ArrayRead(state("one", 1), state("zero", -1))


class CircuitCells(AbstractCells):
    """Voltages by `read_array`; cells differ in P_r, by the capacitor's `P_r_spread`.

    The circuit is solved once, by `solve`, on a grid of remanences, between which each cell's voltages are
    interpolated: after a change of capacitor or line, solve again (inside the differentiated function, where a
    gradient is wanted).
    """

    solved: ArrayRead
    P_r_spread: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 0.5), doc="relative spread of P_r of a cell")

    @classmethod
    def solve(
        cls,
        line: FloatingLine,
        capacitor: FerroelectricCapacitor,
        pulse: Pulse,
        *,
        cycles=0.0,
        temperature=ROOM_TEMPERATURE,
    ) -> "CircuitCells":
        """Cells on their bit lines.

        Args:
            line: of each cell.
            capacitor: the nominal one; to be cycled it must have `ageing`, without breakdown, which is drawn device
                by device and has no place here.
            pulse: writes and reads [V], [ns].
            cycles: bipolar cycles of the pulse before.
            temperature: of cycling, writing and reading [K].

        Raises:
            InputError: cycles are asked of a capacitor that does not age.
        """
        grid = eqx.tree_at(lambda c: c.P_r, capacitor, capacitor.P_r * jnp.linspace(0.0, _REACH, _GRID))
        solved = read_array(line, grid, pulse, pulse, cycles=cycles, temperature=temperature, tile=_GRID)
        return cls(solved, capacitor.P_r_spread)

    @classmethod
    def from_card(cls, card: Card, *, P_r_spread=None, cycles=0.0, temperature=ROOM_TEMPERATURE) -> "CircuitCells":
        """Woken cells that fatigue, on the card's bit line, written and read by its write pulse.

        `P_r_spread` is the card's unless given; `cycles` and `temperature` are those of `solve`.

        Raises:
            InputError: `cycles` are negative, or `temperature` [K] lies outside 100..600.
        """
        if not cycles >= 0:
            raise InputError("cycles", "be at least 0", cycles)
        if not 100 <= temperature <= 600:
            raise InputError("temperature", "lie in [100, 600] K", temperature)
        capacitor = woken_capacitor(card)
        if P_r_spread is not None:
            capacitor = dataclasses.replace(capacitor, P_r_spread=P_r_spread)
        line, pulse = card.build(FloatingLine, "bit_line", steps=8), card.build(Pulse, "write_pulse")
        return _solve(line, capacitor, pulse, jnp.asarray(cycles, float), jnp.asarray(temperature, float))

    def charges(self, shape, key):
        return jnp.maximum(1 + self.P_r_spread * normal(key, shape, self.P_r_spread.dtype), 0.0)

    def voltages(self, charges, key):
        grid = jnp.linspace(0.0, _REACH, _GRID)
        return ArrayRead(jnp.interp(charges, grid, self.solved.one), jnp.interp(charges, grid, self.solved.zero))


@eqx.filter_jit
def _solve(line, capacitor, pulse, cycles, temperature) -> CircuitCells:
    """One program for all cards, spreads, cycles and temperatures."""
    return CircuitCells.solve(line, capacitor, pulse, cycles=cycles, temperature=temperature)


def woken_capacitor(card: Card) -> FerroelectricCapacitor:
    """The card's FeCAP, woken, with its fatigue."""
    fatigue = Ageing(fatigue=card.build(Fatigue, "fatigue"))
    return dataclasses.replace(ferroelectric_capacitor(card, nodes=32), ageing=fatigue)
