"""Accuracy over ten years at 25 and 85 degrees, as the chip is left and after one refresh transfer from the FeCAPs.

The hidden words outlast the memristors, so that one transfer restores them. The article states levels that are stable
over a month and gives no drift law: the table has rows for 1, 10 and 30 times the drift and diffusion of the card.
"""

from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from training.hybrid.ageing import TIMES, Shelf
from training.hybrid.task import TASKS
from training.job import Results, Table, metric
from training.plotting import CHIP, FLOAT
from training.tables.case import Case, ChipCase, Measures
from training.tables.configuration import Tables
from training.tables.systems import data_of, make_experiment, task_of, transfer_of

TEMPERATURES = {"25 °C": 298.15, "85 °C": 358.15}
AMPLITUDES = (1.0, 10.0, 30.0)
ENDINGS = {"left": "left alone", "refreshed": "refreshed"}
CAPTION = (
    "Accuracy of the trained chips after a time at rest, mean over seeds: as they are, and after one transfer of the "
    "words. Columns: drift and diffusion in those of the card."
)


class AgeingCase(ChipCase):
    """Chips that are left alone after training."""

    def measure(self, state):
        chips = self.experiment.finish(state)
        shelf = Shelf(self.experiment, self.experiment.data.test)
        aged = {
            _place(temperature, amplitude, ending): [
                shelf.accuracy(
                    chips,
                    seconds,
                    temperature=TEMPERATURES[temperature],
                    amplitude=amplitude,
                    refreshed=ending == "refreshed",
                ).tolist()
                for seconds in TIMES.values()
            ]
            for temperature in TEMPERATURES
            for amplitude in AMPLITUDES
            for ending in ENDINGS
        }
        return {"accuracy": self._accuracy(chips.params), "aged": aged}


def _place(temperature: str, amplitude: float, ending: str) -> str:
    return f"{temperature.split()[0]}C_{amplitude:g}x_{ending}"


def cases(config: Tables) -> list[Case]:
    """One task, on every storage."""
    task = task_of(config, _task_name(config))
    data = data_of(config, task)
    return [
        AgeingCase(storage, task.epochs, partial(make_experiment, config, task, data, transfer_of(config, storage)))
        for storage in _storages(config)
    ]


def _task_name(config: Tables) -> str:
    return (config.tasks or ("mnist-online",))[0]


def _storages(config: Tables) -> tuple[str, ...]:
    return config.storages or ("measured",)


def present(config: Tables, measured: dict[str, Measures], online: dict[str, list[list[float]]]) -> Results:
    """The table of what is done by now."""
    metrics = {"ages": metric(list(TIMES), "1")}
    for name, found in measured.items():
        metrics[f"{name}_accuracy"] = metric(np.mean(found["accuracy"]), "1")
        for place, aged in found["aged"].items():
            metrics[f"{name}_{place}_by_age"] = metric(np.mean(aged, axis=1), "1")
            metrics[f"{name}_{place}_by_age_and_seed"] = metric(aged, "1")
    value = {name: entry["value"] for name, entry in metrics.items()}
    table = ageing_table(value, list(measured))
    return Results(
        title=f"Ten years on a shelf: {TASKS[_task_name(config)].title}",
        metrics=metrics,
        highlights=[(f"{value[f'{name}_accuracy']:.2%}", f"{name}, as trained") for name in measured],
        figures={"tables_ageing": (_figure(value, next(iter(measured))), CAPTION)} if measured else {},
        tables=[table],
        summary=["  ".join(row) for row in table.rows],
    )


def ageing_table(value: dict[str, Any], names: list[str]) -> Table:
    """A row for each temperature and amplitude, left alone and refreshed, from metrics."""
    rows = [
        [name, temperature, f"{amplitude:g}", said]
        + [f"{share:.2%}" for share in value[f"{name}_{_place(temperature, amplitude, ending)}_by_age"]]
        for name in names
        for temperature in TEMPERATURES
        for amplitude in AMPLITUDES
        for ending, said in ENDINGS.items()
    ]
    return Table("Mean over seeds", ["weights", "at", "drift, times the card's", "", *TIMES], rows)


def _figure(value: dict[str, Any], name: str) -> Figure:
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    panels = figure.subplots(1, len(AMPLITUDES), sharey=True)
    times = list(TIMES.values())
    for axes, amplitude in zip(panels, AMPLITUDES, strict=True):
        for temperature, colour in zip(TEMPERATURES, (FLOAT, CHIP), strict=True):
            for ending, style in (("left", "o-"), ("refreshed", "^:")):
                shares = 100 * np.asarray(value[f"{name}_{_place(temperature, amplitude, ending)}_by_age"])
                axes.semilogx(times, shares, style, ms=4, color=colour, label=f"{temperature}, {ENDINGS[ending]}")
        axes.set(title=f"{amplitude:g} times the card", xlabel="time at rest [s]")
    panels[0].set_ylabel("accuracy [%]")
    panels[0].legend(fontsize=8)
    return figure
