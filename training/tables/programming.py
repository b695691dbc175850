"""Single-shot transfers against verified ones: accuracy, energy and wear.

A verified transfer RESETs and SETs a memristor again until a read lies within a tolerance of its level
(`hfsim.hybrid.IterativeTransfer`). Each attempt is a RESET, a pulse of the MSBs onto the line with a
SET, and the MSBs written back; their number is an expectation.
"""

from functools import partial
from typing import Any

from matplotlib.figure import Figure

import hfsim
from hfsim.hybrid import HybridArray, HybridCosts, IterativeTransfer, MeasuredTransfer, OperationPrices, Work
from hfsim.hybrid.energy import MSBS
from training.hybrid.task import TASKS
from training.job import Results, Table, metric
from training.plotting import CHIP, FLOAT
from training.tables.accuracy import accuracy_metrics, with_spread
from training.tables.case import Case, ChipCase, Measures
from training.tables.configuration import CARD, Tables
from training.tables.systems import data_of, make_experiment, task_of, transfer_of

SINGLE, LEVELS = "single", "linear"
CAPTION = (
    "Accuracy (mean over seeds, bars: standard deviation) against the mean number of attempts of a transfer, and the "
    "network's energy from physics."
)


def cases(config: Tables) -> list[Case]:
    """Single shot, every tolerance, and even levels without spread."""
    task = task_of(config, _task_name(config))
    data = data_of(config, task)
    kinds = {SINGLE: transfer_of(config, "measured")}
    kinds |= {_name(tolerance): _iterative(config, tolerance) for tolerance in config.tolerances}
    kinds[LEVELS] = transfer_of(config, "linear")
    make = partial(make_experiment, config, task, data)
    return [ChipCase(name, task.epochs, partial(make, how)) for name, how in kinds.items()]


def _task_name(config: Tables) -> str:
    return (config.tasks or ("mnist-online",))[0]


def _name(tolerance: float) -> str:
    return f"within_{tolerance:g}_uS"


def _iterative(config: Tables, tolerance: float) -> IterativeTransfer:
    return IterativeTransfer(
        single=MeasuredTransfer.from_card(hfsim.load_card(CARD)),
        tolerance=tolerance,
        attempts=config.attempts,
        twin_noise=config.twin_noise,
        clip=config.clip,
    )


def present(config: Tables, measured: dict[str, Measures], online: dict[str, list[list[float]]]) -> Results:
    """The table of what is done by now."""
    attempts = dict.fromkeys(measured, 1.0)
    attempts |= {_name(t): float(_iterative(config, t).statistics().mean) for t in config.tolerances}
    metrics: dict[str, dict[str, Any]] = {}
    for name, found in measured.items():
        metrics |= accuracy_metrics(name, found["accuracy"]) | _costs(name, found, attempts[name])
    value = {name: entry["value"] for name, entry in metrics.items()}
    table = programming_table(value, list(measured))
    return Results(
        title=f"One shot or many: {TASKS[_task_name(config)].title}",
        metrics=metrics,
        highlights=[(f"{value[f'{name}_accuracy']:.2%}", name.replace("_", " ")) for name in measured],
        figures={"tables_programming": (_figure(value, list(measured)), CAPTION)} if measured else {},
        tables=[table],
        summary=["  ".join(row) for row in table.rows],
    )


def _costs(name: str, found: Measures, attempts: float) -> dict[str, dict[str, Any]]:
    card = hfsim.load_card(CARD)
    prices, costs, array = OperationPrices.from_card(card), HybridCosts.from_card(card), HybridArray.from_card(card)
    updates = sum(found["updates"]) / len(found["updates"])
    work = Work.of_training(
        found["sizes"],
        array,
        samples=found["samples"],
        updates=updates,
        transfers=found["transfers"],
        attempts=attempts,
        verified=float(attempts > 1),
    )
    # beyond the first attempt: RESET and SET of the target, MSBs pulsed and written back
    again = (attempts - 1) * work.synapses * work.transfers
    memristor = sum(found["memristor_operations"]) / len(found["memristor_operations"]) + 2 * again
    fecap = sum(found["fecap_operations"]) / len(found["fecap_operations"]) + 2 * MSBS * again
    cycles = attempts * found["transfers"]  # a RESET and a SET each
    return {
        f"{name}_attempts": metric(attempts, "1"),
        f"{name}_memristor_cycles": metric(cycles, "1"),
        f"{name}_memristor_endurance_margin": metric(prices.memristor_endurance / cycles, "1"),
        f"{name}_network_energy_nJ": metric(prices.energy(fecap, memristor), "nJ"),
        f"{name}_physical_energy_nJ": metric(costs.energies(work).total, "nJ"),
    }


def programming_table(value: dict[str, Any], names: list[str]) -> Table:
    """A row for each way to program, from metrics."""
    rows = [
        [
            name.replace("_", " "),
            with_spread(value[f"{name}_accuracy"], value[f"{name}_accuracy_sd"]),
            f"{value[f'{name}_attempts']:.2f}",
            f"{value[f'{name}_memristor_cycles']:,.0f}",
            f"{value[f'{name}_memristor_endurance_margin']:.3g}",
            f"{value[f'{name}_network_energy_nJ'] / 1e6:.3g}",
            f"{value[f'{name}_physical_energy_nJ'] / 1e6:.4g}",
        ]
        for name in names
    ]
    head = ["programming", "accuracy", "attempts", "cycles of a memristor", "endurance margin"]
    return Table("Means over seeds; whole training", [*head, "flat prices, mJ", "from physics, mJ"], rows)


def _figure(value: dict[str, Any], names: list[str]) -> Figure:
    figure = Figure(figsize=(8.0, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in names:
        at, colour = value[f"{name}_attempts"], FLOAT if name == LEVELS else CHIP
        spread = 100 * (value[f"{name}_accuracy_sd"] or 0.0)
        left.errorbar(at, 100 * value[f"{name}_accuracy"], spread, fmt="o", color=colour, capsize=2)
        left.annotate(
            name.replace("_", " "), (at, 100 * value[f"{name}_accuracy"]), (6, -12), textcoords="offset points"
        )
        right.plot(at, value[f"{name}_physical_energy_nJ"] / 1e6, "o", color=colour)
    left.set(xlabel="attempts of a transfer, mean", ylabel="accuracy [%]")
    left.margins(x=0.4)  # room for the last name
    left.set_xlim(left=0.0)
    right.set(xlabel="attempts of a transfer, mean", ylabel="all synapses, from physics [mJ]")
    return figure
