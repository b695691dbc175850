"""Figures of training by pulses on images."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from training.plotting import new_figure
from training.pulsed.figures import LEFT_ALONE, ageing
from training.pulsed.names import COLOURS, FLOAT, LABELS


def curves(value: dict[str, Any], rules: tuple[str, ...]) -> Figure:
    """Validation accuracy over epochs."""
    figure, axes = new_figure()
    for name in rules:
        curve = 100 * np.asarray(value[f"{name}_validation_by_epoch"])
        axes.plot(np.arange(1, len(curve) + 1), curve, "o-", ms=3, color=COLOURS[name], label=LABELS[name])
    epochs = max(len(value[f"{name}_validation_by_epoch"]) for name in rules)
    axes.set(xlabel="epoch", ylabel="validation accuracy [%]", xlim=(0.5, epochs + 0.5), ylim=(0, 101))
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw(value: dict[str, Any], rules: tuple[str, ...], dataset: str) -> dict[str, tuple[Figure, str]]:
    """All figures, with captions."""
    drawn = {"mnist_mlp_curves": (curves(value, rules), f"Validation accuracy on {dataset} over epochs.")}
    if any(name != FLOAT for name in rules):
        drawn["mnist_mlp_ageing"] = (
            ageing(value, rules, "accuracy", "test accuracy [%]", 100.0),
            f"Test accuracy of the trained networks, {LEFT_ALONE}",
        )
    return drawn
