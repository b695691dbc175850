"""Devices on wires: floating lines, array reads, sense amplifier, transfer line; converters; a crossbar's wires."""

from hfsim.circuits.array_read import ArrayRead as ArrayRead
from hfsim.circuits.array_read import bit_error_rate as bit_error_rate
from hfsim.circuits.array_read import read_array as read_array
from hfsim.circuits.converters import ADC as ADC
from hfsim.circuits.converters import DAC as DAC
from hfsim.circuits.converters import AbstractQuantiser as AbstractQuantiser
from hfsim.circuits.converters import LearnedStepSize as LearnedStepSize
from hfsim.circuits.converters import Rounding as Rounding
from hfsim.circuits.floating_line import FloatingLine as FloatingLine
from hfsim.circuits.read_curve import AbstractReadCurve as AbstractReadCurve
from hfsim.circuits.read_curve import CubicCurve as CubicCurve
from hfsim.circuits.read_curve import SinhCurve as SinhCurve
from hfsim.circuits.sense_amplifier import SenseAmplifier as SenseAmplifier
from hfsim.circuits.transfer_line import MSB_CELLS as MSB_CELLS
from hfsim.circuits.transfer_line import TransferDrive as TransferDrive
from hfsim.circuits.transfer_line import TransferLine as TransferLine
from hfsim.circuits.transfer_line import code_bits as code_bits
from hfsim.circuits.wires import WireResult as WireResult
from hfsim.circuits.wires import Wires as Wires
from hfsim.circuits.wires import WireSolution as WireSolution
