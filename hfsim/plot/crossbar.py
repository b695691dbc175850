"""Conductances, voltages and currents of a crossbar's tile."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hfsim.circuits.wires import Wires
from hfsim.crossbar.crossbar import Crossbar
from hfsim.errors import InputError


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
