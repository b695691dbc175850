"""Figures of the study of yield."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from training.plotting import CHIP, FLOAT, GREY

COLOURS = {"gradient": CHIP, "random": GREY, "grid": FLOAT}
NAMES = ("codesign_yield_search", "codesign_yield_chips", "codesign_yield_slopes")
SYMBOLS = {"P_r": r"$2P_r$", "E_c": r"$E_c$", "V_C": r"$V_C$", "correlation": r"$\rho(P_r, E_c)$"}
SHIFT = 100
"""Place of no image lost in a histogram of the checks."""


def figures(value: dict[str, Any]) -> dict[str, tuple[Figure, str]]:
    """All figures, with captions."""
    done = value["mechanisms"]
    return {
        NAMES[0]: (
            _search(value, done),
            "Left: least value of the objective so far over what it cost, a gradient counted as five evaluations. "
            "Right: the spreads that are found, with the published ones.",
        ),
        NAMES[1]: (
            _chips(value, done),
            "Accuracy that chips of fresh keys lose on the test images against the nominal median; dashed: one point.",
        ),
        NAMES[2]: (
            _slopes(value, done),
            "Change of the points lost by 99 % of the chips when each spread grows by a point and the correlation by "
            "0.1: gradient with 95 % interval (bars), central differences of the same chips (dots).",
        ),
    }


def _search(value, done) -> Figure:
    figure = Figure(figsize=(9.0, 3.4 * len(done)), layout="constrained")
    panels = figure.subplots(len(done), 2, squeeze=False)
    for (left, right), name in zip(panels, done, strict=True):
        for way, colour in COLOURS.items():
            curve = np.asarray(value[f"{name}_{way}_curve"])
            left.step(curve[:, 0], curve[:, 1], where="post", color=colour, label=way)
        ends = [np.asarray(value[f"{name}_{way}_curve"])[:, 1] for way in COLOURS]
        low = min(end[-1] for end in ends)
        left.set(xlabel="evaluations", ylabel="least value so far", title=name, ylim=(low - 0.3, low + 5))
        left.legend()
        shown = {"published": "black", **COLOURS, "images": "#d9914b"}
        places = np.arange(3)
        for number, (which, colour) in enumerate(shown.items()):
            label = "gradient, times the factor" if which == "images" else which
            spreads = 100 * np.asarray(value[f"{name}_{which}_spreads"])
            right.bar(places + 0.16 * (number - 2), spreads, 0.15, color=colour, label=label)
        right.set_xticks(places, [SYMBOLS[x] for x in ("P_r", "E_c", "V_C")])
        right.set(ylabel="standard deviation [%]", yscale="log", title=name)
        right.set_ylim(top=6 * right.get_ylim()[1])  # room for the legend
        right.legend(fontsize=8, ncols=2, loc="upper center")
    return figure


def _chips(value, done) -> Figure:
    figure = Figure(figsize=(4.6 * len(done), 3.6), layout="constrained")
    panels = figure.subplots(1, len(done), squeeze=False, sharey=True)[0]
    shown = {"nominal": GREY, "published": "black", "gradient": CHIP, "images": FLOAT}
    for axes, name in zip(panels, done, strict=True):
        images = value[f"{name}_test_number"]
        for which, colour in shown.items():
            counts = np.asarray(value[f"{name}_test_{which}_histogram"], float)
            lost = 100 * (np.arange(len(counts)) - SHIFT) / images
            kept = counts > 0
            label = "gradient, times the factor" if which == "images" else which
            axes.plot(lost[kept], 100 * counts[kept] / counts.sum(), "o-", ms=3, color=colour, label=label)
        axes.axvline(1.0, color="black", ls="--", lw=1)
        axes.set(xlabel="accuracy lost [points]", yscale="log", title=name)
    panels[0].set_ylabel("share of the chips [%]")
    panels[0].legend(fontsize=8)
    return figure


def _slopes(value, done) -> Figure:
    figure = Figure(figsize=(4.6 * len(done), 3.0), layout="constrained")
    panels = figure.subplots(1, len(done), squeeze=False, sharey=True)[0]
    for axes, name in zip(panels, done, strict=True):
        labels = value[f"{name}_slopes_labels"]
        places = np.arange(len(labels))
        effects, half = (value[f"{name}_slopes_{what}"] for what in ("effects", "half_widths"))
        axes.barh(places, effects, xerr=half, color=CHIP, alpha=0.6, height=0.6)
        axes.plot(value[f"{name}_slopes_differences"], places, "o", color="black", ms=4)
        steps = [f"{SYMBOLS[x]} + {t:g}" for x, t in zip(labels, value[f"{name}_slopes_tolerances"], strict=True)]
        axes.set_yticks(places, steps)
        axes.axvline(0.0, color="black", lw=0.8)
        axes.set(xlabel="change of points lost", title=name)
    return figure
