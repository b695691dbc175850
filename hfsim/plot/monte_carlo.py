"""Monte Carlo over chips: spreads, and what they come from."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hfsim.errors import InputError
from hfsim.io.store import CHIP, COMPUTED
from hfsim.plot.axes import new_axes
from hfsim.studies.results import MonteCarlo
from hfsim.studies.sobol import Attribution


def spread_of_chips(study: MonteCarlo, output: str, at: Mapping[str, Any], axes=None):
    """One output of a Monte-Carlo study: a histogram, or along its dimension the mean and the middle 90 % of the chips.

    Means and shares carry their 95 % interval.

    Args:
        study: by `hfsim.studies.monte_carlo`.
        output: its name.
        at: labels of dimensions that are not drawn, all but one.
        axes: matplotlib axes to draw in; None makes a figure.

    Returns:
        Matplotlib axes.

    Raises:
        InputError: more than one dimension is left.
    """
    dataset = study.dataset
    if COMPUTED in dataset:  # of a store; where a chip is missing, integers are 0 and logicals false
        dataset = dataset.isel({CHIP: dataset[COMPUTED].values})
    values = dataset[output]
    place = study.places(output, at)
    dims = [str(dim) for dim in values.dims[1:] if dim not in at]
    if len(dims) > 1:
        raise InputError("at", f"leave one of the dimensions {', '.join(dims)}", dict(at), "label the others")
    axes = new_axes((6.4, 3.8)) if axes is None else axes
    label = output + _in_brackets(study.unit(output))
    mean = study.mean(output)
    if not dims:
        numbers = np.asarray(values[(slice(None), *place)], float)
        axes.hist(numbers[np.isfinite(numbers)], bins="auto" if len(numbers) < 10_000 else 100, color="#4477aa")
        axes.axvline(float(mean.value[place]), color="#bb5566", label="mean")
        axes.set(xlabel=label, ylabel="chips")
        axes.legend()
        return axes
    along = values[dims[0]]  # numbers from 0 where there are no labels
    text = along.dtype.kind not in "fiu"
    x = np.arange(len(along)) if text else np.asarray(along)
    if values.dtype != bool:
        low, high = (study.quantile(output, p).value[place] for p in (0.05, 0.95))
        axes.fill_between(x, low, high, color="#4477aa", alpha=0.2, lw=0, label="middle 90 % of the chips")
    arms = [np.abs(mean.value - end)[place] for end in (mean.low, mean.high)]
    name = "share" if values.dtype == bool else "mean"
    axes.errorbar(x, mean.value[place], arms, color="#4477aa", marker="o", ms=4, label=f"{name}, 95 % interval")
    if text:
        axes.set_xticks(x, along.values)
    elif len(x) > 2 and np.all(x > 0) and x.max() > 100 * x.min():
        axes.set_xscale("log")
    axes.set(xlabel=dims[0] + _in_brackets(along.attrs.get("units", "")), ylabel=label)
    axes.legend()
    return axes


def attribution_bars(found: Attribution, output: str, at: Mapping[str, Any], axes=None):
    """First-order and total Sobol indices of one number with their intervals, the largest total on top.

    Args:
        found: by `hfsim.studies.sobol`.
        output: its name.
        at: labels of all its dimensions.
        axes: matplotlib axes to draw in; None makes a figure.

    Returns:
        Matplotlib axes.

    Raises:
        InputError: a dimension is left.
    """
    place = found.study.places(output, at)[1:]  # the runs' dimension comes first
    if not all(isinstance(i, int) for i in place):
        dims = found.study.dataset[output].dims[2:]
        raise InputError("at", f"name a label of each of {', '.join(map(str, dims))}", dict(at))
    order = np.argsort(found.total[output].value[(slice(None), *place)])
    axes = new_axes((6.4, 1.2 + 0.45 * len(order))) if axes is None else axes
    rows = np.arange(len(order))
    kinds = ((found.total[output], 0.19, "#bb9955", "in all, T"), (found.first[output], -0.19, "#4477aa", "alone, S"))
    for indices, offset, colour, label in kinds:
        value, half = (x[(order, *place)] for x in (indices.value, indices.half_width))
        axes.barh(rows - offset, value, 0.36, xerr=half, color=colour, label=label)
    axes.set_yticks(rows, [found.factors[i] for i in order])
    axes.set(xlabel=f"share of the variance of {output}")
    axes.legend()
    return axes


def _in_brackets(unit: str) -> str:
    return f" [{unit}]" if unit not in ("", "1") else ""
