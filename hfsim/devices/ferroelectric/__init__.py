"""Ferroelectric capacitors: kinetics of switching behind one interface, and the capacitor around them."""

from hfsim.devices.ferroelectric.capacitor import FerroelectricCapacitor as FerroelectricCapacitor
from hfsim.devices.ferroelectric.capacitor import FerroelectricState as FerroelectricState
from hfsim.devices.ferroelectric.domains import DomainState as DomainState
from hfsim.devices.ferroelectric.domains import GB2Domains as GB2Domains
from hfsim.devices.ferroelectric.gb2 import GB2Kinetics as GB2Kinetics
from hfsim.devices.ferroelectric.gb2 import GB2State as GB2State
from hfsim.devices.ferroelectric.kinetics import AbstractKinetics as AbstractKinetics
from hfsim.devices.ferroelectric.measurements import hysteresis_loop as hysteresis_loop
