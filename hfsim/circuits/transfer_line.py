"""The transfer line: FeCAP charges to gate voltage to compliance current to conductance, without a DAC.

Martemucci et al., Nature Electronics 8, 921 (2025). The most significant bits' capacitors (4, 2, 1 minimum
cells) put their charge on the floating transfer line, whose voltage V_TL gates the select transistor of the
memristor that is being SET between its source line and its bit line:

    V_TL:  charge balance of `FloatingLine` under V_SL, with every stored one reversing
    I_cc = I_EKV(V_G = V_TL - V_BL, V_S = 0, V_D = V_SET - V_BL - V_loss - V_C - R_s I_cc)
    G    = I_cc/V_C

(bulk tied to the bit line). The article gives the level table and the pulses; C_TL, the transistor and the
drops are fitted (see `training/fit_transfer.py`). Two parameter sets reach the table by different physics:
"saturation", where the memristor, R_s and the transistor share too little voltage to keep it saturated, and
"starvation", where the rising line starves the FeCAPs' field. Conductances alone cannot tell them apart; they
differ in V_TL, published as close to linear, which speaks for the first.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.circuits.floating_line import FloatingLine
from hfsim.devices.ferroelectric import FerroelectricCapacitor
from hfsim.devices.memristor import Memristor
from hfsim.devices.pulse import Pulse
from hfsim.devices.transistor import Transistor
from hfsim.errors import InputError
from hfsim.parameters import PhysicalModel, parameter
from hfsim.roots import increasing_root
from hfsim.units import CHARGE_OF_POLARISATION, ROOM_TEMPERATURE

MSB_CELLS = (4, 2, 1)
"""Minimum cells of the three capacitors of the chip, most significant first; their areas are 4S, 2S, S."""


class TransferDrive(PhysicalModel):
    """The pulses of a transfer and the drops on the way to the cell."""

    V_SL: Float[Array, "..."] = parameter(unit="V", bounds=(0.1, 10.0), doc="pulse on the FeCAPs' source lines")
    width: Float[Array, "..."] = parameter(unit="ns", bounds=(1.0, 1e9), doc="width of both pulses", logarithmic=True)
    V_SET: Float[Array, "..."] = parameter(unit="V", bounds=(0.1, 10.0), doc="pulse on the memristor's source line")
    V_BL: Float[Array, "..."] = parameter(unit="V", bounds=(-5.0, 0.0), doc="memristor's bit line during SET")
    V_loss: Float[Array, "..."] = parameter(
        unit="V", bounds=(0.0, 5.0), doc="voltage lost between the drivers and the cell"
    )
    R_s: Float[Array, "..."] = parameter(
        unit="kohm", bounds=(1e-3, 1e3), doc="series resistance of the SET path", logarithmic=True
    )


class TransferLine(PhysicalModel):
    """One transfer line with the FeCAPs of a synapse and one of its 1T-1R cells."""

    capacitor: FerroelectricCapacitor
    line: FloatingLine
    transistor: Transistor
    memristor: Memristor
    drive: TransferDrive
    cells: Float[Array, " 3"] = parameter(
        unit="1", bounds=(0.05, 64.0), doc="areas of the three MSB capacitors, in minimum cells", default=MSB_CELLS
    )

    def __check_init__(self):
        if eqx.is_array(self.cells) and self.cells.shape != (len(MSB_CELLS),):
            raise InputError("cells", f"have shape ({len(MSB_CELLS)},)", f"shape {self.cells.shape}")

    def switchable_charge(self, bits: Float[Array, "*shape 3"], capacitors=None) -> Float[Array, "*shape"]:
        """Charge [fC] that the stored ones can release: sum of b_i 2 P_r S_i.

        `bits` are the three magnitude bits, most significant first; `capacitors` is a population of
        minimum-cell capacitors of shape (*shape, 3) in place of the nominal one.
        """
        charge = (self.capacitor if capacitors is None else capacitors).switching_charge
        return jnp.sum(bits * charge * self.cells, axis=-1)

    def line_voltage(
        self, charge: Float[Array, "*shape"], *, temperature: Any = ROOM_TEMPERATURE
    ) -> Float[Array, "*shape"]:
        """V_TL [V] at the end of the pulse at `temperature` [K], for lines whose stored ones hold `charge` [fC].

        All capacitors of a line see one field and share their kinetics, so the ones switch as one capacitor
        with P_r to match `charge`; the zeros, already up, add their linear capacitance.
        """
        cells = jnp.sum(self.cells)
        merged = eqx.tree_at(
            lambda c: (c.S, c.P_r),
            self.capacitor,
            (
                self.capacitor.S * cells,
                (charge / (2 * CHARGE_OF_POLARISATION * self.capacitor.S * cells))[..., None],
            ),
        )
        start = merged.init((*charge.shape, 1), up=0.0)
        return self.line.share(merged, start, Pulse(self.drive.V_SL, self.drive.width), temperature=temperature)[1]

    def compliance_current(
        self, V_TL: Float[Array, "*shape"], transistor=None, *, temperature: Any = ROOM_TEMPERATURE
    ) -> Float[Array, "*shape"]:
        """I_cc [uA] that the select transistor allows at `V_TL` [V] once the filament has stopped growing.

        `transistor` is a population of the same shape in place of the nominal one, `temperature` [K] its own; V_C
        has none. Where the drive cannot reach V_C there is no SET and the current is 0.
        """
        transistor = self.transistor if transistor is None else transistor
        drive = self.drive
        headroom = drive.V_SET - drive.V_BL - drive.V_loss - self.memristor.V_C

        def current(V_D):
            return transistor.current(V_TL - drive.V_BL, 0.0, jnp.maximum(V_D, 0.0), temperature=temperature)

        def excess(I_cc):
            return I_cc - current(headroom - 1e-3 * drive.R_s * I_cc)

        most = current(jnp.broadcast_to(headroom, V_TL.shape))
        return increasing_root(excess, jnp.zeros_like(most), most * (1 + 1e-6))

    @eqx.filter_jit
    def levels(self) -> Float[Array, " 8"]:
        """Mean conductances [uS] of codes 0..7, nominal devices."""
        return self.memristor.mean_conductance(self.compliance_current(self.line_voltages()))

    @eqx.filter_jit
    def line_voltages(self) -> Float[Array, " 8"]:
        """V_TL [V] of codes 0..7, nominal devices."""
        return self.line_voltage(self.switchable_charge(code_bits(jnp.arange(8))))


def code_bits(code) -> Float[Array, "... 3"]:
    """The three bits of codes 0..7, most significant first, as 0.0 or 1.0."""
    code = jnp.asarray(code, jnp.result_type(float))
    return jnp.stack([jnp.floor(code / 2**place) % 2 for place in (2, 1, 0)], axis=-1)
