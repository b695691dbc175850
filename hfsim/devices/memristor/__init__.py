"""Filamentary memristors: compact models whose state a current reads and leaves as it is."""

from hfsim.devices.memristor.compliance import Memristor as Memristor
from hfsim.devices.memristor.compliance import MemristorState as MemristorState
