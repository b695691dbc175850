"""Wear: cycles of every device of a network, the first failure, and what the network does as devices die.

Dead FeCAPs read 0; dead memristors stay in their low or in their high conductance. A chip either learned with its dead
devices, or they died after it had learned: then the words are as they were, and one transfer goes through what is left.
"""

from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import hfsim
from hfsim.circuits import SenseAmplifier
from hfsim.hybrid import AbstractTransfer, Endurance, Sensing, StuckTransfer, WindowCells, count_wear, memristor
from training.hybrid.experiment import Experiment
from training.hybrid.loop import Chip
from training.hybrid.task import TASKS
from training.job import Results, Table, metric
from training.plotting import CHIP, FLOAT, GREY
from training.tables.accuracy import accuracy_metrics, with_spread
from training.tables.case import Case, ChipCase, Measures
from training.tables.configuration import CARD, DEAD_KINDS, Tables
from training.tables.systems import data_of, make_experiment, task_of, transfer_of

HEALTHY = "healthy"
KINDS = dict(zip(DEAD_KINDS, ("FeCAPs, reading 0", "memristors, at RESET", "memristors, at level 7"), strict=True))
TRAININGS = (1, 3, 10, 30, 100, 300)
"""How many trainings of the chip the shares of dead devices are told for."""
BINS = 40
COLOURS = {"fecaps": FLOAT, "low": CHIP, "high": GREY}
CAPTION = (
    "Left: cycles of the devices of one network in one training. Middle: devices that are dead after a number of such "
    "trainings, by the Weibull statistics of the card. Right: accuracy with a share of devices dead; filled: the chip "
    "learned with them, open: they died after it had learned."
)


def _system(config: Tables, kind: str, dead: float) -> tuple[AbstractTransfer, Sensing | None]:
    """Transfer and reads of a chip of which a share is dead."""
    card, healthy = hfsim.load_card(CARD), transfer_of(config, "measured")
    if kind == "fecaps":
        amplifier = card.build(SenseAmplifier, "sense_amplifier")
        # live cells never err: this is about dead ones
        return healthy, Sensing(WindowCells(window=5e3, sigma=0.0, V_mid=amplifier.V_ref), amplifier, dead=dead)
    G_dead = {HEALTHY: 0.0, "low": memristor(card).G_reset, "high": healthy.levels()[-1]}[kind]
    return (StuckTransfer(working=healthy, dead=dead, G_dead=G_dead), None) if kind != HEALTHY else (healthy, None)


def _name(kind: str, dead: float) -> str:
    return f"{kind}_{dead:g}"


class HealthyCase(ChipCase):
    """Chips without dead devices: their wear, and what they do once devices are dead."""

    def __init__(self, name, epochs, make, struck):
        super().__init__(name, epochs, make)
        self._struck = struck

    def measure(self, state):
        found = super().measure(state)
        chips = self.experiment.finish(state)
        struck = {name: self._accuracy_of(make(), chips) for name, make in self._struck.items()}
        return found | {"struck": struck} | self._wear(chips)

    def _accuracy_of(self, dying: Experiment, chips: Chip) -> list[float]:
        """Of the words that healthy chips learned, transferred once by dying ones."""
        there = dying.start()
        weights = tuple(
            died._replace(words=lived.words)
            for died, lived in zip(there.memory.weights, chips.memory.weights, strict=True)
        )
        died = dying.finish(there._replace(memory=there.memory._replace(weights=weights)))
        return np.asarray(dying.accuracy(died.params, dying.data.test)).tolist()

    def _wear(self, chips: Chip) -> Measures:
        """Of the first chip."""
        updates, minus = (
            [np.asarray(getattr(weight, name))[0] for weight in chips.memory.weights]
            for name in ("updates", "minus_targets")
        )
        wear, card = count_wear(updates, minus, int(np.asarray(chips.memory.transfers)[0])), hfsim.load_card(CARD)
        found = {}
        for kind, histogram in (("fecap", wear.fecaps), ("memristor", wear.memristors)):
            endurance = Endurance.from_card(card, kind)
            devices, edges = np.histogram(histogram.cycles, BINS, weights=histogram.devices)
            share = histogram.devices / histogram.devices.sum()
            found[kind] = {
                "devices": devices.tolist(),
                "edges": edges.tolist(),
                "least": float(histogram.cycles.min()),
                "mean": float(np.sum(share * histogram.cycles)),
                "most": float(histogram.cycles.max()),
                "first_failure": float(endurance.first_failure(histogram.cycles, histogram.devices)),
                "dead": [float(np.sum(share * np.asarray(endurance.dead(x * histogram.cycles)))) for x in TRAININGS],
            }
        return {"wear": found}


