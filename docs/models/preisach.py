"""Figure of the Preisach model: major loop, first-order reversals, and congruent minor loops."""

import dataclasses

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from hfsim.cards import load_card
from hfsim.devices.ferroelectric.preisach import PreisachKinetics


@jax.jit
def sweep(kinetics, fields):
    """P/P_r after each field, from saturation down."""

    def step(state, field):
        state = kinetics.expose(state, field, 1.0, 300.0)
        return state, kinetics.polarisation(state)

    return jax.lax.scan(step, kinetics.init(()), fields)[1]


def ramps(*corners):
    """A path through these fields [MV/cm], 60 points each."""
    return np.concatenate([np.linspace(a, b, 61)[1:] for a, b in zip(corners[:-1], corners[1:], strict=True)])


def figure():
    """The major loop with its limit of one coercive field; reversal curves; two loops between the same fields."""
    kinetics = load_card("hzo-static-limits").build(PreisachKinetics, "preisach")
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(8.2, 2.9), layout="constrained", sharey=True)
    major = ramps(-4, 4, -4)
    P = np.asarray(sweep(kinetics, jnp.asarray(major)))
    narrow = dataclasses.replace(kinetics, spread=1e-3)
    left.plot(major, sweep(narrow, jnp.asarray(major)), "C1", lw=1, label="one $E_c$: tanh")
    left.plot(major, P, "C0", label="card's spread")
    left.set(ylabel="$P/P_r$", title="major loop")
    left.legend(frameon=False, loc="lower right", fontsize=7)
    for turn in (0.2, 0.6, 0.9, 1.2, 1.6):
        path = ramps(-4, 4, -4, turn, -4)
        middle.plot(path[-60:], np.asarray(sweep(kinetics, jnp.asarray(path)))[-60:], lw=1)
    middle.plot(major, P, "0.8", zorder=0)
    middle.set(title="first-order reversals")
    for history, colour in (((-4.0, -0.7), "C0"), ((-4.0, 4.0, -0.7), "C3")):
        path = ramps(*history, 1.0, -0.7, 1.0, -0.7)
        right.plot(path[-120:], np.asarray(sweep(kinetics, jnp.asarray(path)))[-120:], colour)
    right.plot(major, P, "0.8", zorder=0)
    right.set(title="congruent minor loops")
    for panel in (left, middle, right):
        panel.set(xlabel="E (MV/cm)", xlim=(-3, 3))
    return figure
