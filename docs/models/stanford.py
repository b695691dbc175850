"""Figure of the Stanford page: resistance against gap, and the time to SET and RESET."""

import equinox as eqx
import jax.numpy as jnp
import matplotlib.pyplot as plt

import hfsim
from hfsim.devices import Pulse
from hfsim.devices.memristor.stanford import Stanford, StanfordState


def figure():
    """Left: resistance with the reference values. Middle, right: the gap after pulses of either sign."""
    memristor = hfsim.load_card("stanford-gap-2014").build(Stanford, "stanford")
    fig, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
    gaps = jnp.linspace(0.2, 1.7, 100)
    axes[0].semilogy(gaps, 1e3 / memristor.conductance(StanfordState(gaps)), label="model")
    axes[0].semilogy([0.2, 0.5, 1.0, 1.7], [0.5418, 1.799, 13.29, 218.6], "o", mfc="none", label="reference")
    axes[0].set(xlabel="gap g [nm]", ylabel="resistance at 0.1 V [kohm]")
    axes[0].legend(frameon=False, fontsize=8)
    apply = eqx.filter_jit(lambda state, pulse: memristor.apply(state, pulse).g)
    widths = jnp.logspace(-1, 6, 100)
    for ax, start, voltages in ((axes[1], 1.7, (1.1, 1.3, 1.5, 1.8)), (axes[2], 0.2, (-0.9, -1.1, -1.3, -1.5))):
        for voltage in voltages:
            ax.semilogx(
                widths, apply(StanfordState(jnp.full(100, start)), Pulse(voltage, widths)), label=f"{voltage} V"
            )
        ax.set(xlabel="width of the pulse [ns]", ylabel="gap after it [nm]", ylim=(0.1, 1.8))
        ax.legend(frameon=False, fontsize=8)
    return fig
