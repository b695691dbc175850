"""Figures of the ablation."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from training.ablation.cases import SWEEPS
from training.pulsed.names import COLOURS, LABELS


def sweeps(value: dict[str, Any], rules: tuple[str, ...], chosen: tuple[str, ...]) -> Figure:
    """Test accuracy over each property, mean and range over seeds."""
    columns = min(2, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(4.4 * columns, 3.2 * rows), layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, columns, sharey=True)).ravel()
    for axes, sweep in zip(panels, chosen, strict=False):
        x = np.asarray(value[sweep])
        for name in rules:
            seeds = 100 * np.asarray(value[f"{name}_{sweep}_test_accuracy_per_seed"])
            axes.plot(x, seeds.mean(axis=1), "o-", ms=3, color=COLOURS[name], label=LABELS[name])
            axes.fill_between(x, seeds.min(axis=1), seeds.max(axis=1), color=COLOURS[name], alpha=0.12, lw=0)
        if sweep == "states":
            axes.set_xscale("log")
            axes.set_xticks(x, [f"{v:g}" for v in x])
            axes.minorticks_off()
        axes.set(xlabel=SWEEPS[sweep][0], ylim=(0, 101))
        axes.xaxis.label.set_fontsize(9)
    for axes in panels[::columns]:
        axes.set_ylabel("test accuracy [%]")
    for axes in panels[len(chosen) :]:
        axes.set_axis_off()
    panels[0].legend(fontsize=8, loc="lower right")
    return figure


def draw(value: dict[str, Any], rules: tuple[str, ...], chosen: tuple[str, ...]) -> dict[str, tuple[Figure, str]]:
    """All figures, with captions."""
    caption = "Test accuracy on the digits over each property of the device, mean and range over seeds."
    return {"ablation": (sweeps(value, rules, chosen), caption)}
