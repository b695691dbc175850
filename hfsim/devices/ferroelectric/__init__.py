"""Ferroelectric capacitors: kinetics of switching behind one interface, and the capacitor around them."""

from hfsim.devices.ferroelectric.ageing import Ageing as Ageing
from hfsim.devices.ferroelectric.ageing import Fatigue as Fatigue
from hfsim.devices.ferroelectric.ageing import Imprint as Imprint
from hfsim.devices.ferroelectric.ageing import WakeUp as WakeUp
from hfsim.devices.ferroelectric.ageing import Wear as Wear
from hfsim.devices.ferroelectric.capacitor import FerroelectricCapacitor as FerroelectricCapacitor
from hfsim.devices.ferroelectric.capacitor import FerroelectricState as FerroelectricState
from hfsim.devices.ferroelectric.domains import DomainState as DomainState
from hfsim.devices.ferroelectric.domains import GB2Domains as GB2Domains
from hfsim.devices.ferroelectric.gb2 import BuiltInSpread as BuiltInSpread
from hfsim.devices.ferroelectric.gb2 import GB2Kinetics as GB2Kinetics
from hfsim.devices.ferroelectric.gb2 import GB2State as GB2State
from hfsim.devices.ferroelectric.kinetics import AbstractKinetics as AbstractKinetics
from hfsim.devices.ferroelectric.leakage import AbstractLeakage as AbstractLeakage
from hfsim.devices.ferroelectric.measurements import hysteresis_loop as hysteresis_loop
from hfsim.devices.ferroelectric.surroundings import InterfaceLayer as InterfaceLayer
from hfsim.devices.ferroelectric.surroundings import SeriesResistance as SeriesResistance
