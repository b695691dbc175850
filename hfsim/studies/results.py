"""What a Monte-Carlo study found: its dataset, its statistics, and any chip again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from hfsim.display import Tabular
from hfsim.errors import InputError
from hfsim.io.store import CHIP, COMPUTED, Coordinate, Variable, open_study, study_identity
from hfsim.studies.batches import Program
from hfsim.studies.intervals import CONFIDENCE, Interval
from hfsim.studies.labels import element_labels, places
from hfsim.studies.statistics import KEPT, OutputSummary, Summary, empty_summary

ROWS = 12
"""Elements of one output that a table shows."""
QUANTILES = (0.05, 0.5, 0.95)
"""That a table shows."""


class MonteCarlo(Tabular):
    """A finished study, or what is there of one.

    Args:
        dataset: outputs by name, along `chip` and their own dimensions, with units and provenance as attributes.
        summary: statistics of the same chips.
        program: computes any chip again; None where a store was read without its experiment.
    """

    def __init__(self, dataset: Any, summary: Summary, program: Program | None = None):
        self.dataset, self.summary, self._program = dataset, summary, program

    @property
    def chips(self) -> int:
        """Chips that the statistics are of."""
        return self.summary.chips

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(self.summary.outputs)

    def unit(self, output: str) -> str:
        """Unit of an output or a dimension; "" where it was not stated."""
        return self.dataset[output].attrs.get("units", "")

    def mean(self, output: str, confidence: float = CONFIDENCE) -> Interval:
        """The mean with its interval (Student's t); of an output that is true or false see `probability`."""
        return self._of(output).mean(confidence)

    def deviation(self, output: str, confidence: float = CONFIDENCE) -> Interval:
        """The standard deviation with its interval (normal, by the fourth moment)."""
        return self._of(output).deviation(confidence)

    def quantile(self, output: str, p: float, confidence: float = CONFIDENCE) -> Interval:
        """The p-quantile between order statistics; an end is infinite where the chips are too few for it."""
        return self._of(output).quantile(p, confidence)

    def probability(self, output: str, confidence: float = CONFIDENCE) -> Interval:
        """Share of the chips of which an output is true, such as a yield, with its exact interval (Clopper-Pearson).

        Raises:
            InputError: the output is not true or false.
        """
        if not self._of(output).logical:
            must = "be true or false for a probability"
            raise InputError("output", must, f"{output}, which is a number", "return `error < 0.1` as well")
        return self._of(output).mean(confidence)

    def worst(
        self, output: str, count: int = 10, *, largest: bool = True, at: Mapping[str, Any] | None = None
    ) -> Int[np.ndarray, " chips"]:
        """Numbers of the chips with the largest values, or the least ones, the worst first.

        Args:
            output: name.
            count: chips, at most 16.
            largest: whether large values are bad; False for a yield.
            at: one label for each dimension of the output.

        Raises:
            InputError: more chips than are kept, or an element that is not named.
        """
        if not 1 <= count <= KEPT:
            remedy = f"sort `study.dataset[{output!r}]` for more"
            raise InputError("count", f"be an integer from 1 to {KEPT}", count, remedy)
        found, variable = self._of(output), self._variable(output)
        if len(at or {}) != len(variable.dims):
            raise InputError("at", f"name a label of each of {', '.join(variable.dims)}", at)
        element = np.arange(int(np.prod(variable.shape))).reshape(variable.shape)[self.places(output, at or {})]
        return found.extremes.chips_of(int(element), largest)[:count]

    def unsound(self, output: str) -> Int[np.ndarray, " chips"]:
        """Numbers of the chips with a value that is not finite, which no statistic holds."""
        return self._of(output).unsound

    def replay(self, chip: int) -> Any:
        """What the experiment returns for one chip, the same to the bit as in the dataset.

        Raises:
            InputError: no such chip, or a store that was read without its experiment.
        """
        return self._with_program(chip).chip(int(chip))

    def devices(self, chip: int) -> Any:
        """The devices of one chip."""
        return self._with_program(chip).devices_of(int(chip))

    def labels(self, output: str) -> list[str]:
        """What tells the elements of an output apart, in brackets."""
        return element_labels(self._variable(output), self._coordinates())

    def places(self, output: str, at: Mapping[str, Any]) -> tuple[Any, ...]:
        """Index of the elements of an output, in arrays of its shape, at labels of its dimensions."""
        return places(at, self._variable(output), self._coordinates())

    def plot(self, output: str | None = None, *, at: Mapping[str, Any] | None = None, axes: Any = None) -> Any:
        """One output: a histogram, or its mean and its middle 90 % along its dimension.

        Args:
            output: name; the first one without.
            at: labels of dimensions that are not to be drawn.
            axes: matplotlib axes to draw in; None makes a figure.

        Returns:
            Matplotlib axes.
        """
        from hfsim.plot import spread_of_chips  # matplotlib is needed here alone

        return spread_of_chips(self, output or self.outputs[0], at or {}, axes)

    def table(self) -> list[list[str]]:
        """Rows of texts: head, then each element of each output."""
        head = [
            "output",
            "unit",
            "mean or share",
            "",
            "deviation",
            *(f"{p:.0%}" for p in QUANTILES),
            "least",
            "largest",
        ]
        rows = [head]
        for name, output in self.summary.outputs.items():
            labels = self.labels(name)
            rows += self._rows(name, output, labels[:ROWS])
            if len(labels) > ROWS:
                rows.append([f"... {len(labels) - ROWS} more of {name}", *[""] * (len(head) - 1)])
        return rows

    # ------------------------------------------------------------------------------------------------- inside

    def _title(self) -> str:
        attributes = self.dataset.attrs
        wanted = self.dataset.sizes[CHIP]
        count = f"{self.chips:,} chips" if self.chips == wanted else f"{self.chips:,} of {wanted:,} chips"
        title = f"{attributes.get('experiment', 'study')}, {count} ({100 * CONFIDENCE:g} % intervals)"
        if stopped := attributes.get("stopped"):
            title += f"; stopped by {stopped}"
        return title + not_finite(self.summary)

    def _rows(self, name: str, output: OutputSummary, labels: list[str]) -> list[list[str]]:
        mean, unit = output.mean(), self.unit(name)
        found = [[f"{name}{label}", unit] for label in labels]
        if output.logical:
            columns = [mean.value, mean.low, mean.high]
            for row, value, low, high in zip(found, *(np.ravel(x) for x in columns), strict=False):
                row += [f"{value:.4g}", f"{low:.4g} to {high:.4g}", *[""] * (3 + len(QUANTILES))]
            return found
        columns = [mean.value, mean.half_width, output.deviation().value]
        columns += [output.quantile(p).value for p in QUANTILES]
        columns += [output.extreme(largest) for largest in (False, True)]
        for row, value, half, *rest in zip(found, *(np.ravel(x) for x in columns), strict=False):
            row += [f"{value:.4g}", f"+- {half:.2g}", *(f"{number:.4g}" for number in rest)]
        return found

    def _of(self, output: str) -> OutputSummary:
        if output not in self.summary.outputs:
            raise InputError("output", f"be one of {', '.join(self.outputs)}", repr(output))
        return self.summary.outputs[output]

    def _variable(self, output: str) -> Variable:
        array = self.dataset[output]
        return Variable(array.dims[1:], array.shape[1:], array.dtype, array.attrs)

    def _coordinates(self) -> dict[str, Coordinate]:
        return {
            str(name): Coordinate(array.values, array.attrs.get("units", ""))
            for name, array in self.dataset.coords.items()
        }

    def _with_program(self, chip: int) -> Program:
        if self._program is None:
            remedy = "call `monte_carlo` with the same arguments and this store: it computes nothing that is there"
            raise InputError("study", "know its experiment to compute a chip again", "read from a store", remedy)
        if not 0 <= chip < self.dataset.sizes[CHIP]:
            raise InputError("chip", f"be an integer from 0 to {self.dataset.sizes[CHIP] - 1}", chip)
        return self._program


def not_finite(summary: Summary) -> str:
    """How many chips have a number that is not finite, as the end of a title."""
    unsound = {name: len(output.unsound) for name, output in summary.outputs.items() if len(output.unsound)}
    return "".join(f"; {name} is not finite in {many:,}" for name, many in unsound.items())


def read_study(path: str | Path) -> MonteCarlo:
    """A study from its store, finished or not: dataset and statistics, without its experiment.

    Raises:
        InputError: there is no store of a study, or a chunk of it is torn.
    """
    dataset, identity = open_study(path), study_identity(path)
    variables = {
        str(name): Variable(array.dims[1:], array.shape[1:], array.dtype, array.attrs)
        for name, array in dataset.data_vars.items()
        if name != COMPUTED
    }
    summary, chunk = empty_summary(variables, identity["chips"]), identity["chunk"]
    for number in range(-(-dataset.sizes[CHIP] // chunk)):
        rows = dataset.isel({CHIP: slice(number * chunk, (number + 1) * chunk)})
        try:
            if bool(rows[COMPUTED].all()):
                summary.add(number, {name: rows[name].values for name in variables}, number * chunk)
        except (ValueError, OSError) as error:
            remedy = "run its study again: what is torn is computed anew"
            raise InputError("store", "be whole", f"torn in chunk {number} of {path}", remedy) from error
    if not summary.chips:
        raise InputError("store", "hold a chunk", f"{path} without any", "run its study")
    return MonteCarlo(dataset, summary)
