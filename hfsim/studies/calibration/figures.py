"""Figures of fits; need matplotlib (`pip install matplotlib`)."""

from typing import Any

import numpy as np

from hfsim.errors import InputError
from hfsim.io.traces import label

MOST_LABELS = 9
"""Traces that a legend names."""


def fit_and_residuals(found: Any, axes=None, *, x: str | None = None):
    """Data as dots with the fit as lines, and below what the fit leaves.

    Args:
        found: a `Calibration`, or what has its traces, predicted and residuals.
        axes: two matplotlib axes; None makes a figure.
        x: column to draw over; by default that of the traces' kind.

    Returns:
        The two axes.

    Raises:
        InputError: not two axes, or a column that the traces do not have.
    """
    import matplotlib.pyplot as plt

    if axes is None:
        _, axes = plt.subplots(2, 1, figsize=(5.6, 5.2), sharex=True, height_ratios=(3, 1), layout="constrained")
    if np.size(axes) != 2:
        raise InputError("axes", "be two, for the fit and for the residuals", np.size(axes))
    top, bottom = np.ravel(axes)
    prediction, first = found.prediction, found.traces[0]
    over = first.axes[0] if x is None else x
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(found.traces)))
    for trace, predicted, residuals, colour in zip(
        found.traces, found.predicted, found.residuals, colours, strict=True
    ):
        places = np.asarray(trace[over])
        top.plot(places, np.asarray(prediction.measured(trace)), ".", ms=3, color=colour, alpha=0.6)
        top.plot(places, predicted, "-", lw=1.2, color=colour, label=trace.name)
        bottom.plot(places[len(places) - len(residuals) :], residuals, ".-", ms=2, lw=0.5, color=colour)
    unit = prediction.unit(first)
    top.set(ylabel=label(prediction.observed, unit), title="dots: measured, lines: fit")
    top.title.set_fontsize("medium")
    bottom.set(xlabel=label(over, first.units[over]), ylabel=label("residual", unit))
    bottom.axhline(0.0, color="0.6", lw=0.8, zorder=0)
    if over == "width":
        top.set_xscale("log")
        bottom.set_xscale("log")
    if 1 < len(found.traces) <= MOST_LABELS:
        top.legend(frameon=False, fontsize="small")
    return np.array([top, bottom])


def devices_and_cycles(found: Any, axes=None):
    """One panel for each parameter: devices in order with their curves, and the population's bands.

    Of a single device its curves in order, where a trend would show.

    Args:
        found: a `PopulationFit`.
        axes: one matplotlib axes for each parameter; None makes a figure.

    Returns:
        The axes.

    Raises:
        InputError: another number of axes.
    """
    import matplotlib.pyplot as plt

    number = len(found.labels)
    if axes is None:
        columns = min(number, 3)
        rows = -(-number // columns)
        size = (3.2 * columns, 2.6 * rows)
        _, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
        for spare in np.ravel(axes)[number:]:
            spare.remove()
        axes = np.ravel(axes)[:number]
    axes = np.ravel(axes)
    if len(axes) != number:
        raise InputError("axes", f"be {number}, one for each parameter", len(axes))
    order = np.argsort(found.devices[:, 0])
    place = np.empty(len(order))
    place[order] = np.arange(1, len(order) + 1)
    alone = len(order) == 1
    along = np.arange(1, len(found.traces) + 1) if alone else place[found.device]
    for i, (panel, name, unit) in enumerate(zip(axes, found.labels, found.units, strict=True)):
        for of, shade, what in (("both", 0.12, "curves"), ("devices", 0.22, "devices"))[: 1 if alone else 2]:
            deviation = float(np.sqrt(found.covariance(of)[i, i]))
            value = found.values[i]
            lognormal = found.kinds[i] == "lognormal"
            band = value * np.exp([-deviation, deviation]) if lognormal else value + np.array([-deviation, deviation])
            panel.axhspan(*band, color="C0", alpha=shade, lw=0, label=f"68 % of {what}" if i == 0 else None)
        panel.plot(along, found.curves[:, i], ".", ms=3, color="0.5", alpha=0.6)
        if not alone:
            panel.plot(place, found.devices[:, i], "o", ms=3.5, color="C1")
        panel.axhline(found.values[i], color="C0", lw=0.8)
        panel.set(
            xlabel="curve" if alone else "device, in order of the first parameter",
            ylabel=f"{name} ({unit})" if unit != "1" else name,
        )
        panel.xaxis.label.set_fontsize("small")
    axes[0].legend(frameon=False, fontsize="x-small")
    return axes
