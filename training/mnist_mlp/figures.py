"""Figures of training by pulses on images."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from hfsim.units import seconds
from training.plotting import new_figure
from training.pulsed.rules import FLOAT, LABELS

COLOURS = {
    "float": "#1f5a8c",
    "agad": "#b3430f",
    "cttv2": "#4f7f3f",
    "ttv2": "#8a5fa8",
    "mixed": "#c7952c",
    "sgd": "#8a8a8a",
}


def curves(value: dict[str, Any], rules: tuple[str, ...]) -> Figure:
    """Validation accuracy over epochs."""
    figure, axes = new_figure()
    for name in rules:
        curve = 100 * np.asarray(value[f"{name}_validation_by_epoch"])
        axes.plot(np.arange(1, len(curve) + 1), curve, "o-", ms=3, color=COLOURS[name], label=LABELS[name])
    axes.set(xlabel="epoch", ylabel="validation accuracy [%]", ylim=(0, 101))
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def ageing(value: dict[str, Any], rules: tuple[str, ...]) -> Figure:
    """Test accuracy over the time at rest after training."""
    figure, axes = new_figure()
    times = [seconds(age) for age in value["ages"]]
    for name in rules:
        if name == FLOAT:
            axes.axhline(100 * value[f"{name}_test_accuracy"], color=COLOURS[name], ls="--", label=LABELS[name])
        else:
            aged = 100 * np.asarray(value[f"{name}_accuracy_by_age"])
            axes.plot(times, aged, "o-", ms=3, color=COLOURS[name], label=LABELS[name])
    axes.set(xscale="log", xlabel="time at rest after training", ylabel="test accuracy [%]")
    axes.set_xticks(times, value["ages"], fontsize=8)
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw(value: dict[str, Any], rules: tuple[str, ...], dataset: str) -> dict[str, tuple[Figure, str]]:
    """All figures, with captions."""
    drawn = {"curves": (curves(value, rules), f"Validation accuracy on {dataset} over epochs.")}
    if any(name != FLOAT for name in rules):
        drawn["ageing"] = (ageing(value, rules), "Test accuracy of the trained networks, left alone.")
    return drawn
