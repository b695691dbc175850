"""The figures of the staircase study."""

import numpy as np
from matplotlib.figure import Figure

from hfsim.plot import tornado
from hfsim.studies import Sensitivity
from training.codesign.stage import Found
from training.codesign.staircase_model import MECHANISMS
from training.plotting import CHIP, FLOAT, GREY

_STAIRS = "Levels before and after under both mechanisms, with one standard deviation, and the chance of each misread."
_SEARCH = "The objective against the evaluations spent (a gradient counts as five), and the front against energy."
_TOLERANCES = "What 2 % of each parameter does to the worst misread of drawn synapses, with 95 % confidence."


def draw(found: dict[str, Found]) -> dict[str, tuple[Figure, str]]:
    """All figures of what is done, with captions."""
    done = [m for m in MECHANISMS if f"design {m}" in found]
    figures = {}
    if done:
        figures["codesign_staircase"] = (_stairs(found, done), _STAIRS)
    if all(f"front {m}" in found for m in MECHANISMS):
        figures["codesign_staircase_search"] = (_search(found), _SEARCH)
    if all(f"tolerances {m}" in found for m in MECHANISMS):
        figures["codesign_staircase_tolerances"] = (_tolerances(found), _TOLERANCES)
    return figures


def _stairs(found: dict[str, Found], done: list[str]) -> Figure:
    figure = Figure(figsize=(8.4, 5.6), layout="constrained")
    grid = figure.subplots(2, len(done), squeeze=False, sharex="row", sharey="row")
    code = np.arange(8)
    for (above, below), mechanism in zip(grid.T, done, strict=True):
        for which, colour, shift in (("before", GREY, -0.12), ("after", CHIP, 0.12)):
            line = found[f"design {mechanism}"][which]
            label = "as published" if which == "before" else "found"
            above.errorbar(
                code + shift, line["levels"], line["spread"], fmt="o", ms=4, capsize=2, color=colour, label=label
            )
            below.bar(np.arange(7) + 1.7 * shift, 100 * np.asarray(line["misreads"]), 0.38, color=colour, label=label)
        levels = found[f"design {mechanism}"]["before"]["levels"]
        above.plot(code, np.linspace(levels[0], levels[-1], 8), color=FLOAT, lw=0.8, label="even")
        above.set(title=mechanism, xlabel="code", ylabel="conductance [uS]")
        below.axhline(20.0, color=FLOAT, lw=0.8, label="bound of even levels")
        below.set(xlabel="pair of neighbours", ylabel="misread [%]")
        below.set_xticks(range(7), [f"{i}, {i + 1}" for i in range(7)])
    grid[0, 0].legend()
    grid[1, 0].legend(fontsize=8, loc="upper center")
    return figure


def _search(found: dict[str, Found]) -> Figure:
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for mechanism, style in zip(MECHANISMS, ("-", "--"), strict=False):
        curves = {"gradient": (found[f"design {mechanism}"]["curve"], CHIP)}
        searched = found[f"searches {mechanism}"]
        curves |= {n: (searched[n]["curve"], c) for n, c in (("random", GREY), ("grid", FLOAT))}
        least = min(np.asarray(curve)[:, 1].min() for curve, _ in curves.values())
        for name, (curve, colour) in curves.items():
            cost, value = np.asarray(curve).T
            left.plot(cost, np.minimum(value - least, 1e3) + 1e-3, style, color=colour, label=f"{name}, {mechanism}")
        one = found[f"design {mechanism}"]
        points = [one["before"], one["after"], *found[f"front {mechanism}"]["after"]]
        energy = [p["energy"] / 1e6 for p in points]
        misread = [100 * max(p["misreads"]) for p in points]
        right.plot(energy[:1], misread[:1], "x", color=GREY)
        order = np.argsort(energy[1:])
        right.plot(np.array(energy[1:])[order], np.array(misread[1:])[order], "o" + style, ms=4, color=CHIP)
        right.annotate(mechanism, (energy[1:][order[0]], misread[1:][order[0]]), fontsize=8)
    left.set(xscale="log", yscale="log", xlabel="evaluations", ylabel="objective above the least, plus 0.001")
    left.legend(fontsize=8)
    right.set(xlabel="energy of a transfer [nJ]", ylabel="worst misread [%]", xscale="log")
    right.set_xticks([0.2, 0.5, 1.0, 2.0], ["0.2", "0.5", "1", "2"])
    right.minorticks_off()
    right.annotate("as published", (energy[0], misread[0]), fontsize=8, ha="right", va="top")
    return figure


def _tolerances(found: dict[str, Found]) -> Figure:
    figure = Figure(figsize=(9.2, 3.4), layout="constrained")
    for axes, mechanism in zip(figure.subplots(1, 2), MECHANISMS, strict=True):
        one = found[f"tolerances {mechanism}"]
        arrays = {n: np.asarray(one[n]) for n in ("tolerances", "effects", "half_widths")}
        tornado(Sensitivity(labels=one["labels"], units=one["units"], **arrays), mechanism, axes)
        axes.set_xlabel("worst misread [points]")
    return figure
