"""Questions asked of a device or a network: calibration, co-design."""

from hfsim.studies.calibration import calibrate as calibrate
from hfsim.studies.calibration import calibrate_population as calibrate_population
from hfsim.studies.calibration import hold_out as hold_out
from hfsim.studies.codesign import LBFGS as LBFGS
from hfsim.studies.codesign import Found as Found
from hfsim.studies.codesign import optimise as optimise
from hfsim.studies.codesign import pareto as pareto
from hfsim.studies.codesign import search as search
from hfsim.studies.design import Design as Design
from hfsim.studies.design import Tie as Tie
from hfsim.studies.design import Variable as Variable
from hfsim.studies.objective import Expectation as Expectation
from hfsim.studies.objective import Judged as Judged
from hfsim.studies.objective import Objective as Objective
from hfsim.studies.objective import Quantile as Quantile
from hfsim.studies.objective import SquaredNorm as SquaredNorm
from hfsim.studies.objective import Term as Term
from hfsim.studies.objective import Worst as Worst
from hfsim.studies.sensitivity import Checked as Checked
from hfsim.studies.sensitivity import Sensitivity as Sensitivity
from hfsim.studies.sensitivity import check as check
from hfsim.studies.sensitivity import sensitivities as sensitivities
