"""Figure of domains.md: capacitors of few domains scatter about the mean field."""

import dataclasses

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import hfsim
from hfsim.devices import GB2Domains, Pulse, apply_train, ferroelectric_capacitor


def figure():
    capacitor = ferroelectric_capacitor(hfsim.load_card("cea-leti-2025-hybrid"))
    voltages = np.concatenate([np.full(20, 1.05), np.full(20, -0.95), np.full(20, 1.2)])
    train = Pulse(jnp.asarray(voltages), 20.0)

    def trace(device, shape):
        state = device.init(shape, jax.random.key(0))
        return apply_train(device, state, train, record=lambda s, p: device.polarisation(s))[1]

    fig, axes = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained", sharey=True)
    mean = jax.jit(lambda c: trace(c, ()))(capacitor)
    for axis, number in zip(axes, (30, 1000), strict=True):
        device = dataclasses.replace(capacitor, kinetics=GB2Domains(capacitor.kinetics, domains=number))
        axis.plot(jax.jit(lambda d: trace(d, (12,)))(device), color="0.7", linewidth=0.8)
        axis.plot(mean, color="C3", label="mean field")
        axis.set(xlabel="pulse of 20 ns", title=f"{number} domains, 12 capacitors")
    axes[0].set_ylabel("polarisation [uC/cm2]")
    axes[0].legend(frameon=False)
    return fig
