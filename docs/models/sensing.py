"""Figure of sensing.md: bit errors against the memory window, and against the spread of remanence after cycling."""

import jax
import matplotlib.pyplot as plt
import numpy as np

import hfsim
from hfsim.circuits import SenseAmplifier
from hfsim.hybrid import CircuitCells, Sensing, WindowCells

SYNAPSES = 20_000
FLOOR = 1e-7


def figure():
    card = hfsim.load_card("cea-leti-2025-hybrid")
    amplifier = card.build(SenseAmplifier, "sense_amplifier")

    @jax.jit
    def rates(cells):
        sensing = Sensing(cells, amplifier)
        own = sensing.fabricate((SYNAPSES,), jax.random.key(1))
        wrong = ((own.ones | own.zeros | own.doubtful) != 0).mean()
        return sensing.cell_errors((SYNAPSES,), jax.random.key(1)).rate, wrong

    fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
    windows = np.linspace(40, 360, 17)
    found = np.array([rates(WindowCells(window=w, sigma=42.7, V_mid=amplifier.V_ref)) for w in windows])
    left.semilogy(windows, np.maximum(found[:, 0], FLOOR), "o-", ms=4, color="#b3430f", label="a cell")
    left.semilogy(windows, np.maximum(found[:, 1], FLOOR), "o-", ms=4, color="#1f5a8c", label="a word, any bit")
    left.set(xlabel="median memory window [mV], 43 mV spread of a state", ylabel="share that errs")
    spreads = np.linspace(0.08, 0.4, 9)
    for cycles, colour in ((0.0, "#1f5a8c"), (1e8, "#d99a6c"), (1e9, "#b3430f")):
        found = [rates(CircuitCells.from_card(card, P_r_spread=s, cycles=cycles))[0] for s in spreads]
        label = f"{cycles:.0e} cycles" if cycles else "woken"
        right.semilogy(spreads, np.maximum(found, FLOOR), "o-", ms=4, color=colour, label=label)
    right.set(xlabel="relative spread of $P_r$", ylabel="bit error rate of a cell")
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.set_ylim(FLOOR / 2, 1)
    return fig
