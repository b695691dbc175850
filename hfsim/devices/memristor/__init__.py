"""Filamentary memristors: compact models whose state a current reads and leaves as it is."""

from hfsim.devices.memristor.cmo import CMOCell as CMOCell
from hfsim.devices.memristor.cmo import CMOState as CMOState
from hfsim.devices.memristor.compliance import Memristor as Memristor
from hfsim.devices.memristor.compliance import MemristorState as MemristorState
from hfsim.devices.memristor.filament import Filament as Filament
from hfsim.devices.memristor.filament import FilamentState as FilamentState
from hfsim.devices.memristor.jart import JartState as JartState
from hfsim.devices.memristor.jart import JartTrace as JartTrace
from hfsim.devices.memristor.jart import JartVCM as JartVCM
from hfsim.devices.memristor.series import AbstractSeries as AbstractSeries
from hfsim.devices.memristor.series import NoSeries as NoSeries
from hfsim.devices.memristor.series import SelectResistance as SelectResistance
from hfsim.devices.memristor.series import SelectTransistor as SelectTransistor
from hfsim.devices.memristor.stanford import Stanford as Stanford
from hfsim.devices.memristor.stanford import StanfordState as StanfordState
