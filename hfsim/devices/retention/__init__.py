"""Programmed conductances and their trajectories: statistical models, one file for each publication."""

from hfsim.devices.retention.cmo import CMORetention as CMORetention
from hfsim.devices.retention.cmo import LinearSpread as LinearSpread
from hfsim.devices.retention.interface import AbstractRetention as AbstractRetention
from hfsim.devices.retention.interface import RetentionState as RetentionState
from hfsim.devices.retention.interface import Window as Window
from hfsim.devices.retention.pcm import PCMRetention as PCMRetention
from hfsim.devices.retention.polynomial import PolynomialRetention as PolynomialRetention
from hfsim.devices.retention.relaxing import RelaxingMemristor as RelaxingMemristor
from hfsim.devices.retention.relaxing import RelaxingState as RelaxingState
