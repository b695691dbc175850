"""Figure of wear.md: the first failure against the number of devices, and dead devices over trainings."""

import jax
import matplotlib.pyplot as plt
import numpy as np

from hfsim.hybrid import Endurance

CYCLES = 6000.0
"""Of a memristor in ten epochs of MNIST at k = 100."""


def figure():
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
    numbers, trainings = np.geomspace(1, 1e6, 25), np.geomspace(0.1, 100, 60)
    for slope, colour in ((2.0, "#1f5a8c"), (4.0, "#b3430f"), (8.0, "#777777")):
        endurance = Endurance(cycles=1e5, slope=slope)
        first = jax.jit(jax.vmap(lambda n, e=endurance: e.first_failure(np.array([CYCLES]), n[None])))(numbers)
        left.loglog(numbers, first, color=colour, label=f"slope {slope:g}")
        right.loglog(trainings, 100 * endurance.dead(trainings * CYCLES), color=colour, label=f"slope {slope:g}")
    left.set(xlabel="memristors", ylabel="trainings to the first failure")
    right.set(xlabel="trainings", ylabel="dead memristors [%]", ylim=(1e-4, 150))
    for axes in (left, right):
        axes.legend(frameon=False)
    return fig
