"""How figures of the reports look."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

CHIP, FLOAT, GREY = "#b3430f", "#1f5a8c", "#8a8a8a"
"""Colours of the chip, of floating point, and of what is beside the point."""
STYLE: dict[str, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "legend.frameon": False,
}
"""matplotlib settings under which the runner lets a job draw."""


def new_figure(width: float = 6.4, height: float = 3.8) -> tuple[Figure, Axes]:
    """An empty figure [inches] and its axes, outside of any global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()
