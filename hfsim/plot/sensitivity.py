"""Sensitivities as a tornado."""

import numpy as np

from hfsim.plot.axes import new_axes
from hfsim.studies.sensitivity import Sensitivity


def tornado(found: Sensitivity, title: str = "", axes=None):
    """Effects of each parameter's tolerance on a measure, the largest on top, with 95 % confidence.

    Args:
        found: by `hfsim.studies.sensitivities`.
        title: above the bars.
        axes: matplotlib axes to draw in; None makes a figure.

    Returns:
        Matplotlib axes.
    """
    order = found.order()[::-1]
    axes = new_axes((6.4, 0.8 + 0.34 * len(order))) if axes is None else axes
    places, effects, half = np.arange(len(order)), found.effects[order], found.half_widths[order]
    axes.barh(places, effects, color="#4477aa", xerr=half if np.any(half) else None)
    units = ["" if unit == "1" else f" {unit}" for unit in found.units]
    labels = [f"{found.labels[i]} + {found.tolerances[i]:.3g}{units[i]}" for i in order]
    axes.set_yticks(places, labels)
    axes.axvline(0.0, color="#333333", lw=0.8)
    axes.set(xlabel="change, first order", title=title)
    return axes
