"""Accuracy of four tasks in floating point and on the chip, beside the article's: five runs, mean and spread.

Martemucci et al., Nature Electronics 8, 921 (2025). Its numbers are the article's; which series each belongs to is
inferred (three consistency checks).
"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from training.hybrid.task import TASKS
from training.job import Results, Table, metric
from training.plotting import CHIP, FLOAT, GREY, new_figure
from training.tables.case import Case, Measures
from training.tables.configuration import Tables
from training.tables.systems import data_of, make_case, task_of

DEFAULT_TASKS = ("mnist-batch", "mnist-online", "ecg-online", "fashion-online")
DEFAULT_STORAGES = ("float", "linear", "measured")
SAID = {
    "float": "floating point",
    "linear": "chip, no variability",
    "measured": "chip, variability",
    "circuit": "chip, circuit",
}
COLOURS = {"float": FLOAT, "linear": "#d99a6c", "measured": CHIP, "circuit": GREY}
LOWEST = {"ecg-online": 0.015}
"""Tasks whose split is ours: how far below the article each may be."""
CAPTION = "Accuracy in floating point and on the chip; error bars: standard deviation over seeds; black: the article's."
BARS = {"float": 0.005, "linear": 0.005, "measured": 0.01}
"""The project's own bars on the distance to the article."""


def cases(config: Tables) -> list[Case]:
    """Every task on every storage."""
    tasks = {name: task_of(config, name) for name in config.tasks or DEFAULT_TASKS}
    data = {name: data_of(config, task) for name, task in tasks.items()}
    return [
        make_case(config, _name(name, storage), task, data[name], storage)
        for name, task in tasks.items()
        for storage in config.storages or DEFAULT_STORAGES
    ]


def _name(task: str, storage: str) -> str:
    return f"{task}_{storage}"


def present(config: Tables, measured: dict[str, Measures], online: dict[str, list[list[float]]]) -> Results:
    """The table of what is done by now."""
    metrics = {}
    for name, found in measured.items():
        metrics |= accuracy_metrics(name, found["accuracy"])
        metrics[f"{name}_online_by_epoch"] = metric(np.mean(online[name], axis=1), "1")
    for task in TASKS:
        for storage, value in _published(task).items():
            metrics[f"{_name(task, storage)}_published"] = metric(value, "1")
    value = {name: entry["value"] for name, entry in metrics.items()}
    shown = [(t, s) for t in TASKS for s in SAID if _name(t, s) in measured]
    table = accuracy_table(value, config.part)
    return Results(
        title="Accuracy of the hybrid memory, task by task",
        metrics=metrics,
        highlights=[(f"{value[f'{_name(t, s)}_accuracy']:.2%}", f"{TASKS[t].title}, {SAID[s]}") for t, s in shown[:6]],
        figures={"tables_accuracy": (_figure(value, shown), CAPTION)} if shown else {},
        tables=[table],
        summary=["  ".join(row) for row in table.rows],
    )


def accuracy_metrics(name: str, accuracy: list[float]) -> dict[str, dict[str, Any]]:
    """Mean, standard deviation over seeds, and each."""
    spread = np.std(accuracy, ddof=1) if len(accuracy) > 1 else float("nan")
    return {
        f"{name}_accuracy": metric(np.mean(accuracy), "1"),
        f"{name}_accuracy_sd": metric(spread, "1"),
        f"{name}_accuracy_by_seed": metric(accuracy, "1"),
    }


def accuracy_table(value: dict[str, Any], part: str) -> Table:
    """Ours and the published ones, from metrics."""
    rows = []
    for task in TASKS:
        for storage in SAID:
            name = _name(task, storage)
            if f"{name}_accuracy" not in value:
                continue
            ours, spread, theirs = (value.get(f"{name}_{end}") for end in ("accuracy", "accuracy_sd", "published"))
            row = [TASKS[task].title, SAID[storage], with_spread(ours, spread)]
            if theirs is None:
                rows.append([*row, "–", "–", ""])
                continue
            off = ours - theirs
            rows.append([*row, f"{theirs:.1%}", f"{100 * off:+.2f}", _verdict(task, storage, off)])
    head = ["task", "weights", f"accuracy ({part})", "article", "difference, points", "bar"]
    return Table("Mean and standard deviation over seeds", head, rows)


def with_spread(mean: float, spread: float | None) -> str:
    """A share with its standard deviation, in per cent."""
    return f"{mean:.2%}" + ("" if spread is None else f" ± {100 * spread:.2f}")


def _verdict(task: str, storage: str, off: float) -> str:
    if task in LOWEST:
        held, said = off >= -LOWEST[task], f"at most {100 * LOWEST[task]:g} below"
    else:
        held, said = abs(off) <= BARS[storage], f"within {100 * BARS[storage]:g}"
    return f"{said}: {'holds' if held else 'missed'}"


def _published(task: str) -> dict[str, float]:
    published = TASKS[task].published
    return {} if published is None else {s: getattr(published, s) for s in DEFAULT_STORAGES}


def _figure(value: dict[str, Any], shown: list[tuple[str, str]]) -> Figure:
    """Bars of the tasks, a colour for each storage; the article's as black lines."""
    figure, axes = new_figure(7.0, 3.8)
    tasks, storages = (list(dict.fromkeys(names)) for names in zip(*shown, strict=True))
    width = 0.8 / len(storages)
    for number, storage in enumerate(storages):
        held = [task for task in tasks if (task, storage) in shown]
        places = np.asarray([tasks.index(task) for task in held]) + width * (number - (len(storages) - 1) / 2)
        names = [_name(task, storage) for task in held]
        heights = [100 * value[f"{name}_accuracy"] for name in names]
        errors = [100 * (value[f"{name}_accuracy_sd"] or 0.0) for name in names]
        axes.bar(places, heights, 0.9 * width, yerr=errors, label=SAID[storage], color=COLOURS[storage], capsize=2)
        for place, name in zip(places, names, strict=True):
            if f"{name}_published" in value:
                theirs = 100 * value[f"{name}_published"]
                axes.hlines(theirs, place - 0.45 * width, place + 0.45 * width, "black", lw=2)
    axes.set_xticks(range(len(tasks)), [TASKS[task].title for task in tasks])
    low = min(100 * value[f"{_name(t, s)}_accuracy"] for t, s in shown)
    axes.set(ylabel="accuracy [%]", ylim=(max(0, low - 5), 100))
    axes.grid(False, axis="x")
    figure.legend(ncols=len(storages), loc="outside upper center")
    return figure
