"""One device, element-wise: parameters in an equinox module, state in a separate tree."""

from hfsim.devices.ferroelectric import AbstractKinetics as AbstractKinetics
from hfsim.devices.ferroelectric import DomainState as DomainState
from hfsim.devices.ferroelectric import FerroelectricCapacitor as FerroelectricCapacitor
from hfsim.devices.ferroelectric import FerroelectricState as FerroelectricState
from hfsim.devices.ferroelectric import GB2Domains as GB2Domains
from hfsim.devices.ferroelectric import GB2Kinetics as GB2Kinetics
from hfsim.devices.ferroelectric import GB2State as GB2State
from hfsim.devices.ferroelectric import hysteresis_loop as hysteresis_loop
from hfsim.devices.interface import AbstractDevice as AbstractDevice
from hfsim.devices.interface import AbstractMemristor as AbstractMemristor
from hfsim.devices.memristor import Memristor as Memristor
from hfsim.devices.memristor import MemristorState as MemristorState
from hfsim.devices.pulse import Pulse as Pulse
from hfsim.devices.train import apply_train as apply_train
from hfsim.devices.train import checkpointed_scan as checkpointed_scan
from hfsim.devices.transistor import Transistor as Transistor
