"""A few devices on a wire: floating lines, the sense amplifier, the transfer line."""

from hfsim.circuits.floating_line import FloatingLine as FloatingLine
from hfsim.circuits.sense_amplifier import SenseAmplifier as SenseAmplifier
from hfsim.circuits.transfer_line import MSB_CELLS as MSB_CELLS
from hfsim.circuits.transfer_line import TransferDrive as TransferDrive
from hfsim.circuits.transfer_line import TransferLine as TransferLine
from hfsim.circuits.transfer_line import code_bits as code_bits
