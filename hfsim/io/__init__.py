"""Files of instruments, read into labelled traces."""

from hfsim.io.reader import read as read
from hfsim.io.traces import Measurement as Measurement
from hfsim.io.traces import Trace as Trace
