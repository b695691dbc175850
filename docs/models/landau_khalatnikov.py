"""Figure of the Landau-Khalatnikov model: static curve with the loop around it, and switching in time."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from hfsim.cards import load_card
from hfsim.devices.ferroelectric.landau_khalatnikov import LandauKhalatnikovKinetics


def figure():
    """P against E for a slow and a fast triangle over the static curve; P against time under constant fields."""
    kinetics = load_card("hzo-static-limits").build(LandauKhalatnikovKinetics, "landau_khalatnikov")
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.0), layout="constrained")
    p = np.linspace(-1.25, 1.25, 300)
    left.plot(3 * np.sqrt(3) / 2 * (p**3 - p), p, "0.6", ls="--", label="dP/dt = 0")
    left.plot([1, -1], [-1 / np.sqrt(3), 1 / np.sqrt(3)], "ko", ms=3.5, label="spinodal, $P_r/\\sqrt{3}$")
    quarter = np.linspace(0, 2, 101)
    triangle = jnp.asarray(np.concatenate([2 - quarter, -quarter, quarter - 2, quarter]))
    for period, colour in ((4000.0, "C0"), (40.0, "C3")):

        def step(state, field, width=period / len(triangle)):
            state = kinetics.expose(state, field, width, 300.0)
            return state, kinetics.polarisation(state)

        twice = jnp.tile(triangle, 2)
        trace = jax.jit(lambda step=step, twice=twice: jax.lax.scan(step, kinetics.init((), up=1.0), twice)[1])()
        left.plot(triangle, trace[len(triangle) :], colour, label=f"period {period:g} ns")
    left.set(xlabel="E (MV/cm)", ylabel="$P/P_r$", xlim=(-2.1, 2.1))
    left.legend(frameon=False, fontsize=7.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    time = jnp.geomspace(0.3, 300, 120)
    for field, colour in zip((0.98, 1.001, 1.02, 1.2, 2.0), plt.cm.viridis(np.linspace(0, 0.85, 5)), strict=True):
        state = kinetics.expose(kinetics.init(time.shape), jnp.full_like(time, field), time, 300.0)
        right.semilogx(time, state.p, color=colour, label=f"{field:g} MV/cm")
    right.set(xlabel="time (ns)", ylabel="$P/P_r$")
    right.legend(frameon=False, fontsize=7.5, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return figure
