"""Devices described by the response to identical pulses, behind the memristor's interface."""

from hfsim.devices.pulsed.constant_step import ConstantStep as ConstantStep
from hfsim.devices.pulsed.exponential_step import ExponentialStep as ExponentialStep
from hfsim.devices.pulsed.from_card import pulsed_device as pulsed_device
from hfsim.devices.pulsed.from_card import pulsed_sections as pulsed_sections
from hfsim.devices.pulsed.interface import AbstractPulsedDevice as AbstractPulsedDevice
from hfsim.devices.pulsed.interface import PulsedState as PulsedState
from hfsim.devices.pulsed.interface import from_one_sided as from_one_sided
from hfsim.devices.pulsed.linear_step import LinearStep as LinearStep
from hfsim.devices.pulsed.metrics import PulsedMetrics as PulsedMetrics
from hfsim.devices.pulsed.metrics import at_symmetry_point as at_symmetry_point
from hfsim.devices.pulsed.metrics import pulsed_metrics as pulsed_metrics
from hfsim.devices.pulsed.metrics import symmetry_point as symmetry_point
from hfsim.devices.pulsed.noise import AbstractCycleNoise as AbstractCycleNoise
from hfsim.devices.pulsed.noise import AdditiveNoise as AdditiveNoise
from hfsim.devices.pulsed.noise import CompoundNoise as CompoundNoise
from hfsim.devices.pulsed.noise import ProportionalNoise as ProportionalNoise
from hfsim.devices.pulsed.piecewise_step import PiecewiseStep as PiecewiseStep
from hfsim.devices.pulsed.piecewise_step import StepTable as StepTable
from hfsim.devices.pulsed.piecewise_step import fit_ramps as fit_ramps
from hfsim.devices.pulsed.power_step import PowerStep as PowerStep
from hfsim.devices.pulsed.soft_bounds import SoftBounds as SoftBounds
from hfsim.devices.pulsed.weight_decay import WeightDecay as WeightDecay
