"""Accuracy, operations and energy against k, the number of samples from one transfer to the next.

The article: accuracy is flat up to k = 100 (96.7 %) and falls beyond; from k = 1 to 100 the energy of the worst FeCAP
and memristor falls 38 times. Martemucci et al., Nature Electronics 8, 921 (2025).
"""

import dataclasses
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import hfsim
from hfsim.hybrid import CellCost, HybridArray, HybridCosts, OperationPrices, Work, cell_cost, published_rule
from hfsim.units import NANOSECONDS
from training.hybrid.task import TASKS
from training.job import Results, Table, metric
from training.plotting import CHIP, FLOAT, GREY
from training.tables.accuracy import SAID, accuracy_metrics, with_spread
from training.tables.case import Case, Measures
from training.tables.configuration import CARD, Tables
from training.tables.systems import data_of, make_case, task_of

FLAT = 100
"""Up to here the article's accuracy is flat; its energies are compared with those of a transfer at every sample."""
CAPTION = (
    "Accuracy against the samples from one transfer to the next, and the energy of one worst-case FeCAP and memristor "
    "over the whole training: by the article's rule, and as counted."
)


def cases(config: Tables) -> list[Case]:
    """Every period, on every storage."""
    data = data_of(config, _task(config))
    return [
        make_case(config, _name(storage, period), dataclasses.replace(_task(config), period=period), data, storage)
        for storage in _storages(config)
        for period in config.periods
    ]


def _task(config: Tables):
    return task_of(config, _task_name(config))


def _task_name(config: Tables) -> str:
    return (config.tasks or ("mnist-online",))[0]


def _storages(config: Tables) -> tuple[str, ...]:
    return config.storages or ("linear",)


def _name(storage: str, period: int) -> str:
    return f"{storage}_k{period}"


def present(config: Tables, measured: dict[str, Measures], online: dict[str, list[list[float]]]) -> Results:
    """The table of what is done by now."""
    card = hfsim.load_card(CARD)
    prices, costs, array = OperationPrices.from_card(card), HybridCosts.from_card(card), HybridArray.from_card(card)
    metrics = {}
    for storage in _storages(config):
        for period in config.periods:
            name = _name(storage, period)
            if name in measured:
                metrics |= accuracy_metrics(name, measured[name]["accuracy"])
                metrics |= _costs(config, prices, name, period, measured[name])
                metrics |= _from_physics(costs, array, name, measured[name])
    value = {name: entry["value"] for name, entry in metrics.items()}
    done = done_cases(value)
    table = period_table(value, done)
    return Results(
        title=f"When to transfer: {TASKS[_task_name(config)].title}",
        metrics=metrics,
        highlights=[(f"{value[f'{_name(s, k)}_accuracy']:.2%}", f"a transfer every {k} samples") for s, k in done[:5]],
        figures={"tables_period": (_figure(value, done), CAPTION)} if done else {},
        tables=[table, totals_table(value, done, _task(config).epochs)],
        summary=["  ".join(row) for row in table.rows],
    )


def _costs(
    config: Tables, prices: OperationPrices, name: str, period: int, found: Measures
) -> dict[str, dict[str, Any]]:
    rule = published_rule(prices, samples=found["samples"], probability=_task(config).probability, period=period)
    worst = int(np.argmax(found["worst_fecap_operations"]))
    counted = cell_cost(prices, found["worst_fecap_operations"][worst], found["worst_memristor_operations"][worst])
    network = [
        float(prices.energy(float(fecap), float(memristor)))
        for fecap, memristor in zip(found["fecap_operations"], found["memristor_operations"], strict=True)
    ]
    return {
        f"{name}_samples": metric(found["samples"], "1"),
        f"{name}_transfers": metric(found["transfers"], "1"),
        **_cell_metrics(f"{name}_rule", rule),
        **_cell_metrics(f"{name}_counted", counted),
        f"{name}_network_energy_nJ": metric(np.mean(network), "nJ"),
    }


def _from_physics(costs: HybridCosts, array: HybridArray, name: str, found: Measures) -> dict[str, dict[str, Any]]:
    """Energy and time of the whole network by what its drivers deliver, mean over seeds."""
    done = {"samples": found["samples"], "updates": float(np.mean(found["updates"])), "transfers": found["transfers"]}
    work = Work.of_training(found["sizes"], array, **done)
    return {
        f"{name}_physical_energy_nJ": metric(costs.energies(work).total, "nJ"),
        f"{name}_training_time_s": metric(costs.time(work) / NANOSECONDS, "s"),
    }


