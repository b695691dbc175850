"""The job itself: both networks from epoch to epoch, and what is shown of them."""

from typing import Any

import numpy as np

from training.hybrid.ageing import TIMES
from training.job import Job, Results
from training.onchip.configuration import OnChip
from training.onchip.evaluation import AMPLITUDES
from training.onchip.experiment import make_experiment
from training.onchip.figures import draw
from training.onchip.results import Measured, measure


class OnChipJob(Job):
    """A network on the chip and the same one in floating point; a step is an epoch of both."""

    template = "onchip/report.html.j2"

    def __init__(self, config: OnChip):
        self.config = config
        self.total = config.epochs
        self.experiment = make_experiment(config)
        hybrid = config.memory == "hybrid"
        self.chips = self.experiment.start() if hybrid else None
        self.params = self.experiment.initial_params()
        self.curves: dict[str, list[list[float]]] = {
            name: [] for name in (("chip", "chip_online") if hybrid else ()) + ("float", "float_online")
        }

    def step(self) -> None:
        if self.chips is not None:
            self.chips, online = self.experiment.train(self.chips, self.steps)
            self._append("chip", self.chips.params, online)
        self.params, online = self.experiment.train_float(self.params, self.steps)
        self._append("float", self.params, online)

    def _append(self, name: str, params: Any, online: Any) -> None:
        self.curves[name].append(np.asarray(self.experiment.accuracy(params, self.experiment.data.validation)).tolist())
        self.curves[f"{name}_online"].append(np.asarray(online).tolist())

    def headline(self) -> str:
        """Validation accuracy now, mean over chips."""
        return ", ".join(
            f"{name} {np.mean(self.curves[name][-1]):.1%}" for name in ("chip", "float") if self.curves.get(name)
        )

    def arrays(self) -> Any:
        return {"chips": self.chips, "params": self.params}

    def restore(self, arrays: Any) -> None:
        self.chips, self.params = arrays["chips"], arrays["params"]

    def record(self) -> dict[str, Any]:
        return {"curves": self.curves}

    def restore_record(self, record: dict[str, Any]) -> None:
        self.curves = record["curves"]

    def finish(self) -> Results:
        measured = measure(self.config, self.experiment, self.chips, self.params, self.curves)
        chip = measured.chip is not None
        return Results(
            title="A hybrid FeCAP/memristor chip that learned digits" if chip else "The network in floating point",
            metrics=measured.metrics,
            highlights=_highlights(measured, self.config.chips),
            figures=draw(measured, self.config),
            summary=_summary(measured),
            context={"chip": measured.chip, "times": list(TIMES), "amplitudes": AMPLITUDES},
        )


def _highlights(measured: Measured, chips: int) -> list[tuple[str, str]]:
    value = {name: metric["value"] for name, metric in measured.metrics.items()}
    floating = (f"{value['float_test_accuracy']:.2%}", "the same network in floating point")
    if measured.chip is None:
        return [floating]
    spread = f", mean of {chips} chips, spread {value['test_accuracy_sd']:.2%}" if chips > 1 else ""
    return [
        (f"{value['test_accuracy']:.2%}", f"test accuracy on the chip{spread}"),
        floating,
        (f"{value['accuracy_after_10_years']:.2%}", "after ten years at rest, untouched"),
        (f"{value['worst_cell_energy_nJ']:.3g} nJ", "worst FeCAP and memristor, whole training"),
        (f"{value['network_energy_nJ'] / 1e6:.3g} mJ", f"all {value['synapses']:,} synapses, whole training"),
    ]


def _summary(measured: Measured) -> list[str]:
    value = {name: metric["value"] for name, metric in measured.metrics.items()}
    first = f"test accuracy            {value['test_accuracy']:.2%}"
    if measured.chip is None:
        return [first]
    return [
        f"{first}   floating point {value['float_test_accuracy']:.2%}",
        f"after ten years at rest  {value['accuracy_after_10_years']:.2%}",
        f"energy                   worst cell {value['worst_cell_energy_nJ']:.3g} nJ, "
        f"network {value['network_energy_nJ'] / 1e6:.3g} mJ",
    ]
