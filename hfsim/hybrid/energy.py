"""Energy, time and area of learning on the hybrid chip, from its physics.

Each pulse costs what its drivers deliver, all charges returning to ground:

    write a cell     V (2 P_r S b + C_D V + C_BL V b) + C_g V_WL^2        b = 1 for a one: its bit line is driven
    sense a cell     V C_BL V_b + C_g V_WL^2 + E_SA                      V_b of the charge balance on the bit line
    MSBs onto a line V_SL C_TL V_TL + 7 C_g V_WL^2
    SET              (V_SET - V_BL) I_cc t                                the compliance flows for nearly all of t
    RESET            V_R^2 G t_R                                           t_R until the filament is broken
    read a pair      V_read^2 (G+ + G-) t_read                           the target alone to verify an attempt
    conversions, arithmetic, idle: a fixed price each

A sense has erased the cell, so that every one that is written switches. The article's flat 100 fJ a FeCAP operation and
1 pJ a memristor operation are in `hfsim.hybrid.ledger`; its own E = 2 P_r S V is the first term of a write. Time: lines
work side by side, the synapses of a line and the bits of a synapse one after the other. A transfer RESETs both
memristors of a pair once, each further attempt the target alone.

Martemucci et al., Nature Electronics 8, 921 (2025) for circuits and pulses; prices of the periphery are chosen (card,
`periphery`). Differentiable in every parameter and in counts, which may be expectations.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hfsim.cards import Card
from hfsim.circuits.floating_line import FloatingLine
from hfsim.circuits.transfer_line import MSB_CELLS, TransferLine
from hfsim.devices.pulse import Pulse
from hfsim.errors import InputError
from hfsim.hybrid.array import CELLS, SYNAPSE_CELLS, HybridArray
from hfsim.hybrid.from_card import transfer_line
from hfsim.hybrid.words import CODES
from hfsim.parameters import PhysicalModel, parameter

FEMTOJOULE_PER_NANOJOULE = 1e6
BITS = len(SYNAPSE_CELLS)
MSBS = sum(MSB_CELLS)


class HybridPeriphery(PhysicalModel):
    """What stands around the devices: prices, times, areas."""

    C_g: Float[Array, ""] = parameter(unit="fF", bounds=(0.0, 1e3), doc="gate of a FeCAP's access transistor")
    V_WL: Float[Array, ""] = parameter(unit="V", bounds=(0.0, 20.0), doc="word line")
    E_SA: Float[Array, ""] = parameter(unit="fJ", bounds=(0.0, 1e6), doc="one decision of a sense amplifier")
    V_R: Float[Array, ""] = parameter(unit="V", bounds=(0.0, 10.0), doc="bit line in a RESET")
    t_R: Float[Array, ""] = parameter(unit="ns", bounds=(0.0, 1e9), doc="time that a filament conducts in a RESET")
    V_read: Float[Array, ""] = parameter(unit="V", bounds=(0.0, 5.0), doc="read voltage")
    t_read: Float[Array, ""] = parameter(unit="ns", bounds=(0.0, 1e9), doc="time of a product")
    E_DAC: Float[Array, ""] = parameter(unit="fJ", bounds=(0.0, 1e9), doc="one input converted")
    E_ADC: Float[Array, ""] = parameter(unit="fJ", bounds=(0.0, 1e9), doc="one output converted")
    E_update: Float[Array, ""] = parameter(unit="fJ", bounds=(0.0, 1e9), doc="arithmetic of one update of a word")
    P_idle: Float[Array, ""] = parameter(unit="V uA", bounds=(0.0, 1e6), doc="idle power of an array")
    t_sense: Float[Array, ""] = parameter(unit="ns", bounds=(0.0, 1e9), doc="time of a decision, amplifier included")
    A_fecap: Float[Array, ""] = parameter(unit="um2", bounds=(0.0, 1e6), doc="area of a FeCAP and its transistor")
    A_memristor: Float[Array, ""] = parameter(unit="um2", bounds=(0.0, 1e6), doc="area of a memristor and transistor")
    fill: Float[Array, ""] = parameter(unit="1", bounds=(1e-3, 1.0), doc="share of the area that cells take")


class Work(NamedTuple):
    """What a network did; integers, or expectations.

    synapses: weights; arrays: that hold them; samples; updates: of words, over all synapses; transfers: of the whole
    network; pair_reads: of weights in products; inputs, outputs: conversions; products: one after the other; attempts:
    at each memristor in a transfer, mean; verified: 1 where each attempt is read and judged, 0 where it is not.
    """

    synapses: Any
    arrays: Any
    samples: Any
    updates: Any
    transfers: Any
    pair_reads: Any
    inputs: Any
    outputs: Any
    products: Any
    attempts: Any = 1
    verified: Any = 0

    @classmethod
    def of_training(
        cls, sizes: Sequence[int], array: HybridArray, *, samples, updates, transfers, attempts=1, verified=0
    ) -> "Work":
        """Training a perceptron of `sizes`: each sample goes forward through all layers, back through all but one."""
        pairs = list(zip(sizes[:-1], sizes[1:], strict=True))
        if not pairs:
            raise InputError("sizes", "hold at least an input and an output size", tuple(sizes))
        synapses = sum(a * b for a, b in pairs)
        back = synapses - pairs[0][0] * pairs[0][1]
        return cls(
            synapses=synapses,
            arrays=array.arrays_for(synapses),
            samples=samples,
            updates=updates,
            transfers=transfers,
            pair_reads=samples * (synapses + back),
            inputs=samples * (sum(a for a, _ in pairs) + sum(b for _, b in pairs[1:])),
            outputs=samples * (sum(b for _, b in pairs) + sum(a for a, _ in pairs[1:])),
            products=samples * (2 * len(pairs) - 1),
            attempts=attempts,
            verified=verified,
        )


class Energies(NamedTuple):
    """Energy [nJ] by where it goes."""

    switching: Float[Array, ""]
    fecap_lines: Float[Array, ""]
    gates: Float[Array, ""]
    amplifiers: Float[Array, ""]
    set: Float[Array, ""]
    reset: Float[Array, ""]
    reads: Float[Array, ""]
    converters: Float[Array, ""]
    arithmetic: Float[Array, ""]
    idle: Float[Array, ""]

    @property
    def total(self) -> Float[Array, ""]:
        """All of it [nJ]."""
        return sum(self, jnp.zeros(()))


class CellEnergies(NamedTuple):
    """Energy [fJ] of one operation on one device, mean over the bits or codes that it may meet.

    `reset` is of the target of a pair, `reset_twin` of the other memristor; `verify` reads the target.
    """

    write: Float[Array, ""]
    sense: Float[Array, ""]
    set: Float[Array, ""]
    reset: Float[Array, ""]
    reset_twin: Float[Array, ""]
    pair_read: Float[Array, ""]
    verify: Float[Array, ""]


class HybridCosts(eqx.Module):
    """Prices of everything that the chip does.

    Args:
        line: the transfer line, its capacitor, transistor and memristor.
        bit_line: the line of a sense.
        write_pulse: that writes and senses.
        periphery: what stands around.
        synapses_per_line: that wait for each other.
    """

    line: TransferLine
    bit_line: FloatingLine
    write_pulse: Pulse
    periphery: HybridPeriphery
    synapses_per_line: int = eqx.field(static=True, default=8)

    @classmethod
    def from_card(cls, card: Card, mechanism: str = "saturation") -> "HybridCosts":
        """The card's chip."""
        return cls(
            line=transfer_line(card, mechanism),
            bit_line=card.build(FloatingLine, "bit_line", steps=8),
            write_pulse=card.build(Pulse, "write_pulse"),
            periphery=card.build(HybridPeriphery, "periphery"),
            synapses_per_line=HybridArray.from_card(card, mechanism).synapses_per_line,
        )

    @eqx.filter_jit
    def sensed(self) -> Float[Array, " 2"]:
        """V_0 and V_1 [V]: the bit line at the end of a sense of either bit."""
        capacitor = self.line.capacitor
        held = capacitor.init((2, 1), up=jnp.asarray([[1.0], [0.0]]))
        return self.bit_line.share(capacitor, held, self.write_pulse)[1]

    @eqx.filter_jit
    def _compliance_currents(self) -> Float[Array, " 8"]:
        return self.line.compliance_current(self.line.line_voltages())

    def cells(self, ones=0.5, codes: Float[Array, " 8"] | None = None) -> CellEnergies:
        """One operation on one device.

        Args:
            ones: share of stored bits that are one.
            codes: how often each code is transferred; None for all alike.
        """
        p, V = self.periphery, self.write_pulse.voltage
        share = _normalised(codes)
        capacitor = self.line.capacitor
        gate = p.C_g * p.V_WL**2
        write = V * (ones * capacitor.switching_charge + (capacitor.capacitance + ones * self.bit_line.C_L) * V)
        V_0, V_1 = self.sensed()
        sense = V * self.bit_line.C_L * (V_0 + ones * (V_1 - V_0)) + p.E_SA
        drive = self.line.drive
        current = self._compliance_currents()
        target = jnp.sum(share * self.line.memristor.mean_conductance(current))
        idle = self.line.memristor.G_reset
        return CellEnergies(
            write=write + gate,
            sense=sense + gate,
            set=(drive.V_SET - drive.V_BL) * drive.width * jnp.sum(share * current),
            reset=p.V_R**2 * p.t_R * target,
            reset_twin=p.V_R**2 * p.t_R * idle,
            pair_read=p.V_read**2 * p.t_read * (target + idle),
            verify=p.V_read**2 * p.t_read * target,
        )

    def energies(self, work: Work, ones=0.5, codes: Float[Array, " 8"] | None = None) -> Energies:
        """Energy of `work` [nJ]; `ones` and `codes` as in `cells`."""
        p, V = self.periphery, self.write_pulse.voltage
        cell, capacitor = self.cells(ones, codes), self.line.capacitor
        work = _wide(work)
        pulses = work.synapses * work.transfers
        shots = pulses * work.attempts
        judged = shots * work.verified
        # an update senses and writes all cells; a transfer senses sign and MSBs and writes them, and the MSBs once more
        # after each shot
        senses = CELLS * work.updates + (1 + MSBS) * pulses
        writes = CELLS * work.updates + (1 + MSBS) * pulses + MSBS * shots
        gates = p.C_g * p.V_WL**2 * (senses + writes + MSBS * shots)
        amplifiers = p.E_SA * senses
        switching = V * ones * capacitor.switching_charge * writes
        onto = self.line.drive.V_SL * self.line.line.C_L * jnp.sum(_normalised(codes) * self.line.line_voltages())
        gate = p.C_g * p.V_WL**2
        lines = (cell.write - gate) * writes - switching + (cell.sense - gate - p.E_SA) * senses + onto * shots
        nanojoule = 1 / FEMTOJOULE_PER_NANOJOULE
        return Energies(
            switching=nanojoule * switching,
            fecap_lines=nanojoule * lines,
            gates=nanojoule * gates,
            amplifiers=nanojoule * amplifiers,
            set=nanojoule * cell.set * shots,
            reset=nanojoule * (cell.reset * shots + cell.reset_twin * pulses),
            reads=nanojoule * (cell.pair_read * work.pair_reads + cell.verify * judged),
            converters=nanojoule * (p.E_DAC * work.inputs + p.E_ADC * (work.outputs + judged)),
            arithmetic=nanojoule * p.E_update * work.updates,
            idle=nanojoule * p.P_idle * work.arrays * self.time(work),
        )

    def update_time(self, probability=1.0) -> Float[Array, ""]:
        """Time of the update of all words [ns], of which a share `probability` is not skipped."""
        bit = self.periphery.t_sense + 2 * self.write_pulse.width
        return probability * self.synapses_per_line * BITS * bit

    def transfer_time(self, attempts=1.0, verified=0.0) -> Float[Array, ""]:
        """Time of a transfer of all words [ns]: sign and MSBs sensed and restored, then RESET, the two pulses, the MSBs
        restored and, where `verified` is 1, a read, `attempts` times."""
        p, width = self.periphery, self.write_pulse.width
        sensed = (1 + len(MSB_CELLS)) * (p.t_sense + 2 * width)
        shot = 2 * self.line.drive.width + len(MSB_CELLS) * width + verified * p.t_read
        return self.synapses_per_line * (sensed + attempts * shot)

    def time(self, work: Work) -> Float[Array, ""]:
        """Time of `work` [ns]: products, updates and transfers, one after the other."""
        work = _wide(work)
        transfers = work.transfers * self.transfer_time(work.attempts, work.verified)
        updates = work.updates / work.synapses * self.update_time()
        return work.products * self.periphery.t_read + updates + transfers

    def area(self, array: HybridArray, arrays: int) -> Float[Array, ""]:
        """Area of so many arrays [um2], periphery included."""
        p = self.periphery
        cells = array.fecaps_per_line * p.A_fecap + array.memristors_per_line * p.A_memristor
        return arrays * array.lines * cells / p.fill


def _wide(work: Work) -> Work:
    """Integers as floats: those of a network pass the range of int32."""
    return Work(*(float(count) if isinstance(count, int | np.integer) else count for count in work))


def _normalised(codes: Float[Array, " 8"] | None) -> Float[Array, " 8"]:
    if codes is None:
        return jnp.full(CODES, 1 / CODES)
    if jnp.shape(codes) != (CODES,):
        raise InputError("codes", f"have shape ({CODES},)", f"shape {jnp.shape(codes)}")
    return jnp.asarray(codes) / jnp.sum(jnp.asarray(codes))
