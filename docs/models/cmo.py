"""Figure of the page on the CMO/HfOx cell."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import hfsim
from hfsim.devices import Pulse, Transistor, apply_train
from hfsim.devices.memristor.cmo import CMOCell, CMOState
from hfsim.devices.memristor.series import SelectResistance, SelectTransistor

# printed in the notes on the article, from HRS and then from 88 uS
T_0 = 293.0
RISE, FALL = {10: 45.9, 20: 69.0, 40: 84.0, 60: 88.0}, {3: 68.9, 10: 48.0, 20: 38.6, 60: 28.0}


def figure():
    card = hfsim.load_card("cmo-hfox-2025")
    resistance = card.build(CMOCell, "cell", series=card.build(SelectResistance, "series"))
    gate = card.build(SelectTransistor, "gate", transistor=card.build(Transistor, "transistor"))
    transistor = card.build(CMOCell, "cell", series=gate)
    names = {"hrs": "HRS", "symmetry_point": "SP", "lrs": "LRS"}
    C = [card.quantity("states", name, "1/nm3") for name in names]

    drawing, axes = plt.subplots(1, 3, figsize=(10.5, 3.3), layout="constrained")
    currents(axes[0], resistance, C, list(names.values()))
    trains(axes[1], {"300/100 ohm in series": resistance, "1T1R, gate 1.4/3.3 V": transistor})
    alternating(axes[2], resistance, C)
    for panel, letter in zip(axes, "abc", strict=True):
        panel.set_title(letter, loc="left", fontweight="bold")
    return drawing


def currents(axis, cell, C, names):
    V = jnp.linspace(-1.3, 1.35, 107)
    run = jax.jit(lambda log_C: cell.operating_point(CMOState(jnp.broadcast_to(log_C, V.shape)), V, temperature=T_0))
    for name, density in zip(names, C, strict=True):
        I, T, _ = run(jnp.log(density))
        line = axis.plot(V, np.maximum(np.abs(I), 1e-3), label=f"{name} ({float(T[-1]):.0f} K)")[0]
        axis.plot([0.2], [np.abs(np.interp(0.2, V, I))], "o", color=line.get_color(), ms=4)
    axis.set(xlabel="voltage over cell and series resistance (V)", ylabel="|current| (uA)")
    axis.set(yscale="log", ylim=(0.02, 800))
    axis.legend(frameon=False, fontsize=7, loc="lower left", title="T at 1.35 V", title_fontsize=7)


@jax.jit
def conductances(cell, state, V):
    """G [uS] after each 1 us pulse, at the ambient of the published constants."""

    def read(state, _):
        return cell.conductance(state, temperature=T_0)

    return apply_train(cell, state, Pulse(V, 1000.0), temperature=T_0, record=read)[1]


def trains(axis, cells):
    V = jnp.concatenate([jnp.full(60, 1.35), jnp.full(60, -1.3)])
    for name, cell in cells.items():
        start = CMOState(jnp.log(jnp.array(0.007)))
        axis.plot(np.arange(1, 121), conductances(cell, start, V), label=name)
    counts = np.array([*RISE, *(60 + n for n in FALL)])
    axis.plot(counts, [*RISE.values(), *FALL.values()], "k.", label="reference trains")
    axis.set(xlabel="1 us pulses (60 SET, then 60 RESET)", ylabel="conductance at 0.2 V (uS)", ylim=(20, 118))
    axis.legend(frameon=False, fontsize=7, loc="upper left")


def alternating(axis, cell, C):
    V = jnp.tile(jnp.array([1.35, -1.3]), 40)
    state = CMOState(jnp.log(jnp.asarray(C)))
    axis.plot(np.arange(1, 81), conductances(cell, state, V))
    axis.axhspan(54, 56, color="0.85", zorder=0)
    axis.text(80, 57.5, "reference: 54-56 uS", ha="right", fontsize=7)
    axis.set(xlabel="pulses, SET and RESET in turn", ylabel="conductance at 0.2 V (uS)")
