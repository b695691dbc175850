"""Ten years: figures, tables and sentences of what was found."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hfsim.studies.codesign import GRADIENT_COST
from training.codesign.configuration import CoDesign
from training.codesign.stage import Found as Record
from training.codesign.ten_years_check import AGE_NAMES
from training.codesign.ten_years_energy import ACCEPTANCES, LEVELS
from training.job import Results, Table, metric
from training.plotting import CHIP, FLOAT, GREY

SEARCHES = {"gradient": "gradient", "random": "random search", "grid": "grid"}
SHOWN = {"G_min": "uS", "G_max": "uS", "acceptance": "%", "overshoot": "s", "references": "columns"}
SHOWN |= {"reference_weight": "1", "training_noise": "1"}
COLOURS = {"gradient": CHIP, "random": FLOAT, "grid": GREY}


def present(config: CoDesign, found: dict[str, Record]) -> Results:
    """Results of finished stages."""
    checked = found["check"]
    first, best = checked["published"], checked["found"]
    return Results(
        title="Ten years: a CMO/HfOx network chosen for its last year",
        metrics={name: metric_of(found[name]) for name in found},
        highlights=[
            (f"{first['accuracy'][2]:.1%}", "published point, after ten years at 25 C, test images"),
            (f"{best['accuracy'][2]:.1%}", "found point, the same"),
            (f"{_energy(best) / _energy(first):.2f}", "energy of the found point over the published one's"),
        ],
        figures=figures(found),
        tables=tables(found),
        notes=notes(found),
        summary=[f"{name:<40}{it['accuracy'][2]:.2%} {_energy(it):.1f} uJ" for name, it in checked.items()],
    )


def metric_of(record: Record) -> dict[str, Any]:
    """A stage's record as one entry of metrics.json: losses in nats, energies in uJ (of pulses in pJ), times in s."""

    def clean(value):
        if isinstance(value, dict):
            return {name: clean(item) for name, item in value.items()}
        return metric(value, "1")["value"]

    return {"value": clean(record), "unit": "nats, uJ, s"}


def tables(found: dict[str, Record]) -> list[Table]:
    """All tables of the page."""
    return [designs(found), claims(found), chips(found), parts(found), slopes(found), counts(found)]


def designs(found: dict[str, Record]) -> Table:
    """The chosen parameters of each search."""
    runs = {SEARCHES[name]: found[name] for name in SEARCHES}
    runs |= {f"gradient, {float(share):.0%} of the energy": it for share, it in found["budgets"].items()}
    head = ["", *(f"{name.replace('_', ' ')} ({unit})" for name, unit in SHOWN.items()), "loss", "energy (uJ)"]
    published = ["published", "9", "88.2", "0.2", "none", "0", "0", "0"]
    rows = [[*published, f"{found['published']['loss']:.3f}", f"{found['published']['energy']:.1f}"]]
    for name, it in runs.items():
        rows.append([name, *(f"{it['values'][k]:.3g}" for k in SHOWN), f"{it['loss']:.3f}", f"{it['energy']:.1f}"])
    return Table("What was chosen, as the searches saw it", head, rows)


def claims(found: dict[str, Record]) -> Table:
    """The same losses of other draws, and of other images and whole chips."""
    seen = {"published": found["published"]["loss"], "found": found["gradient"]["loss"]}
    seen["found at random"] = found["random"]["loss"]
    for share, it in found["budgets"].items():
        seen[f"found, {float(share):.0%} of the energy"] = it["loss"]
    rows = []
    for name, it in found["parts"]["points"].items():
        claimed = f"{seen[name]:.3f}" if name in seen else "–"
        whole = found["check"][name]
        own = (f"{loss:.3f}" for loss in whole["loss"][2:])
        rows.append([name, claimed, _spread(it["loss"]), _spread(it["hot"]), *own])
    head = ["", "claimed", "fresh draws", "fresh, 85 C", "whole chips, test", "whole chips, test, 85 C"]
    return Table("Cross-entropy after ten years (nats)", head, rows)


def chips(found: dict[str, Record]) -> Table:
    """Accuracy of whole chips and what they spend."""
    rows = [
        [
            name,
            *(f"{accuracy:.2%}" for accuracy in it["accuracy"]),
            f"{it['programming']:.1f}",
            f"{it['reading']:.1f}",
            f"{_energy(it):.1f}",
        ]
        for name, it in found["check"].items()
    ]
    head = ["", *AGE_NAMES, "programming (uJ)", "reads (uJ)", "sum (uJ)"]
    return Table("Whole chips, test images", head, rows)


def parts(found: dict[str, Record]) -> Table:
    """What each choice is worth: the found design without it."""
    whole = found["parts"]["points"]["found"]
    rows = [["found", _spread(whole["loss"]), _spread(whole["hot"]), f"{np.mean(whole['energy']):.1f}"]]
    for name, it in found["parts"]["without"].items():
        rows.append([f"{name} as published", _spread(it["loss"]), _spread(it["hot"]), f"{np.mean(it['energy']):.1f}"])
    return Table("One choice taken back", ["", "loss", "loss, 85 C", "energy (uJ)"], rows)


def slopes(found: dict[str, Record]) -> Table:
    """Gradients against differences."""
    it = found["slopes"]
    rows = [
        [measure, label, f"{gradient:.6e}", f"{difference:.6e}"]
        for measure, *columns in zip(it["measures"], it["gradient"], it["differences"], strict=True)
        for label, gradient, difference in zip(it["labels"], *columns, strict=True)
    ]
    return Table("Slopes in the free numbers, double precision", ["", "", "gradient", "central difference"], rows)


