"""Physics in place of the measured table: levels of the circuit, words read with the errors of their cells.

Accuracy at the card's values, and against spread, temperature, wear and a stated memory window, one at a time. Spread,
temperature and wear act on the levels of a transfer and on every destructive read; a window on reads alone.
"""

import dataclasses
from functools import partial
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import hfsim
from hfsim.cards import Card
from hfsim.circuits import SenseAmplifier
from hfsim.devices.ferroelectric import Fatigue
from hfsim.draws import stream
from hfsim.errors import InputError
from hfsim.hybrid import CELLS, AbstractTransfer, CircuitCells, CircuitTransfer, Sensing, WindowCells, transfer_line
from hfsim.hybrid.sensing import bit_errors
from training.hybrid.task import TASKS
from training.job import Results, Table, metric
from training.plotting import CHIP
from training.tables.accuracy import accuracy_metrics, with_spread
from training.tables.case import Case, ChipCase, Measures
from training.tables.configuration import CARD, Tables
from training.tables.systems import data_of, make_experiment, task_of

SYNAPSES = 20_000
"""Whose cells say how often a read errs: 280,000 of them."""
ARRAY = 16_384
"""Cells whose worst window the article states."""
DOUBT = 1e-3
"""A bit errs if more of its reads than this do."""
STATE_SPREAD = 42.7
"""Of either state in the sweep of windows [mV]: independent states then make a worst window of 120 mV of 360 mV."""
CAPTION = (
    "Accuracy (mean over seeds, bars: standard deviation) with levels and reads from physics, against the spread of "
    "P_r, temperature, wear, and a stated memory window."
)
SWEEPS = {
    "spread": "relative spread of P_r",
    "temperature": "temperature [K]",
    "cycles": "cycles before",
    "window": "median memory window [mV]",
}
_STARVED, _SATURATED = "levels_starvation", "levels_saturation"


@dataclasses.dataclass(frozen=True)
class Condition:
    """What differs from the card; a None is left as it is there."""

    said: str
    mechanism: str = "saturation"
    sensed: bool = True
    spread: float | None = None
    temperature: float = 300.0
    cycles: float = 0.0
    window: float | None = None

    def transfer(self, card: Card, **options: Any) -> AbstractTransfer:
        """Levels of the circuit."""
        line = transfer_line(card, self.mechanism)
        own = _solve(line, jnp.asarray(300.0)).own_spread  # of the memristors, which no condition changes
        spread = line.capacitor.P_r_spread if self.spread is None else jnp.asarray(self.spread)
        worn = (line.capacitor.P_r * card.build(Fatigue, "fatigue").remaining(self.cycles), spread)
        line = eqx.tree_at(lambda x: (x.capacitor.P_r, x.capacitor.P_r_spread), line, worn)
        return _solve(line, jnp.asarray(self.temperature), own_spread=own, **options)

    def sensing(self, card: Card) -> Sensing | None:
        """Reads of the circuit, or of a stated window."""
        if not self.sensed:
            return None
        amplifier = card.build(SenseAmplifier, "sense_amplifier")
        if self.window is None:
            cells = CircuitCells.from_card(
                card, P_r_spread=self.spread, cycles=self.cycles, temperature=self.temperature
            )
            return Sensing(cells, amplifier)
        return Sensing(WindowCells(window=self.window, sigma=STATE_SPREAD, V_mid=amplifier.V_ref), amplifier)


@eqx.filter_jit
def _solve(line, temperature, **options) -> CircuitTransfer:
    """One program for all conditions."""
    return CircuitTransfer.from_line(line, temperature=temperature, **options)


def conditions(config: Tables) -> dict[str, Condition]:
    """The rows by their names.

    Raises:
        InputError: --conditions names one that is not there.
    """
    found = {
        _SATURATED: Condition("circuit (saturation), reads without errors", sensed=False),
        _STARVED: Condition("circuit (starvation), reads without errors", mechanism="starvation", sensed=False),
        "sensed": Condition("circuit, destructive reads"),
    }
    found |= {f"spread_{x:g}": Condition(f"spread of P_r {x:.1%}", spread=x) for x in config.spreads}
    found |= {f"temperature_{x:g}": Condition(f"at {x:g} K", temperature=x) for x in config.temperatures}
    found |= {f"cycles_{x:g}": Condition(f"after {x:g} cycles", cycles=x) for x in config.cycles}
    found |= {f"window_{x:g}": Condition(f"window {x:g} mV", window=x) for x in config.windows}
    unknown = set(config.conditions) - set(found)
    if unknown:
        raise InputError("--conditions", f"be some of {', '.join(found)}", " ".join(sorted(unknown)))
    return {name: found[name] for name in config.conditions or found}


class CircuitCase(ChipCase):
    """Chips of one condition."""

    def measure(self, state):
        return super().measure(state) | self._errors()

    def _errors(self) -> Measures:
        """How well a chip's cells read."""
        sensing = self.experiment.memory.sensing
        if sensing is None:
            return {}

        names = ("bit_error_rate", "words_with_errors", "window", "worst_window", "neglected")
        return dict(zip(names, map(float, _read(sensing, self.experiment.keys[0])), strict=True))


