"""Files: stores of results."""

from hfsim.io.store import ChipStore as ChipStore
from hfsim.io.store import Coordinate as Coordinate
from hfsim.io.store import Variable as Variable
from hfsim.io.store import open_study as open_study
from hfsim.io.store import study_identity as study_identity
