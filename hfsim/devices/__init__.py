"""One device, element-wise: parameters in an equinox module, state in a separate tree."""

from hfsim.devices.domains import DomainState as DomainState
from hfsim.devices.domains import FerroelectricDomains as FerroelectricDomains
from hfsim.devices.ferroelectric import FerroelectricCapacitor as FerroelectricCapacitor
from hfsim.devices.ferroelectric import FerroelectricState as FerroelectricState
from hfsim.devices.ferroelectric import SwitchingKinetics as SwitchingKinetics
from hfsim.devices.measurements import hysteresis_loop as hysteresis_loop
from hfsim.devices.memristor import Memristor as Memristor
from hfsim.devices.memristor import MemristorState as MemristorState
from hfsim.devices.pulse import Pulse as Pulse
from hfsim.devices.transistor import Transistor as Transistor
