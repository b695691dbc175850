"""What the table of last layers shows: accuracies of ours, points lost on the chip, and the article's beside them."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from training.job import Results, Table, metric
from training.plotting import CHIP, FLOAT, GREY
from training.tables.accuracy import accuracy_metrics, with_spread
from training.tables.case import Measures
from training.tables.configuration import Tables
from training.transfer_learning.pairs import PAIRS, PUBLISHED

SYSTEMS = {
    "offline_float": "offline, floating point",
    "offline_four_bits": "offline, 4 bits",
    "online_linear": "online, no variability",
    "online_measured": "online, variability",
}
COLOURS = dict(zip(SYSTEMS, (GREY, FLOAT, "#d99a6c", CHIP), strict=True))
ONLINE = ("online_linear", "online_measured")
CAPTION = (
    "Left: accuracy of the last layer, mean over seeds, bars: standard deviation. Right: points lost from offline in 4 "
    "bits to online; black: the article's, of other tasks on another network."
)


def present(config: Tables, measured: dict[str, Measures], online: dict[str, list[list[float]]]) -> Results:
    """The table of what is done by now."""
    metrics: dict[str, dict[str, Any]] = {}
    for name, found in measured.items():
        metrics |= _pair_metrics(name, found)
    value = {name: entry["value"] for name, entry in metrics.items()}
    table = last_layer_table(value)
    return Results(
        title="The last layer of a frozen network",
        metrics=metrics | _published_metrics(),
        highlights=[
            (f"{value[f'{name}_online_measured_accuracy']:.2%}", f"{PAIRS[name].title}, on the chip")
            for name in measured
        ],
        figures={"tables_last_layer": (_figure(value, list(measured)), CAPTION)} if measured else {},
        tables=[table, published_table()],
        notes=[f"Base networks, small convolutional ones, are trained in this run: {base_accuracies(value)}."]
        if measured
        else [],
        summary=["  ".join(row) for row in table.rows],
    )


def _pair_metrics(name: str, found: Measures) -> dict[str, dict[str, Any]]:
    precise, coarse = found["base"]
    metrics = {
        f"{name}_base_float_accuracy": metric(precise, "1"),
        f"{name}_base_four_bits_accuracy": metric(coarse, "1"),
        f"{name}_samples": metric(found["samples"], "1"),
        f"{name}_synapses": metric(found["synapses"], "1"),
        f"{name}_transfers": metric(found["transfers"], "1"),
        f"{name}_updates": metric(found["updates"], "1"),
    }
    for system in SYSTEMS:
        metrics |= accuracy_metrics(f"{name}_{system}", found["accuracy"][system])
    for system in ONLINE:
        lost = np.subtract(found["accuracy"]["offline_four_bits"], found["accuracy"][system])
        spread = np.std(lost, ddof=1) if len(lost) > 1 else float("nan")
        metrics[f"{name}_{system}_lost"] = metric(np.mean(lost), "1")
        metrics[f"{name}_{system}_lost_sd"] = metric(spread, "1")
    return metrics


def _published_metrics() -> dict[str, dict[str, Any]]:
    kinds = ("offline_float", "offline_four_bits", "online")
    return {f"published_{kind}": metric([getattr(row, kind) for row in PUBLISHED], "1") for kind in kinds} | {
        "published_pairs": metric([row.title for row in PUBLISHED], "1")
    }


def _done(value: dict[str, Any]) -> list[str]:
    return [name for name in PAIRS if f"{name}_base_float_accuracy" in value]


def base_accuracies(value: dict[str, Any]) -> str:
    """How well each base network does its own task, from metrics."""
    return "; ".join(
        f"that of {PAIRS[name].title} tells {value[f'{name}_base_float_accuracy']:.1%} of its own test samples right, "
        f"{value[f'{name}_base_four_bits_accuracy']:.1%} in 4 bits"
        for name in _done(value)
    )


def last_layer_table(value: dict[str, Any]) -> Table:
    """A row for each pair, from metrics."""
    rows = []
    for name in _done(value):
        systems = [f"{name}_{system}" for system in SYSTEMS]
        shares = [with_spread(value[f"{system}_accuracy"], value[f"{system}_accuracy_sd"]) for system in systems]
        lost = [f"{100 * value[f'{name}_{system}_lost']:.2f}" for system in ONLINE]
        rows.append([PAIRS[name].title, *shares, *lost])
    head = ["base to target", *SYSTEMS.values(), "points lost, no variability", "points lost, variability"]
    return Table("Ours: mean and standard deviation over seeds; lost from offline in 4 bits", head, rows)


def published_table() -> Table:
    """The article's: other tasks, another network."""
    rows = [
        [
            row.title,
            *(f"{share:.1%}" for share in (row.offline_float, row.offline_four_bits, row.online)),
            f"{100 * (row.offline_four_bits - row.online):.1f}",
        ]
        for row in PUBLISHED
    ]
    head = ["the article: base to target", "offline, floating point", "offline, 4 bits", "online", "points lost"]
    return Table("The article's: MobileNet-V2, mean of ten runs", head, rows)


def _figure(value: dict[str, Any], names: list[str]) -> Figure:
    figure = Figure(figsize=(8.4, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    width = 0.8 / len(SYSTEMS)
    for number, (system, said) in enumerate(SYSTEMS.items()):
        places = np.arange(len(names)) + width * (number - (len(SYSTEMS) - 1) / 2)
        heights = [100 * value[f"{name}_{system}_accuracy"] for name in names]
        errors = [100 * (value[f"{name}_{system}_accuracy_sd"] or 0.0) for name in names]
        left.bar(places, heights, 0.9 * width, yerr=errors, label=said, color=COLOURS[system], capsize=2)
    low = min(100 * value[f"{name}_{system}_accuracy"] for name in names for system in SYSTEMS)
    left.set_xticks(range(len(names)), [PAIRS[name].title.replace(" to ", "\nto ") for name in names])
    left.set(ylabel="accuracy [%]", ylim=(max(0.0, low - 5), 100))
    left.grid(False, axis="x")
    lines = [PAIRS[name].title for name in names] + [row.title for row in PUBLISHED]
    for line, name in enumerate(names):
        for system, shift in zip(ONLINE, (0.2, -0.2), strict=True):
            lost, spread = (100 * (value[f"{name}_{system}_{end}"] or 0.0) for end in ("lost", "lost_sd"))
            right.barh(line - shift, lost, 0.36, xerr=spread, color=COLOURS[system], capsize=2)
    theirs = [100 * (row.offline_four_bits - row.online) for row in PUBLISHED]
    right.barh(np.arange(len(names), len(lines)), theirs, 0.5, color="black")
    right.set_yticks(range(len(lines)), lines)
    right.invert_yaxis()
    right.set_xlabel("points lost online")
    right.grid(False, axis="y")
    figure.legend(ncols=len(SYSTEMS), loc="outside upper center")
    return figure
