"""Figure of stack.md: how probable it is that pulses of a height and a total time form the film."""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import hfsim
from hfsim.devices import DielectricBreakdown


def figure():
    breakdown = hfsim.load_card("cea-leti-2025-hybrid").build(DielectricBreakdown, "breakdown")
    seconds = np.geomspace(1e-9, 1e5, 200)
    voltage = np.linspace(2.0, 6.5, 200)
    damage = breakdown.damage(jnp.asarray(voltage)[:, None], 1e9 * jnp.asarray(seconds), 0.36)
    share = np.maximum(np.asarray(breakdown.probability(damage)), 1e-15)
    fig, axis = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
    shown = axis.contourf(seconds, voltage, np.log10(share), levels=np.arange(-15, 1), cmap="magma")
    axis.contour(seconds, voltage, share, levels=[0.5], colors="w", linewidths=1)
    fig.colorbar(shown, ax=axis, label="log10 of the share formed")
    uses = {
        "forming pulse": (3e-4, 6.0, "black"),
        "transfer, 1e7 cycles": (2e2, 3.5, "white"),
        "write, 1e7 cycles": (4e1, 3.0, "white"),
        "4 V/4 ns, 1e7 cycles": (8e-2, 4.0, "white"),
    }
    for name, (time, volts, colour) in uses.items():
        axis.plot(time, volts, "o", color=colour, markersize=4)
        axis.annotate(
            name, (time, volts), xytext=(-6, 5), textcoords="offset points", ha="right", color=colour, fontsize=8
        )
    axis.set(xscale="log", xlabel="total time under voltage [s]", ylabel="voltage on 10 nm [V]")
    return fig