def _cell_metrics(name: str, cost: CellCost) -> dict[str, dict[str, Any]]:
    return {
        f"{name}_fecap_operations": metric(cost.fecap_operations, "1"),
        f"{name}_memristor_operations": metric(cost.memristor_operations, "1"),
        f"{name}_energy_nJ": metric(cost.energy_nJ, "nJ"),
        f"{name}_fecap_endurance_margin": metric(cost.fecap_margin, "1"),
        f"{name}_memristor_endurance_margin": metric(cost.memristor_margin, "1"),
    }


def done_cases(value: dict[str, Any]) -> list[tuple[str, int]]:
    """Storage and period of each case that metrics hold, in their order."""
    names = [name.removesuffix("_transfers") for name in value if name.endswith("_transfers")]
    return [(storage, int(period)) for storage, period in (name.rsplit("_k", 1) for name in names)]


def period_table(value: dict[str, Any], done: list[tuple[str, int]]) -> Table:
    """A row for each period, from metrics."""
    rows = []
    for storage, period in done:
        name = _name(storage, period)
        rule, counted = (
            [f"{value[f'{name}_{kind}_{end}']:,.0f}" for end in ("fecap_operations", "memristor_operations")]
            + [f"{value[f'{name}_{kind}_energy_nJ']:,.1f}"]
            for kind in ("rule", "counted")
        )
        accuracy = with_spread(value[f"{name}_accuracy"], value[f"{name}_accuracy_sd"])
        network = [f"{value[f'{name}_{kind}_energy_nJ'] / 1e6:.3g}" for kind in ("network", "physical")]
        spent = f"{value[f'{name}_training_time_s']:.3g}"
        rows.append([SAID[storage], str(period), accuracy, *rule, *counted, *network, spent])
    head = ["weights", "k", "accuracy", "FeCAP operations by the rule", "memristor operations", "nJ"]
    head += ["FeCAP operations of the worst cell, counted", "memristor operations", "nJ"]
    head += ["all synapses, flat prices, mJ", "from physics, mJ", "time of the chip, s"]
    return Table("Mean and standard deviation over seeds; nJ are of one FeCAP and one memristor", head, rows)


def totals_table(value: dict[str, Any], done: list[tuple[str, int]], epochs: int) -> Table:
    """What a sample, an epoch and the training cost the whole network, from metrics."""
    rows = []
    for storage, period in done:
        name = _name(storage, period)
        samples, energy = value[f"{name}_samples"], value[f"{name}_physical_energy_nJ"]
        flat, spent = value[f"{name}_network_energy_nJ"], value[f"{name}_training_time_s"]
        row = [SAID[storage], str(period), f"{flat / samples:,.0f}", f"{energy / samples:,.0f}"]
        rows.append([*row, f"{1e6 * spent / samples:,.1f}", f"{energy / epochs / 1e6:.3g}", f"{spent / epochs:.3g}"])
    head = ["weights", "k", "nJ a sample, flat prices", "nJ a sample, from physics", "us a sample"]
    return Table("The whole network", [*head, "mJ an epoch, from physics", "s an epoch"], rows)


def _figure(value: dict[str, Any], done: list[tuple[str, int]]) -> Figure:
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for storage, colour in zip(dict.fromkeys(s for s, _ in done), (CHIP, FLOAT, GREY), strict=False):
        periods = [k for s, k in done if s == storage]
        names = [_name(storage, k) for k in periods]
        mean = [100 * value[f"{name}_accuracy"] for name in names]
        spread = [100 * (value[f"{name}_accuracy_sd"] or 0.0) for name in names]
        left.errorbar(periods, mean, spread, fmt="o-", color=colour, capsize=2, label=SAID[storage])
        for kind, style in (("rule", "-"), ("counted", "o")):
            energies = [value[f"{name}_{kind}_energy_nJ"] for name in names]
            right.plot(periods, energies, style, color=colour, label=f"{kind}, {SAID[storage]}")
    for axes, label in ((left, "test accuracy [%]"), (right, "one FeCAP and memristor [nJ]")):
        axes.set(xscale="log", xlabel="samples from one transfer to the next, k", ylabel=label)
        axes.legend(fontsize=8)
    right.set_yscale("log")
    return figure
