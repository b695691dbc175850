"""The array: 128 transfer lines x (128 FeCAPs + 16 memristors) = 18,432 devices, 1,024 synapses.

A synapse has 14 minimum FeCAPs on its line (1 sign, 4 + 2 + 1 for the three MSBs, 6 LSBs) and two memristors;
eight synapses share a line, and 16 FeCAPs of each line are spare. Every operation here is made of pulses on
devices; `hfsim.learning` does the same with words and level statistics. Martemucci et al., Nature Electronics
8, 921 (2025); eight synapses a line is inferred there.

Operations, one per pulse on a device, counted in integers:

    update    sense every cell, write every cell                              FeCAP 2
    transfer  sense sign and MSBs, write them back, pulse the MSBs onto the
              line, write them back; RESET both memristors, SET the target    sign 2, MSB 4; memristor 2 or 1
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from hfsim.cards import Card
from hfsim.circuits.floating_line import FloatingLine
from hfsim.circuits.sense_amplifier import SenseAmplifier
from hfsim.circuits.transfer_line import MSB_CELLS, TransferLine
from hfsim.devices.ferroelectric import FerroelectricCapacitor, FerroelectricState
from hfsim.devices.memristor import MemristorState
from hfsim.devices.pulse import Pulse
from hfsim.devices.transistor import Transistor
from hfsim.draws import require_key, stream
from hfsim.errors import InputError
from hfsim.estimators import Exact
from hfsim.hybrid.from_card import transfer_line
from hfsim.hybrid.words import WORD_MAX, word_bits, words_of_bits
from hfsim.units import ROOM_TEMPERATURE

SYNAPSE_CELLS = (1, *MSB_CELLS, 1, 1, 1, 1, 1, 1)
"""Minimum FeCAPs of each bit of a word, sign first: 14 in all."""
CELLS = sum(SYNAPSE_CELLS)
_BIT_OF_CELL = np.repeat(np.arange(len(SYNAPSE_CELLS)), SYNAPSE_CELLS)
_SIGN = _BIT_OF_CELL == 0
_MSB = (_BIT_OF_CELL >= 1) & (_BIT_OF_CELL <= 3)


class HybridArrayState(NamedTuple):
    """State of an array: FeCAPs (nodes, lines, synapses, 14), memristors (lines, synapses, 2; plus first), and
    the integer count of operations of each device."""

    fecaps: FerroelectricState
    memristors: MemristorState
    fecap_operations: Int[Array, "lines synapses 14"]
    memristor_operations: Int[Array, "lines synapses 2"]


class HybridArray(eqx.Module):
    """An array of hybrid synapses, pulse by pulse.

    The populations have the shapes of the state: `capacitor` (lines, synapses, 14) or scalar, `transistor`
    (lines, synapses, 2) or scalar, `amplifier` (lines, 1, 1) or scalar.
    """

    line: TransferLine
    bit_line: FloatingLine
    amplifier: SenseAmplifier
    write_pulse: Pulse
    capacitor: FerroelectricCapacitor
    transistor: Transistor
    lines: int = eqx.field(static=True, default=128)
    fecaps_per_line: int = eqx.field(static=True, default=128)
    memristors_per_line: int = eqx.field(static=True, default=16)

    def __check_init__(self):
        for name in ("lines", "fecaps_per_line", "memristors_per_line"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise InputError(name, "be an integer >= 1", repr(getattr(self, name)))
        if self.synapses_per_line < 1:
            raise InputError(
                "fecaps_per_line", f"hold a synapse of {CELLS} cells beside 2 memristors", self.fecaps_per_line
            )

    @classmethod
    def from_card(cls, card: Card, mechanism: str = "saturation", **sizes: int) -> "HybridArray":
        """The card's array; `sizes` are lines, fecaps_per_line, memristors_per_line."""
        line = transfer_line(card, mechanism)
        return cls(
            line=line,
            bit_line=card.build(FloatingLine, "bit_line", steps=8),
            amplifier=card.build(SenseAmplifier, "sense_amplifier"),
            write_pulse=card.build(Pulse, "write_pulse"),
            capacitor=line.capacitor,
            transistor=line.transistor,
            **sizes,
        )

    @property
    def devices(self) -> int:
        """FeCAPs and memristors of one array, the spare ones included."""
        return self.lines * (self.fecaps_per_line + self.memristors_per_line)

    @property
    def synapses_per_line(self) -> int:
        return min(self.fecaps_per_line // CELLS, self.memristors_per_line // 2)

    @property
    def synapses(self) -> int:
        """Synapses of one array."""
        return self.lines * self.synapses_per_line

    def arrays_for(self, weights: int) -> int:
        """How many arrays hold `weights` synapses."""
        return -(-weights // self.synapses)

    def location(self, weight: int) -> tuple[int, int, int]:
        """Where the weight of this number lies when a network fills arrays in order: (array, line, synapse)."""
        array, place = divmod(int(weight), self.synapses)
        return array, *divmod(place, self.synapses_per_line)

    def sample(self, key: Key[Array, ""]) -> "HybridArray":
        """One fabricated array: every capacitor, transistor and amplifier with its own mismatch."""
        key, shape = require_key(key), (self.lines, self.synapses_per_line)
        return eqx.tree_at(
            lambda m: (m.capacitor, m.transistor, m.amplifier),
            self,
            (
                self.capacitor.sample((*shape, CELLS), stream(key, "capacitors")),
                self.transistor.sample((*shape, 2), stream(key, "transistors")),
                self.amplifier.sample((self.lines, 1, 1), stream(key, "amplifiers")),
            ),
        )

    def init(self, key: Key[Array, ""]) -> HybridArrayState:
        """Woken FeCAPs that hold +0, freshly reset memristors, no operation counted."""
        shape = (self.lines, self.synapses_per_line)
        return HybridArrayState(
            fecaps=self.capacitor.init((*shape, CELLS), up=1.0),
            memristors=self.line.memristor.init((*shape, 2), stream(require_key(key), "memristors")),
            fecap_operations=jnp.zeros((*shape, CELLS), jnp.int32),
            memristor_operations=jnp.zeros((*shape, 2), jnp.int32),
        )

    def write(self, state: HybridArrayState, words: Float[Array, "lines synapses"], cells=None):
        """Write words into the FeCAPs: one pulse on each of the synapse's `cells` (mask of 14; default all)."""
        self._check_shape("words", words)
        chosen = np.ones(CELLS, bool) if cells is None else cells
        bits = word_bits(words)[..., _BIT_OF_CELL]
        pulse = Pulse(self.write_pulse.voltage * chosen, self.write_pulse.width)
        return self._count(state._replace(fecaps=self.capacitor.write(state.fecaps, bits, pulse)), chosen)

    def sense(self, state: HybridArrayState, key: Key[Array, ""], cells=None):
        """Destructive read of each chosen cell onto its bit line and through the sense amplifier.

        Returns (state with the cells erased, words). A bit of several cells is what half of them or more say;
        cells outside the mask `cells` count as 0.
        """
        chosen = np.ones(CELLS, bool) if cells is None else cells
        one_a_line = jax.tree.map(lambda x: x[..., None], state.fecaps)
        cell = jax.tree.map(lambda x: x[..., None] if jnp.ndim(x) else x, self.capacitor)
        pulse = Pulse(self.write_pulse.voltage * jnp.asarray(chosen, float), self.write_pulse.width)
        after, voltage = self.bit_line.share(cell, one_a_line, pulse)
        ones = self.amplifier.decide(voltage, require_key(key), Exact()) * chosen
        counts = jax.nn.one_hot(_BIT_OF_CELL, len(SYNAPSE_CELLS), dtype=ones.dtype)
        bits = (2 * (ones @ counts) >= np.asarray(SYNAPSE_CELLS)).astype(ones.dtype)
        state = state._replace(fecaps=jax.tree.map(lambda x: x[..., 0], after))
        return self._count(state, chosen), words_of_bits(bits)

    def update(self, state: HybridArrayState, step: Float[Array, "lines synapses"], key: Key[Array, ""]):
        """Read every word, add the integers `step`, write the saturated sums back."""
        self._check_shape("step", step)
        state, words = self.sense(state, key)
        moved = jnp.clip(words + step, -WORD_MAX, WORD_MAX)
        return self.write(state, jnp.where(step == 0, words, moved))  # a step of 0 keeps the sign of a zero

    def transfer(self, state: HybridArrayState, key: Key[Array, ""]) -> HybridArrayState:
        """Program each pair of memristors from the sign and the three MSBs of its word; the word is restored."""
        leading = _SIGN | _MSB
        state, words = self.sense(state, key, leading)
        state = self.write(state, words, leading)
        msb = jax.tree.map(lambda x: x[..., _MSB], state.fecaps)
        capacitor = jax.tree.map(lambda x: x[..., _MSB] if jnp.ndim(x) else x, self.capacitor)
        drive = Pulse(self.line.drive.V_SL, self.line.drive.width)
        after, V_TL = self.line.line.share(capacitor, msb, drive)
        fecaps = jax.tree.map(lambda whole, part: whole.at[..., _MSB].set(part), state.fecaps, after)
        state = self.write(self._count(state._replace(fecaps=fecaps), _MSB), words, _MSB)
        return self._program(state, jnp.signbit(words), V_TL)

    def _program(self, state, sign, V_TL):
        memristor = self.line.memristor
        target = jnp.stack([~sign, sign], axis=-1)
        I_cc = self.line.compliance_current(jnp.broadcast_to(V_TL[..., None], target.shape), self.transistor)
        reset = memristor.reset(state.memristors)
        landed = memristor.set(reset, I_cc).programmed
        memristors = memristor.program(reset, jnp.where(target, landed, reset.programmed))
        return state._replace(
            memristors=memristors,
            memristor_operations=state.memristor_operations + 1 + target.astype(jnp.int32),
        )

    def conductances(self, state: HybridArrayState) -> Float[Array, "lines synapses 2"]:
        """G+ and G- [uS] of each synapse, now."""
        return self.line.memristor.conductance(state.memristors)

    def wait(self, state: HybridArrayState, seconds, temperature=ROOM_TEMPERATURE) -> HybridArrayState:
        """The state after `seconds` [s] at `temperature` [K]: capacitors and memristors both age."""
        return state._replace(
            fecaps=self.capacitor.wait(state.fecaps, seconds, temperature),
            memristors=self.line.memristor.wait(state.memristors, seconds, temperature),
        )

    def _check_shape(self, name: str, values) -> None:
        shape = (self.lines, self.synapses_per_line)
        if jnp.shape(values) != shape:
            raise InputError(name, f"have shape {shape}", f"shape {jnp.shape(values)}")

    @staticmethod
    def _count(state: HybridArrayState, cells: np.ndarray) -> HybridArrayState:
        return state._replace(fecap_operations=state.fecap_operations + jnp.asarray(cells, jnp.int32))
