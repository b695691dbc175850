"""Learning that goes on after a change: drifted inputs, a new class, a second task; what is gained and forgotten.

Words, devices and clocks go on from where the first training left them; nothing is set anew. Accuracies on what was
learned first (old) and on what the change brought (new) are taken after every epoch. Floating point is plain SGD of the
same network on the same samples: what it forgets too is not the memory's doing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import hfsim
from hfsim.hybrid import OperationPrices
from training.hybrid.task import TASKS
from training.job import Results, Table, metric
from training.tables.accuracy import COLOURS, DEFAULT_STORAGES, SAID, accuracy_metrics, with_spread
from training.tables.case import Case, Measures
from training.tables.configuration import CARD, Tables
from training.tables.course_case import COUNTED, CourseCase
from training.tables.scenarios import courses, said
from training.tables.systems import data_of, make_case, task_of

CAPTION = (
    "Accuracy, mean over seeds, by epochs of learning after the change; at 0 as the change found the systems. Filled: "
    "what the change brought. Open: what was learned before it."
)
MOMENTS = {
    "before": ("old", 0),
    "changed": ("new", 0),
    "one_epoch": ("new", 1),
    "adapted": ("new", -1),
    "left": ("old", -1),
}
"""Accuracies of the table: on which test, after how many epochs of the change."""
HEAD = ("old, before", "new, before", "new, after one epoch", "new, adapted", "old, adapted")


def cases(config: Tables) -> list[Case]:
    """Every course, on every storage."""
    name = task_name(config.tasks)
    task = task_of(config, name)
    data = data_of(config, task)
    return [
        CourseCase(make_case(config, storage, task, data, storage), course)
        for course in courses(config, task, data, name)
        for storage in config.storages or DEFAULT_STORAGES
    ]


def task_name(tasks: Sequence[str]) -> str:
    """The task that is learned first, of those of a configuration."""
    return (*tasks, "mnist-online")[0]


def present(config: Tables, measured: dict[str, Measures], online: dict[str, list[list[float]]]) -> Results:
    """The table of what is done by now."""
    metrics: dict[str, dict[str, Any]] = {}
    for case, found in measured.items():
        storage, end = case.rpartition("_")[2], found["stages"][0][1]
        begin = end
        for place, (change, epochs) in list(enumerate(found["stages"]))[1:]:
            span = [end - 1, *range(begin, begin + epochs)]
            name, begin = f"{change}_{storage}", begin + epochs
            metrics |= _accuracies(name, np.asarray(found["accuracy"])[span], place)
            metrics[f"{name}_online_by_epoch"] = metric(np.mean([online[case][n] for n in span[1:]], axis=1), "1")
            if storage != "float":
                metrics |= _costs(name, np.asarray(found["counts"])[span])
    value, first = {name: entry["value"] for name, entry in metrics.items()}, task_name(config.tasks)
    done, words = done_changes(value), said(first)
    table = continual_table(value, first)
    return Results(
        title=f"Learning that goes on: {TASKS[first].title}",
        metrics=metrics,
        highlights=[
            (f"{value[f'{c}_{s}_adapted_accuracy']:.1%}", f"{words[c]}, {SAID[s]}") for c, s in done if s == done[-1][1]
        ],
        figures={"tables_continual": (_figure(value, first), CAPTION)} if done else {},
        tables=[table],
        summary=["  ".join(row) for row in table.rows],
    )


def _accuracies(name: str, accuracy: np.ndarray, place: int) -> dict[str, dict[str, Any]]:
    """Those of one change, from the end of the first stage on: by epoch, and of the table's moments."""
    tests = {"old": accuracy[:, 0], "new": accuracy[:, place]}
    found = {}
    for test, shares in tests.items():
        found[f"{name}_{test}_by_epoch"] = metric(shares.mean(axis=1), "1")
        found[f"{name}_{test}_by_epoch_and_seed"] = metric(shares, "1")
    for moment, (test, epoch) in MOMENTS.items():
        found |= accuracy_metrics(f"{name}_{moment}", tests[test][epoch].tolist())
    return found


def _costs(name: str, counts: np.ndarray) -> dict[str, dict[str, Any]]:
    """What the learning after a change takes, mean over seeds; energies by the article's flat prices."""
    spent = dict(zip(COUNTED, (counts[-1] - counts[0]).mean(axis=1).tolist(), strict=True))
    prices = OperationPrices.from_card(hfsim.load_card(CARD))
    energy = float(prices.energy(spent["fecap_operations"], spent["memristor_operations"]))
    return {
        **{f"{name}_{kind}": metric(count, "1") for kind, count in spent.items()},
        f"{name}_network_energy_nJ": metric(energy, "nJ"),
    }


def done_changes(value: dict[str, Any]) -> list[tuple[str, str]]:
    """Change and storage of each row that metrics hold, in the order of the table."""
    pairs = [(change, storage) for change in said(task_name(())) for storage in SAID]
    return [(change, storage) for change, storage in pairs if f"{change}_{storage}_adapted_accuracy" in value]


def continual_table(value: dict[str, Any], first: str) -> Table:
    """A row for each change and storage, from metrics; `first` is the task that was learned first."""
    rows = []
    for change, storage in done_changes(value):
        name = f"{change}_{storage}"
        shares = [(value[f"{name}_{moment}_accuracy"], value[f"{name}_{moment}_accuracy_sd"]) for moment in MOMENTS]
        row = [said(first)[change], SAID[storage], *(with_spread(*share) for share in shares)]
        epochs = len(value[f"{name}_online_by_epoch"])
        if storage == "float":
            rows.append([*row, str(epochs), "–", "–", "–"])
            continue
        counted = [f"{value[f'{name}_{kind}']:,.0f}" for kind in ("samples", "transfers")]
        rows.append([*row, str(epochs), *counted, f"{value[f'{name}_network_energy_nJ'] / 1e6:.3g}"])
    head = ["change", "weights", *HEAD, "epochs", "samples", "transfers", "all synapses, flat prices, mJ"]
    return Table("Mean and standard deviation over seeds; costs are of the epochs after the change", head, rows)


def _figure(value: dict[str, Any], first: str) -> Figure:
    """A panel for each change."""
    done = done_changes(value)
    changes, storages = (list(dict.fromkeys(names)) for names in zip(*done, strict=True))
    figure = Figure(figsize=(2.4 + 2.4 * len(changes), 3.4), layout="constrained")
    panels = figure.subplots(1, len(changes), sharey=True, squeeze=False)[0]
    for axes, change in zip(panels, changes, strict=True):
        for storage in (s for c, s in done if c == change):
            for test, style in (("new", "o-"), ("old", "o:")):
                shares = 100 * np.asarray(value[f"{change}_{storage}_{test}_by_epoch"])
                face = COLOURS[storage] if test == "new" else "white"
                axes.plot(range(len(shares)), shares, style, ms=4, color=COLOURS[storage], mfc=face)
        axes.set_title(said(first)[change], fontsize=10)
        axes.set(xlabel="epochs after the change", ylim=(-2, 102))
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0].set_ylabel("test accuracy [%]")
    handles = [Line2D([], [], color=COLOURS[storage], label=SAID[storage]) for storage in storages]
    for label, style, face in (("what the change brought", "o-", "black"), ("what was learned before", "o:", "white")):
        handles.append(Line2D([], [], ls=style[1:], marker=style[0], color="black", mfc=face, ms=4, label=label))
    figure.legend(handles=handles, ncols=len(handles), loc="outside upper center", fontsize=9)
    return figure