def counts(found: dict[str, Record]) -> Table:
    """Pulses as simulated and as fitted."""
    it = found["counts"]
    shown = [LEVELS.index(G) for G in (9.5, 13.0, 20.0, 34.0, 50.0, 66.0, 80.0, 87.0)]
    rows = [
        [f"{a:g} %", *(f"{simulated[i]:.0f} / {fit[i]:.0f}" for i in shown)]
        for a, simulated, fit in zip(ACCEPTANCES, it["counts"], it["fitted"], strict=True)
    ]
    rows.append(["pJ a pulse", *(f"{it['pulse_energy'][i]:.0f}" for i in shown)])
    head = ["acceptance", *(f"{LEVELS[i]:g} uS" for i in shown)]
    return Table("Mean pulses to a target, simulated / fitted", head, rows)


def notes(found: dict[str, Record]) -> list[str]:
    """What the searches say of each other."""
    values = {name: found[name]["value"] for name in SEARCHES}
    cost = found["gradient"]["curve"][-1][0]
    ratio = found["published"]["gradient_seconds"] / found["published"]["value_seconds"]
    least = min(values, key=lambda name: values[name])
    told = ", ".join(f"{SEARCHES[name]} {value:.4f}" for name, value in values.items())
    reached = [n for n, value in found["gradient"]["curve"] if value <= values["random"]]
    when = (
        f"the gradient passes the best of random search after {reached[0]:.0f} of {cost:.0f} evaluations"
        if reached
        else "the gradient does not reach the best of random search"
    )
    return [
        f"Objective at the same cost: {told}; the least is that of the {SEARCHES[least]}; {when}. A value with its "
        f"gradient is counted as {GRADIENT_COST:g} evaluations; measured it takes {ratio:.1f}, so this comparison "
        f"favours the others. The grid has {len(found['grid']['curve'])} designs, two on each axis.",
    ]


def remarks(found: dict[str, Record]) -> list[str]:
    """What the whole chips say of the search: which choice did it, and which claim cannot be made."""
    first, fixed, best, digital = (
        found["check"][name]
        for name in ("published", "published, overshoot to ten years", "found", "published, compensated in numbers")
    )
    at = "{:.1%}".format
    lines = [
        f"After ten years the found point keeps {at(best['accuracy'][2])}, the published one "
        f"{at(first['accuracy'][2])}. The published window with an overshoot alone keeps "
        f"{at(fixed['accuracy'][2])} too, but has {at(fixed['accuracy'][0])} at 1 s "
        f"and {at(fixed['accuracy'][3])} at 85 C, where the found point has "
        f"{at(best['accuracy'][0])} and {at(best['accuracy'][3])}, at {_energy(best) / _energy(fixed):.2f} of its "
        f"energy; compensation in numbers keeps {at(digital['accuracy'][2])} with the energy of the published point.",
    ]
    for share in found["budgets"]:
        values, loss = found["budgets"][share]["values"], found["budgets"][share]["loss"]
        made = found["check"][f"found, {float(share):.0%} of the energy"]
        if made["loss"][2] > first["loss"][2]:
            lines.append(
                f"The point at {float(share):.0%} of the energy cannot be made: its claim of {loss:.3f} takes "
                f"{values['references']:.2f} of a reference column, which rounds to {round(values['references'])}, and "
                f"as made it loses more ({made['loss'][2]:.3f}) than the published point ({first['loss'][2]:.3f})."
            )
    return lines


def figures(found: dict[str, Record]) -> dict[str, tuple[Figure, str]]:
    """By file name, with captions."""
    return {
        "codesign_ten_years_search": (_search(found), "Least objective so far against evaluations"),
        "codesign_ten_years_chips": (_chips(found), "Whole chips on test images; loss and energy"),
    }


def _search(found) -> Figure:
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for name, label in SEARCHES.items():
        curve = np.asarray(found[name]["curve"])
        axes.plot(curve[:, 0], curve[:, 1], color=COLOURS[name], label=label)
    axes.axhline(found["published"]["loss"], color="k", linestyle=":", label="published point")
    axes.set(xlabel=f"evaluations (a gradient counts as {GRADIENT_COST:g})", ylabel="least objective so far (nats)")
    axes.set(xscale="log", yscale="log")
    axes.legend()
    return figure


_MARKERS = "sD^vo*"


def _chips(found) -> Figure:
    figure = Figure(figsize=(9.6, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    styles = {
        "published": ("k", "-"),
        "published, overshoot to ten years": (GREY, "-"),
        "found": (CHIP, "-"),
        "published, compensated in numbers": ("k", ":"),
    }
    for name, (colour, line) in styles.items():
        accuracy = 100 * np.asarray(found["check"][name]["accuracy"])
        left.plot(range(len(AGE_NAMES)), accuracy, line, color=colour, marker="o", label=name)
    left.set(xticks=range(len(AGE_NAMES)), ylabel="test accuracy (%)")
    left.set_xticklabels([name.replace(", ", ",\n") for name in AGE_NAMES])
    left.legend(fontsize=8)
    for marker, (name, it) in zip(_MARKERS, found["check"].items(), strict=False):
        colour = CHIP if name.startswith("found") else "k"
        right.plot(_energy(it), it["loss"][2], marker, color=colour, fillstyle="none", ls="", label=name)
    right.set(xlabel="energy of ten years (uJ)", ylabel="test loss after ten years (nats)")
    right.margins(x=0.15)
    right.legend(fontsize=7)
    return figure


def _energy(it: Record) -> float:
    return it["programming"] + it["reading"]


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"
