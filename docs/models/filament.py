"""Figure of the filament page, and the fit of its one fitted parameter (`python -m docs.models.filament`)."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import brentq

import hfsim
from hfsim.devices import Pulse, Transistor
from hfsim.devices.memristor.filament import Filament

APPLY = eqx.filter_jit(lambda cell, state, pulse, key=None: cell.apply(state, pulse, key))
READ = eqx.filter_jit(lambda cell, state: cell.conductance(state))
SET = Pulse(3.2, 1e4)  # 2.3 V and -0.9 V on the two lines, 10 us, as published


def cell(**others) -> Filament:
    """The hybrid chip's cell."""
    card = hfsim.load_card("cea-leti-2025-hybrid")
    return card.build(Filament, "filament", transistor=card.build(Transistor, "transistor_saturation"), **others)


def gates(cell, currents):
    """Gate voltages of saturation currents [uA]."""
    current = jax.jit(lambda V_G: dataclasses.replace(cell, V_G=V_G).compliance_current())
    return jnp.array([brentq(lambda V, I=I: float(current(V)) - I, 1.0, 4.0) for I in currents])


def clamp_voltages(cell, currents, pulse=SET):
    """I_cc/G after a SET at each compliance current [uA]."""
    levels = dataclasses.replace(cell, V_G=gates(cell, currents))
    state = APPLY(levels, levels.init((len(currents),)), pulse)
    return np.asarray(levels.compliance_current() / READ(levels, state))


def fit() -> float:
    """E_a [eV] at which V_C = 1.1 V at 50 uA and 10 us, in double precision with 256 places."""
    with jax.enable_x64(True):
        fine = cell(nodes=256)
        found = brentq(
            lambda E_a: float(clamp_voltages(dataclasses.replace(fine, E_a=jnp.asarray(E_a)), [50.0])[0]) - 1.1,
            0.6,
            1.0,
        )
    return float(found)


def figure():
    """Level against compliance; growth that stops itself; the two states' distributions."""
    device = cell()
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.1), layout="constrained")
    currents = np.linspace(5.0, 110.0, 12)
    for width, label in ((1e3, "1 us"), (1e4, "10 us"), (1e5, "100 us")):
        left.plot(currents, currents / clamp_voltages(device, currents, Pulse(3.2, width)), label=label)
    left.plot(currents, currents / 1.1, "k:", label="I_cc/1.1 V (read)")
    left.set(xlabel="compliance current I_cc [uA]", ylabel="conductance at 0.2 V [uS]")
    left.legend(frameon=False, fontsize=8)
    widths = jnp.logspace(-1, 7, 60)
    for I in (20.0, 50.0, 100.0):
        levels = dataclasses.replace(device, V_G=gates(device, [I])[0])
        G = READ(levels, APPLY(levels, levels.init(widths.shape), Pulse(3.2, widths)))
        middle.semilogx(widths, G, label=f"{I:.0f} uA")
    middle.set(xlabel="width of the SET pulse [ns]", ylabel="conductance at 0.2 V [uS]")
    middle.legend(frameon=False, fontsize=8, title="I_cc", title_fontsize=8)
    shape = (3000,)
    for I, color in ((30.0, "C0"), (60.0, "C1"), (100.0, "C2")):
        levels = dataclasses.replace(device, V_G=gates(device, [I])[0])
        state = APPLY(levels, levels.init(shape, jax.random.key(0)), SET, jax.random.key(1))
        _probits(right, READ(levels, state), color, f"SET {I:.0f} uA")
    state = APPLY(levels, state, Pulse(-1.0, 1e4), jax.random.key(2))
    _probits(right, READ(levels, state), "C3", "RESET -1 V")
    right.set(xscale="log", xlabel="conductance at 0.2 V [uS]", ylabel="normal quantile", xlim=(0.008, 300))
    right.legend(frameon=False, fontsize=8, loc="upper left")
    return fig


def _probits(axes, G, color, label):
    quantiles = np.linspace(-2.8, 2.8, 57)
    axes.plot(
        np.quantile(np.asarray(G), 0.5 * (1 + np.vectorize(_erf)(quantiles))), quantiles, color=color, label=label
    )


def _erf(z):
    return float(jax.scipy.special.erf(z / np.sqrt(2)))


if __name__ == "__main__":
    print(f"E_a = {fit():.6f} eV")
    currents = [5.0, 10.0, 20.0, 50.0, 80.0, 110.0]
    print("I_cc [uA]      ", *currents)
    for width in (1e3, 1e4, 1e5):
        print(f"V_C [V] {width:6.0f} ns", *np.round(clamp_voltages(cell(), currents, Pulse(3.2, width)), 3))
