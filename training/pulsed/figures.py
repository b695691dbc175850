"""The figure of a trained network that is left alone."""

from typing import Any

from matplotlib.figure import Figure

from hfsim.units import seconds
from training.plotting import new_figure
from training.pulsed.names import COLOURS, COMPENSATED, FLOAT, LABELS

LEFT_ALONE = "left alone: with the mean shift of each column compensated (full), and as they are (dotted)."
"""What the figure's caption says of the networks."""


def ageing(value: dict[str, Any], rules: tuple[str, ...], measure: str, label: str, factor: float = 1.0) -> Figure:
    """A measure over the time at rest after training, with the shift compensated, and as it is (dotted).

    Args:
        value: metrics by name: RULE_test_MEASURE and those of `ageing_metrics`.
        rules: which.
        measure: which.
        label: of its axis.
        factor: to the unit of the axis.
    """
    figure, axes = new_figure()
    times = [seconds(age) for age in value["ages"]]
    for name in rules:
        style: dict[str, Any] = {"color": COLOURS[name], "label": LABELS[name]}
        if name == FLOAT:
            axes.axhline(factor * value[f"{name}_test_{measure}"], ls="--", **style)
        else:
            axes.plot(times, [factor * v for v in value[f"{name}_{measure}_by_age{COMPENSATED}"]], "o-", ms=3, **style)
            axes.plot(times, [factor * v for v in value[f"{name}_{measure}_by_age"]], ":", color=COLOURS[name])
    axes.set(xscale="log", xlabel="time at rest after training", ylabel=label)
    axes.set_xticks(times, value["ages"], fontsize=8)
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
