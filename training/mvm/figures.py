"""Figures of the matrix-vector benchmark."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from hfsim.cards import load_card
from hfsim.devices.retention import CMORetention
from hfsim.units import seconds
from training.mvm.cases import CMO, MAIN, TIMES
from training.mvm.results import choice_rows, published
from training.plotting import CHIP, FLOAT, GREY, new_figure

COLOURS = {"cmo": CHIP, "wan": FLOAT, "pcm": "#4f7f3f"}
ZERO = 0.1
"""Where 0 s stands on the logarithmic axis [s]."""


def over_time(value: dict[str, Any]) -> Figure:
    """Error over time of the technologies, with the published values."""
    figure, axes = new_figure(7.2, 4.2)
    times = [max(seconds(time), ZERO) for time in TIMES]
    for case in (case for case in MAIN if f"{case.name}_rmse" in value):
        colour, wired = COLOURS[case.name.split("_")[0]], case.wires != "none"
        mean, sd = (np.asarray(value[f"{case.name}_rmse{end}"], float) for end in ("", "_sd"))
        axes.plot(times, mean, "o--" if wired else "o-", color=colour, ms=3, lw=1.2, label=case.label)
        axes.fill_between(times, mean - sd, mean + sd, color=colour, alpha=0.15, lw=0)
        if not wired:
            axes.plot(times, value[f"{case.name}_rmse_unquantised"], ":", color=colour, lw=1)
    axes.plot(value["published_times"], value["published_rmse"], "*", color="black", ms=11, label="published, CMO/HfOx")
    axes.plot(
        value["measured_times"],
        value["measured_points_rmse_unquantised"],
        "D",
        color=CHIP,
        mfc="white",
        ms=5,
        label="if all relaxed as the\nmeasured 50 uS",
    )
    axes.set(xscale="log", yscale="log", xlabel="time since programming", ylabel="root mean square error of x W")
    axes.set_xticks(times, [time.replace(" ", "\n") for time in TIMES], fontsize=7)
    ticks = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    return figure


def choices(value: dict[str, Any]) -> Figure:
    """Error of each choice beside the base case's, at 1 s and at 10 years."""
    rows = choice_rows(value)
    (_, *base), rest = rows[0], sorted(rows[1:], key=lambda row: row[2])
    figure = Figure(figsize=(8.4, 1.2 + 0.26 * len(rest)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for place, (axes, when) in enumerate(zip(panels, ("1 s", "10 years"), strict=True)):
        errors = np.asarray([row[1 + place] for row in rest])
        axes.barh([row[0] for row in rest], errors - base[place], left=base[place], color=CHIP, alpha=0.8)
        for line, error in enumerate(errors):
            left = error < base[place]
            axes.annotate(
                f"{error:.3f}",
                (error, line),
                xytext=(-3 if left else 3, 0),
                textcoords="offset points",
                ha="right" if left else "left",
                va="center",
                fontsize=7,
            )
        axes.axvline(base[place], color="black", lw=1)
        axes.axvline(value["published_rmse"][place], color=GREY, ls="--", lw=1)
        low, high = min(0.0, *errors), max(*errors, base[place])
        axes.set(title=f"{when}: base {base[place]:.3f}, published {value['published_rmse'][place]:g} (dashed)")
        axes.set(xlim=(low - 0.12 * high, 1.15 * high), xlabel="root mean square error")
        axes.title.set_fontsize(9)
        axes.tick_params(axis="y", labelsize=8)
    return figure


def relaxation() -> Figure:
    """Mean and spread at 50 uS over time, the model beside the published points."""
    card, model = published(), CMORetention.from_card(load_card(CMO), clip=False)
    level = float(card.quantity("relaxation", "G", "uS"))
    t = np.geomspace(1.0, seconds("10 years"), 60)
    state = model.place(model.init((1,), jax.random.key(0)), jnp.full(1, level))
    aged = [model.wait(state, float(time)) for time in t]
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    measured = np.asarray(card.quantity("relaxation", "times", "s"))
    for axes, name, law in ((left, "mean", model.mean), (right, "sigma", model.sigma)):
        axes.semilogx(t, [float(law(one)[0]) for one in aged], color=CHIP, label="the model's law")
        axes.semilogx(measured, np.asarray(card.quantity("relaxation", name, "uS")), "D", color="black", ms=4)
        axes.axvspan(measured[-1], t[-1], color=GREY, alpha=0.12, lw=0)
        axes.set(xlabel="time since programming [s]", ylabel=f"{name} at {level:g} uS [uS]")
    left.legend()
    return figure


def draw(value: dict[str, Any], size: int) -> dict[str, tuple[Figure, str]]:
    """All figures that the finished cases allow, with captions."""
    drawn = {
        "mvm_over_time": (
            over_time(value),
            f"Error of products on {size} x {size} arrays, mean and standard deviation over chips; dashed with wires, "
            "dotted not rounded. 0 s is programming alone. The published values are of 64 x 64.",
        ),
        "mvm_relaxation": (
            relaxation(),
            "Relaxation at 50 uS: the law that is simulated and the article's measured points; grey: extrapolated.",
        ),
    }
    rows = choice_rows(value)
    if len(rows) > 3:
        drawn["mvm_choices"] = (
            choices(value),
            "CMO/HfOx: one choice at a time from the base case, and the published value.",
        )
    return drawn
