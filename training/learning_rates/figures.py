"""The figure of the comparison of learning rates."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from training.plotting import CHIP, GREY, new_figure


def over_rates(value: dict[str, Any]) -> Figure:
    """Test accuracy over the learning rate."""
    figure, axes = new_figure()
    with_ceiling = 100 * np.asarray(value["ceiling_test_accuracy"])
    axes.axhspan(with_ceiling.max() - 1, with_ceiling.max(), color=CHIP, alpha=0.1, lw=0, label="within 1 point")
    axes.plot(value["rates"], with_ceiling, "o-", ms=4, color=CHIP, label="with the ceiling")
    without = 100 * np.asarray(value["no_ceiling_test_accuracy"])
    axes.plot(value["rates"], without, "s--", ms=4, color=GREY, label="without")
    axes.set(xscale="log", xlabel="learning rate", ylabel="test accuracy [%]")
    axes.set_xticks(value["rates"], [f"{rate:g}" for rate in value["rates"]])
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw(value: dict[str, Any], label: str, dataset: str) -> dict[str, tuple[Figure, str]]:
    """All figures, with captions."""
    caption = f"Test accuracy of {label} on {dataset} after {value['epochs']} epochs over the learning rate."
    return {"learning_rates": (over_rates(value), caption)}
