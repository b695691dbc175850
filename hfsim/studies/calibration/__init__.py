"""Fits of device models to measurements, from one curve to a population of devices."""

from hfsim.studies.calibration.card import fitted_card as fitted_card
from hfsim.studies.calibration.card import from_card as from_card
from hfsim.studies.calibration.fit import CalibrationWarning as CalibrationWarning
from hfsim.studies.calibration.fit import calibrate as calibrate
from hfsim.studies.calibration.held_out import HeldOut as HeldOut
from hfsim.studies.calibration.held_out import hold_out as hold_out
from hfsim.studies.calibration.held_out import predict as predict
from hfsim.studies.calibration.population import calibrate_population as calibrate_population
from hfsim.studies.calibration.predictions import AbstractPrediction as AbstractPrediction
from hfsim.studies.calibration.predictions import CurrentSweep as CurrentSweep
from hfsim.studies.calibration.predictions import IdenticalPulses as IdenticalPulses
from hfsim.studies.calibration.predictions import LeakageSweep as LeakageSweep
from hfsim.studies.calibration.predictions import PolarisationLoop as PolarisationLoop
from hfsim.studies.calibration.predictions import Prediction as Prediction
from hfsim.studies.calibration.predictions import SwitchingPulses as SwitchingPulses
from hfsim.studies.calibration.predictions import VoltagePulses as VoltagePulses
from hfsim.studies.calibration.result import Calibration as Calibration
from hfsim.studies.calibration.spread import PopulationFit as PopulationFit