def cases(config: Tables) -> list[Case]:
    """Healthy chips, and those that learn with each share of each kind dead."""
    task = task_of(config, (config.tasks or ("mnist-online",))[0])
    data = data_of(config, task)

    def make(kind: str, dead: float) -> Experiment:
        how, sensing = _system(config, kind, dead)
        return make_experiment(config, task, data, how, sensing=sensing)

    dying = {_name(kind, dead): partial(make, kind, dead) for kind in config.kinds for dead in config.dead}
    healthy = HealthyCase(HEALTHY, task.epochs, partial(make, HEALTHY, 0.0), dying)
    return [healthy, *(ChipCase(name, task.epochs, one) for name, one in dying.items())]


def present(config: Tables, measured: dict[str, Measures], online: dict[str, list[list[float]]]) -> Results:
    """The tables of what is done by now."""
    metrics = {"trainings": metric(list(TRAININGS), "1")}
    for name, found in measured.items():
        metrics |= accuracy_metrics(name, found["accuracy"])
    if HEALTHY in measured:
        for name, accuracy in measured[HEALTHY]["struck"].items():
            metrics |= accuracy_metrics(f"struck_{name}", accuracy)
        for kind, found in measured[HEALTHY]["wear"].items():
            metrics |= {f"{kind}_{name}": metric(value, "1") for name, value in found.items()}
    value = {name: entry["value"] for name, entry in metrics.items()}
    tables = wear_tables(value, config.dead)
    title = TASKS[(config.tasks or ("mnist-online",))[0]].title
    return Results(
        title=f"Wear and dead devices: {title}",
        metrics=metrics,
        highlights=[(f"{value[f'{k}_first_failure']:.2g}", f"trainings to the first dead {k}") for k in _worn(value)],
        figures={"tables_wear": (_figure(value, config.dead), CAPTION)} if HEALTHY in measured else {},
        tables=tables,
        summary=["  ".join(row) for table in tables for row in table.rows],
    )


def _worn(value: dict[str, Any]) -> list[str]:
    return [kind for kind in ("fecap", "memristor") if f"{kind}_first_failure" in value]


def wear_tables(value: dict[str, Any], shares: tuple[float, ...]) -> list[Table]:
    """Cycles and deaths of either kind of device; accuracy with each share dead; from metrics."""
    rows = [
        [{"fecap": "FeCAP", "memristor": "memristor"}[kind]]
        + [f"{value[f'{kind}_{name}']:,.0f}" for name in ("least", "mean", "most")]
        + [f"{value[f'{kind}_first_failure']:.3g}"]
        + [f"{share:.2%}" if share >= 5e-5 else f"{share:.0e}" for share in value[f"{kind}_dead"]]
        for kind in _worn(value)
    ]
    head = ["", "cycles of a training: least", "mean", "most", "trainings to the first failure"]
    wear = Table("One network, first seed", [*head, *(f"dead after {x:g} trainings" for x in TRAININGS)], rows)
    rows = [["none", "", *_accuracies(value, HEALTHY)]] if f"{HEALTHY}_accuracy" in value else []
    rows += [
        [said, f"{100 * dead:g} %", *_accuracies(value, _name(kind, dead))]
        for kind, said in KINDS.items()
        for dead in shares
        if f"{_name(kind, dead)}_accuracy" in value
    ]
    head = ["dead devices", "share", "accuracy, learned with them", "accuracy, died after learning"]
    return [wear, Table("Mean and standard deviation over seeds", head, rows)]


def _accuracies(value: dict[str, Any], name: str) -> list[str]:
    return [
        with_spread(value[f"{at}_accuracy"], value[f"{at}_accuracy_sd"]) if f"{at}_accuracy" in value else ""
        for at in (name, f"struck_{name}")
    ]


def _figure(value: dict[str, Any], shares: tuple[float, ...]) -> Figure:
    figure = Figure(figsize=(10.2, 3.3), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for kind, said, colour in (("fecap", "FeCAPs", FLOAT), ("memristor", "memristors", CHIP)):
        left.stairs(np.asarray(value[f"{kind}_devices"]) + 0.5, value[f"{kind}_edges"], color=colour, label=said)
        middle.plot(TRAININGS, 100 * np.asarray(value[f"{kind}_dead"]), "o-", ms=4, color=colour, label=said)
    left.set(xlabel="cycles in one training", ylabel="devices in a bin", xscale="log", yscale="log")
    middle.set(xlabel="trainings", ylabel="dead devices [%]", xscale="log", yscale="log", ylim=(1e-6, 150))
    for kind, said in KINDS.items():
        for prefix, style in (("", "o-"), ("struck_", "o--")):
            points = [(d, f"{prefix}{_name(kind, d)}_accuracy") for d in shares]
            points = [(100 * d, 100 * value[name]) for d, name in points if name in value]
            if points:
                face = None if style == "o-" else "none"
                label = said if style == "o-" else None
                right.plot(*zip(*points, strict=True), style, ms=4, mfc=face, color=COLOURS[kind], label=label)
    right.axhline(100 * value[f"{HEALTHY}_accuracy"], color="black", lw=1)
    right.set(xlabel="dead devices [%]", ylabel="accuracy [%]", xscale="log")
    for axes in (left, middle, right):
        axes.legend(fontsize=8)
    return figure
