"""Figure of an array's wires: voltages across the cells, currents of the columns, what the first order leaves."""

import dataclasses

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from hfsim.circuits.wires import Wires

SIZE, SEGMENT = 128, 0.35


def figure():
    """128 x 128 cells of 9-88 uS at 0.35 ohm a segment."""
    generator = np.random.default_rng(0)
    G = jnp.asarray(generator.uniform(9.0, 88.0, (SIZE, SIZE)))
    wires = Wires(SEGMENT, SEGMENT)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.6, 3.0), layout="constrained")

    read = jnp.full(SIZE, 0.2)
    solution = wires.solve(G, read)
    image = left.imshow(1e3 * (solution.word - solution.bit), cmap="viridis")
    figure.colorbar(image, ax=left, label="voltage across the cell (mV)", shrink=0.85)
    left.set(xlabel="column (driver at the left)", ylabel="row (sensed below)", title="all rows at 200 mV")

    columns = np.arange(SIZE)
    middle.plot(columns, read @ G, "0.6", lw=0.8, label="no wires")
    for ends, label in (({}, "driven from one end"), ({"driven": "both", "sensed": "both"}, "both ends of both lines")):
        middle.plot(columns, dataclasses.replace(wires, **ends).currents(G, read), lw=0.8, label=label)
    middle.set(xlabel="column", ylabel="current (uA)", ylim=(700, 1420), title="columns' currents")
    middle.legend(frameon=False, fontsize=8, loc="lower left")

    resistances = np.geomspace(0.01, 3.0, 9)
    V = jnp.asarray(generator.uniform(-0.2, 0.2, (8, SIZE)))

    @jax.jit
    def errors(r, G, V):
        wires = Wires(r, r)
        exact = wires.currents(G, V)
        guesses = jnp.stack([V @ G, wires.first_order(G, V)])
        return jnp.sqrt(jnp.mean((guesses - exact) ** 2, axis=(1, 2)) / jnp.mean(exact**2))

    for size, style in ((32, ":"), (64, "--"), (128, "-")):
        curves = np.array([errors(jnp.asarray(r), G[:size, :size], V[:, :size]) for r in resistances])
        for curve, colour, name in zip(curves.T, ("0.5", "C3"), ("no wires", "first order"), strict=True):
            right.loglog(resistances, curve, style, color=colour, label=f"{name}, {size}" if size == 128 else None)
    for size, style in ((64, "--"), (32, ":")):
        right.plot([], [], style, color="0.5", label=f"the same, {size} x {size}")
    right.set(xlabel="segment (ohm)", ylabel="rms error of the currents", title="what neglect costs", ylim=(1e-6, 2e3))
    right.legend(frameon=False, fontsize=7.5, loc="upper left")
    return figure
