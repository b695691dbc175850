"""Figure of energy.md: where the energy of a training goes, and against the period of transfers."""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import hfsim
from hfsim.hybrid import HybridArray, HybridCosts, OperationPrices, Work

SIZES, SAMPLES, PROBABILITY = (784, 200, 100, 10), 600_000, 0.2
NAMES = {
    "set": "SET",
    "reset": "RESET",
    "fecap_lines": "lines of the FeCAPs",
    "switching": "switching charge",
    "reads": "products",
}


def figure():
    card = hfsim.load_card("cea-leti-2025-hybrid")
    costs, array, prices = HybridCosts.from_card(card), HybridArray.from_card(card), OperationPrices.from_card(card)
    synapses = sum(a * b for a, b in zip(SIZES[:-1], SIZES[1:], strict=True))
    updates = PROBABILITY * SAMPLES * synapses

    def work(period):
        return Work.of_training(SIZES, array, samples=SAMPLES, updates=updates, transfers=SAMPLES / period)

    fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
    found = {NAMES.get(name, name): float(value) / 1e6 for name, value in costs.energies(work(100))._asdict().items()}
    shown = sorted(found.items(), key=lambda item: item[1])
    left.barh([name for name, _ in shown], [value for _, value in shown], color="#b3430f")
    left.set(xscale="log", xlabel="ten epochs of MNIST, k = 100 [mJ]")

    periods = np.asarray([1, 2, 5, 10, 20, 50, 100, 200, 400, 600])
    physics = [float(costs.energies(work(k)).total) / 1e6 for k in periods]
    # the published rule's operations of every cell, at the published prices
    fecap = 14 * 2 * updates + (2 + 7 * 4) * synapses * SAMPLES / periods
    memristor = 3 * synapses * SAMPLES / periods
    flat = np.asarray(prices.energy(jnp.asarray(fecap), jnp.asarray(memristor))) / 1e6
    right.loglog(periods, physics, "o-", color="#b3430f", label="from physics")
    right.loglog(periods, flat, "o-", color="#1f5a8c", label="100 fJ and 1 pJ an operation")
    right.set(xlabel="samples from one transfer to the next, k", ylabel="all synapses [mJ]")
    right.legend(frameon=False)
    return fig
