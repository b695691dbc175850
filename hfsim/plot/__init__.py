"""Figures of simulated objects; they need matplotlib (`pip install matplotlib`).

Each function draws in the axes that it is given, or in a new figure, and returns the axes.
"""

from hfsim.plot.cards import card_figure as card_figure
from hfsim.plot.cards import panels as panels
from hfsim.plot.crossbar import crossbar_maps as crossbar_maps
from hfsim.plot.devices import hysteresis as hysteresis
from hfsim.plot.devices import levels as levels
from hfsim.plot.devices import pulse_train as pulse_train
from hfsim.plot.devices import relaxation as relaxation
from hfsim.plot.devices import staircase as staircase
from hfsim.plot.devices import switching as switching
from hfsim.plot.monte_carlo import attribution_bars as attribution_bars
from hfsim.plot.monte_carlo import spread_of_chips as spread_of_chips
from hfsim.plot.sensitivity import tornado as tornado
