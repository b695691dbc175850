"""Figure of ageing.md: endurance, imprint, and a bake with a depolarising layer."""

import dataclasses

import jax
import matplotlib.pyplot as plt
import numpy as np

import hfsim
from hfsim.devices import (
    InterfaceLayer,
    Pulse,
    ageing_capacitor,
    endurance,
    ferroelectric_capacitor,
    imprint_test,
    retention_bake,
)


def figure():
    card = hfsim.load_card("cea-leti-2025-hybrid")
    device, pulse = ageing_capacitor(card, nodes=48), Pulse(3.0, 2000.0)
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(10.5, 3.2), layout="constrained")

    for temperature in (300.0, 398.0):
        cycles = np.geomspace(1, 1e10, 31)
        _, seen = endurance(device, pulse, cycles, key=jax.random.key(0), temperature=temperature)
        left.semilogx(cycles, seen.switched, label=f"{temperature:.0f} K")
    left.set(
        xlabel="cycles of 3 V, 2 us", ylabel="switched by PUND [uC/cm2]", title="wake-up and fatigue", ylim=(0, None)
    )
    left.legend(frameon=False)

    woken = dataclasses.replace(
        ferroelectric_capacitor(card, nodes=96), ageing=dataclasses.replace(device.ageing, wake_up=None, breakdown=None)
    )
    times = np.concatenate([[0.0], np.geomspace(1, 3e8, 12)])
    for temperature in (300.0, 358.0, 398.0):
        seen = imprint_test(woken, pulse, times, temperature, bit=0, steps=120)
        middle.semilogx(times[1:], 1e3 * seen.shift[1:], "o-", markersize=3, label=f"{temperature:.0f} K")
    middle.set(xlabel="time stored up [s]", ylabel="shift of the loop [mV]", title="imprint")
    middle.legend(frameon=False)

    layered = dataclasses.replace(ferroelectric_capacitor(card), interface=InterfaceLayer(t_i=0.4, eps_i=20.0))
    times = np.concatenate([[0.0], np.geomspace(1e-6, 3e8, 15)])
    for temperature in (300.0, 358.0, 398.0):
        seen = retention_bake(layered, pulse, times, temperature)
        right.semilogx(times[1:], seen.up[1:], label=f"{temperature:.0f} K")
    right.set(xlabel="time at rest [s]", ylabel="polarisation [uC/cm2]", title="a dead layer of 0.4 nm", ylim=(0, 10))
    right.legend(frameon=False)
    return fig
