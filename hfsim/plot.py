"""Figures of simulated objects; needs matplotlib (`pip install matplotlib`)."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hfsim.circuits.wires import Wires
from hfsim.crossbar.crossbar import Crossbar
from hfsim.errors import InputError
from hfsim.studies.results import MonteCarlo
from hfsim.studies.sensitivity import Sensitivity
from hfsim.studies.sobol import Attribution


def crossbar_maps(xbar: Crossbar, x: Float[Array, " inputs"] | None = None, tile: tuple[int, int] = (0, 0)):
    """Conductances, what both kinds of lines lose, and cell currents of one tile for one input.

    The voltages are those of the crossbar's wires; where it has none, lines without resistance.

    Args:
        xbar: a programmed crossbar.
        x: input vector; all ones without.
        tile: (row, column) of the tile.

    Returns:
        A matplotlib figure of four maps.

    Raises:
        InputError: an input or a tile that the crossbar does not have.
    """
    import matplotlib.pyplot as plt

    tiles, inputs = xbar.conductances.shape[:2], xbar.inputs
    if not all(0 <= i < n for i, n in zip(tile, tiles, strict=True)):
        raise InputError("tile", f"lie within the {tiles[0]} x {tiles[1]} tiles", tile)
    x = jnp.ones(inputs) if x is None else jnp.asarray(x, jnp.result_type(float))
    if x.shape != (inputs,):
        raise InputError("x", f"be one vector of {inputs} numbers", f"of shape {x.shape}")
    kernel, G = xbar.kernel, xbar.conductances[tile]
    rows = G.shape[0]
    part = jnp.pad(x, (0, rows * tiles[0] - inputs)).reshape(tiles[0], rows)[tile[0]][None]
    V = kernel.V_read * kernel.dac.drive(kernel.dac.code(part / kernel.scaling.scale(part)))[0]
    none = jnp.zeros(())
    wires = Wires(r_wl=none, r_bl=none, curve=kernel.curve) if kernel.wires is None else kernel.wires
    solution = wires.solve(G, V)
    U = solution.word - solution.bit
    current = G * (U if wires.curve is None else wires.curve.effective(U))
    maps = (
        ("conductance G / uS", G, "viridis"),
        ("drop along word lines / mV", 1e3 * (V[:, None] - solution.word), "magma"),
        ("rise of bit lines / mV", 1e3 * solution.bit, "magma"),
        ("cell current / uA", current, "viridis"),
    )
    figure, axes = plt.subplots(2, 2, figsize=(9.0, 7.6), layout="constrained")
    for ax, (title, values, colours) in zip(axes.flat, maps, strict=True):
        image = ax.imshow(np.asarray(values), cmap=colours, interpolation="nearest", aspect="auto")
        figure.colorbar(image, ax=ax)
        ax.set(title=title, xlabel="bit line (sensed behind the last row)", ylabel="word line (driven at the left)")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.yaxis.get_major_locator().set_params(integer=True)
    figure.suptitle(f"{xbar.card}, tile {tile[0]}, {tile[1]}: {rows} x {G.shape[1]} devices")
    return figure


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
    values = study.dataset[output]
    place = study.places(output, at)
    dims = [str(dim) for dim in values.dims[1:] if dim not in at]
    if len(dims) > 1:
        raise InputError("at", f"leave one of the dimensions {', '.join(dims)}", dict(at), "label the others")
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
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
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(figsize=(6.4, 1.2 + 0.45 * len(order)), layout="constrained")
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


def tornado(found: Sensitivity, title: str = "", axes=None):
    """Effects of each parameter's tolerance on a measure, the largest on top, with 95 % confidence.

    Args:
        found: by `hfsim.studies.sensitivities`.
        title: above the bars.
        axes: matplotlib axes to draw in; None makes a figure.

    Returns:
        Matplotlib axes.
    """
    order = found.order()[::-1]
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(figsize=(6.4, 0.8 + 0.34 * len(order)), layout="constrained")
    places, effects, half = np.arange(len(order)), found.effects[order], found.half_widths[order]
    axes.barh(places, effects, color="#4477aa", xerr=half if np.any(half) else None)
    units = ["" if unit == "1" else f" {unit}" for unit in found.units]
    labels = [f"{found.labels[i]} + {found.tolerances[i]:.3g}{units[i]}" for i in order]
    axes.set_yticks(places, labels)
    axes.axvline(0.0, color="#333333", lw=0.8)
    axes.set(xlabel="change, first order", title=title)
    return axes
