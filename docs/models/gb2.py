"""Figure of gb2.md: the switching map, a loop at three frequencies, and a pinched loop that wakes up."""

import dataclasses

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import hfsim
from hfsim.devices import BuiltInSpread, ferroelectric_capacitor, hysteresis_loop, switching_map


def figure():
    capacitor = ferroelectric_capacitor(hfsim.load_card("cea-leti-2025-hybrid"))
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(10.5, 3.2), layout="constrained")

    widths = jnp.geomspace(1.0, 1e6, 49)
    amplitudes = [0.6, 0.8, 1.0, 1.3, 1.8, 2.5, 4.0]
    seen = jax.jit(lambda c: switching_map(c, jnp.array(amplitudes), widths))(capacitor)
    for amplitude, row in zip(amplitudes, seen.switched, strict=True):
        left.semilogx(widths, row / 19.75)
        left.text(1.3e6, row[-1] / 19.75, f"{amplitude} V" if amplitude < 2 else "", fontsize=7, va="center")
    left.set(xlabel="pulse width [ns]", ylabel="switched share", title="one pulse of 0.6 to 4 V", xlim=(1, 2e7))

    for period, name in ((1e7, "100 Hz"), (1e5, "10 kHz"), (1e3, "1 MHz")):  # period in ns
        loop = hysteresis_loop(capacitor, 3.0, period, steps=200)
        middle.plot(loop.field, loop.polarisation, label=name)
    middle.set(xlabel="field [MV/cm]", ylabel="polarisation [uC/cm2]", title="triangles of 3 V")
    middle.legend(frameon=False, fontsize=7)

    for sigma in (0.05, 0.3, 0.6):
        kinetics = dataclasses.replace(capacitor.kinetics, built_in=BuiltInSpread(sigma), nodes=1280)
        loop = hysteresis_loop(dataclasses.replace(capacitor, kinetics=kinetics), 3.0, 1e5, steps=200)
        right.plot(loop.field, loop.polarisation, label=f"{sigma} MV/cm")
    right.set(xlabel="field [MV/cm]", title="spread of built-in fields")
    right.legend(frameon=False, fontsize=7)
    return fig
