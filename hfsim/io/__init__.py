"""Files: what instruments wrote, read into labelled traces; stores of results."""

from hfsim.io.reader import read as read
from hfsim.io.store import ChipStore as ChipStore
from hfsim.io.store import Coordinate as Coordinate
from hfsim.io.store import Variable as Variable
from hfsim.io.store import open_study as open_study
from hfsim.io.store import study_identity as study_identity
from hfsim.io.traces import Measurement as Measurement
from hfsim.io.traces import Trace as Trace
