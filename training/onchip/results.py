"""The numbers of a trained chip, each with its unit."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from hfsim.hybrid import (
    CODES,
    MECHANISMS,
    CellCost,
    HybridArray,
    NetworkCount,
    OperationPrices,
    cell_cost,
    count_network,
    published_rule,
    transfer_line,
    truncate,
)
from training.hybrid.ageing import TIMES
from training.hybrid.experiment import Experiment
from training.hybrid.loop import Chip
from training.job import metric
from training.onchip.configuration import OnChip
from training.onchip.evaluation import AMPLITUDES, Levels, ageing, confusion, measure_levels


class ChipResults(NamedTuple):
    """What only a chip has: levels, weights, ageing, counts."""

    levels: Levels
    hidden: Float[np.ndarray, " weights"]
    analogue: Float[np.ndarray, " weights"]
    ageing: Float[np.ndarray, "amplitudes times chips"]
    updates: Int[np.ndarray, " weights"]
    counts: list[NetworkCount]
    network_energy_nJ: list[float]
    worst: CellCost
    published: CellCost
    arrays: int
    devices: int
    worst_location: tuple[int, int, int]


class Measured(NamedTuple):
    """Everything that the report shows and metrics.json holds."""

    metrics: dict[str, dict[str, Any]]
    curves: dict[str, list[list[float]]]
    confusion: Int[np.ndarray, "classes classes"]
    chip: ChipResults | None


def measure(
    config: OnChip, experiment: Experiment, chips: Chip | None, params: Any, curves: dict[str, list[list[float]]]
) -> Measured:
    """Test the trained networks, on the chips and in floating point, and count what was done."""
    test, graph = experiment.data.test, experiment.graph
    floating = np.asarray(experiment.accuracy(params, test))
    metrics = {
        "epochs": metric(len(curves["float"]), "1"),
        **{f"{name}_accuracy_by_epoch": metric(np.mean(c, axis=1), "1") for name, c in curves.items()},
        "float_test_accuracy": metric(floating.mean(), "1"),
        "float_test_accuracy_per_chip": metric(floating, "1"),
    }
    if chips is None:
        metrics["test_accuracy"] = metrics["float_test_accuracy"]
        return Measured(metrics, curves, confusion(graph, params, test, experiment.data.classes), None)
    chips = experiment.finish(chips)
    tested = np.asarray(experiment.accuracy(chips.params, test))
    chip = _measure_chips(experiment, chips)
    metrics |= {
        "test_accuracy": metric(tested.mean(), "1"),
        "test_accuracy_per_chip": metric(tested, "1"),
        "test_accuracy_sd": metric(tested.std(ddof=1) if len(tested) > 1 else float("nan"), "1"),
    }
    metrics |= _chip_metrics(chip)
    if config.transfer == "circuit":
        metrics |= _circuit_metrics(experiment)
    metrics["samples"] = metric(int(np.asarray(chips.memory.samples).flat[0]), "1")
    counted = confusion(graph, chips.params, test, experiment.data.classes)
    metrics["confusion"] = metric(counted, "1")
    return Measured(metrics, curves, counted, chip)


def _circuit_metrics(experiment: Experiment) -> dict[str, dict[str, Any]]:
    """Nominal levels and line voltages of both fitted mechanisms, side by side."""
    metrics = {}
    for mechanism in MECHANISMS:
        line = transfer_line(experiment.card, mechanism)
        metrics[f"{mechanism}_level_uS"] = metric(line.levels(), "uS")
        metrics[f"{mechanism}_line_voltage_V"] = metric(line.line_voltages(), "V")
    return metrics


def _measure_chips(experiment: Experiment, chips) -> ChipResults:
    prices, array = OperationPrices.from_card(experiment.card), HybridArray.from_card(experiment.card)
    per_chip = [
        [np.asarray(weight.updates)[index] for weight in chips.memory.weights] for index in range(len(experiment.keys))
    ]
    transfers = int(np.asarray(chips.memory.transfers).flat[0])
    counts = [count_network(updates, transfers) for updates in per_chip]
    worst = max(counts, key=lambda c: c.worst_fecap_operations)
    in_order = np.concatenate([updates.ravel() for updates in per_chip[counts.index(worst)]])
    samples = int(np.asarray(chips.memory.samples).flat[0])
    words = [np.asarray(weight.words) for weight in chips.memory.weights]
    to_levels = CODES * float(experiment.memory.transfer.weight_per_uS)
    analogue = [
        to_levels * np.asarray(weight.plus.programmed - weight.minus.programmed) for weight in chips.memory.weights
    ]
    return ChipResults(
        levels=measure_levels(experiment.memory, experiment.keys, chips),
        hidden=np.concatenate([w.ravel() for w in words]),
        analogue=np.concatenate([a.ravel() for a in analogue]),
        ageing=ageing(experiment, chips),
        updates=np.concatenate([u.ravel() for updates in per_chip for u in updates]),
        counts=counts,
        network_energy_nJ=[
            float(prices.energy(float(c.fecap_operations), float(c.memristor_operations))) for c in counts
        ],
        worst=cell_cost(prices, worst.worst_fecap_operations, worst.worst_memristor_operations),
        published=published_rule(
            prices,
            samples=samples,
            probability=float(experiment.memory.probability),
            period=experiment.memory.period,
        ),
        arrays=array.arrays_for(counts[0].synapses),
        devices=array.arrays_for(counts[0].synapses) * array.devices,
        worst_location=array.location(int(in_order.argmax())),
    )


def _chip_metrics(chip: ChipResults) -> dict[str, dict[str, Any]]:
    card_amplitude = AMPLITUDES.index(1.0)
    aged = chip.ageing.mean(axis=-1)
    metrics = {
        f"accuracy_after_{name.replace(' ', '_')}": metric(aged[card_amplitude, index], "1")
        for index, name in enumerate(TIMES)
    }
    metrics["accuracy_after_1_second"] = metrics.pop("accuracy_after_1_s")
    metrics["accuracy_after_1_hour"] = metrics.pop("accuracy_after_1_h")
    metrics["ageing_amplitudes"] = metric(list(AMPLITUDES), "1")
    metrics["ageing_times"] = metric(list(TIMES.values()), "s")
    metrics["ageing_accuracy"] = metric(aged, "1")
    metrics["level_mean_uS"] = metric(chip.levels.mean, "uS")
    metrics["level_sigma_uS"] = metric(chip.levels.sigma, "uS")
    metrics["weight_correlation"] = metric(np.corrcoef(truncate(chip.hidden), chip.analogue)[0, 1], "1")
    metrics["synapses"] = metric(chip.counts[0].synapses, "1")
    metrics["arrays"] = metric(chip.arrays, "1")
    metrics["devices"] = metric(chip.devices, "1")
    metrics["transfers"] = metric(chip.counts[0].transfers, "1")
    metrics["updates_per_weight_mean"] = metric(chip.updates.mean(), "1")
    metrics["worst_cell_array_line_synapse"] = metric(list(chip.worst_location), "1")
    metrics["worst_updates"] = metric(max(c.worst_updates for c in chip.counts), "1")
    for prefix, cost in (("worst_cell", chip.worst), ("published_worst_cell", chip.published)):
        metrics[f"{prefix}_fecap_operations"] = metric(cost.fecap_operations, "1")
        metrics[f"{prefix}_memristor_operations"] = metric(cost.memristor_operations, "1")
        metrics[f"{prefix}_energy_nJ"] = metric(cost.energy_nJ, "nJ")
        metrics[f"{prefix}_fecap_endurance_margin"] = metric(cost.fecap_margin, "1")
        metrics[f"{prefix}_memristor_endurance_margin"] = metric(cost.memristor_margin, "1")
    # counts stay integers: the largest of any device of any chip
    metrics["worst_cell_fecap_operations"] = metric(max(c.worst_fecap_operations for c in chip.counts), "1")
    metrics["worst_cell_memristor_operations"] = metric(max(c.worst_memristor_operations for c in chip.counts), "1")
    metrics["network_fecap_operations"] = metric(np.mean([c.fecap_operations for c in chip.counts]), "1")
    metrics["network_memristor_operations"] = metric(np.mean([c.memristor_operations for c in chip.counts]), "1")
    metrics["network_energy_nJ"] = metric(np.mean(chip.network_energy_nJ), "nJ")
    return metrics