@eqx.filter_jit
def _read(sensing: Sensing, key) -> tuple[Any, ...]:
    """Bit error rate, words with a bit that errs, median and worst window [V], neglected doubt."""
    errors = sensing.cell_errors((SYNAPSES,), key)
    bits = bit_errors(errors)
    wrong = jnp.any(jnp.maximum(bits.miss, bits.false) > DOUBT, axis=-1)
    number = SYNAPSES * CELLS // ARRAY * ARRAY
    charges = sensing.cells.charges((number,), stream(key, "windows"))
    windows = sensing.cells.voltages(charges, stream(key, "windows")).windows
    worst = jnp.mean(jnp.min(windows.reshape(-1, ARRAY), axis=1))
    return errors.rate, jnp.mean(wrong), jnp.median(windows), worst, sensing.fabricate((SYNAPSES,), key).neglected


def cases(config: Tables) -> list[Case]:
    """One task under every condition."""
    task = task_of(config, _task_name(config))
    data, card = data_of(config, task), hfsim.load_card(CARD)

    def make(condition: Condition):
        how = condition.transfer(card, twin_noise=config.twin_noise, clip=config.clip)
        return make_experiment(config, task, data, how, sensing=condition.sensing(card))

    return [CircuitCase(name, task.epochs, partial(make, found)) for name, found in conditions(config).items()]


def _task_name(config: Tables) -> str:
    return (config.tasks or ("mnist-online",))[0]


def present(config: Tables, measured: dict[str, Measures], online: dict[str, list[list[float]]]) -> Results:
    """The table of what is done by now."""
    metrics, rows = {}, conditions(config)
    for name, found in measured.items():
        metrics |= accuracy_metrics(name, found["accuracy"])
        if rows[name].sensed:
            metrics[f"{name}_bit_error_rate"] = metric(found["bit_error_rate"], "1")
            metrics[f"{name}_words_with_errors"] = metric(found["words_with_errors"], "1")
            metrics[f"{name}_window_mV"] = metric(1e3 * found["window"], "mV")
            metrics[f"{name}_worst_window_mV"] = metric(1e3 * found["worst_window"], "mV")
            metrics[f"{name}_neglected"] = metric(found["neglected"], "1")
    value = {name: entry["value"] for name, entry in metrics.items()}
    table = circuit_table(value, {name: rows[name].said for name in measured})
    swept = _swept(rows, measured)
    return Results(
        title=f"Physics in place of the measured table: {TASKS[_task_name(config)].title}",
        metrics=metrics,
        highlights=[(f"{value[f'{name}_accuracy']:.2%}", rows[name].said) for name in list(measured)[:3]],
        figures={"tables_circuit": (_figure(value, swept), CAPTION)} if swept else {},
        tables=[table],
        summary=["  ".join(row) for row in table.rows],
    )


def circuit_table(value: dict[str, Any], said: dict[str, str]) -> Table:
    """A row for each condition, from metrics."""
    rows = []
    for name, text in said.items():
        row = [text, with_spread(value[f"{name}_accuracy"], value[f"{name}_accuracy_sd"])]
        if f"{name}_bit_error_rate" not in value:
            rows.append([*row, "–", "–", "–"])
            continue
        window = f"{value[f'{name}_window_mV']:.0f} ({value[f'{name}_worst_window_mV']:.0f})"
        rate, wrong = value[f"{name}_bit_error_rate"], value[f"{name}_words_with_errors"]
        seen = f"{rate:.1e}" if rate * SYNAPSES * CELLS > 1 else f"none in {SYNAPSES * CELLS:,}"
        rows.append([*row, window, seen, f"{wrong:.2%}"])
    head = ["", "accuracy", f"window, median (worst of {ARRAY:,} cells), mV", "bit error rate of a cell"]
    head.append(f"words with a bit that errs in over {DOUBT:.1%} of its reads")
    return Table("Mean and standard deviation over seeds", head, rows)


def _swept(rows: dict[str, Condition], measured: dict[str, Measures]) -> dict[str, list[tuple[float, str]]]:
    """Value and name of each case that is done, by what is swept."""
    found = {kind: [(getattr(rows[n], kind), n) for n in measured if n.startswith(f"{kind}_")] for kind in SWEEPS}
    return {kind: points for kind, points in found.items() if points}


def _figure(value: dict[str, Any], swept: dict[str, list[tuple[float, str]]]) -> Figure:
    figure = Figure(figsize=(2.6 * len(swept) + 0.6, 3.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(swept), sharey=True))
    for axes, (kind, points) in zip(panels, swept.items(), strict=True):
        at, names = zip(*sorted(points), strict=True)
        mean = [100 * value[f"{name}_accuracy"] for name in names]
        spread = [100 * (value[f"{name}_accuracy_sd"] or 0.0) for name in names]
        axes.errorbar(at, mean, spread, fmt="o-", color=CHIP, capsize=2)
        if kind == "cycles":
            axes.set_xscale("log")
        axes.set_xlabel(SWEEPS[kind])
    panels[0].set_ylabel("accuracy [%]")
    return figure
