"""Figure of the noise page: a trace, its spectrum beside the exact one, and 1/f from Gaussian processes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import periodogram

from hfsim.devices.noise import FlickerNoise, RandomTelegraph
from hfsim.draws import address
from hfsim.estimators import Exact

DT, STEPS = 1e-4, 4096  # s


def _trace(noise, devices, **options):
    key = jax.random.key(0)

    def step(state, i):
        state = noise.step(state, DT, address(key, 1, i), **options)
        return state, state

    start = noise.init((devices,), address(key, 0))
    return eqx.filter_jit(lambda: jax.lax.scan(step, start, jnp.arange(STEPS))[1])()


def figure():
    """Left: conductance of one device with one trap. Middle: spectra of the trap. Right: 1/f."""
    trap = RandomTelegraph(tau_c=3e-3, tau_e=1e-3, A_HRS=1.0, A_LRS=1e-3, G_HRS=1.0, G_LRS=100.0)
    filled = _trace(trap, 256, estimator=Exact())
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
    time = 1e3 * DT * np.arange(600)
    for G in (1.0, 5.0, 20.0):
        left.step(time, jax.vmap(lambda s, G=G: trap.conductance(s, G))(filled[:600, :, 0]) / G, label=f"{G:.0f} uS")
    left.set(xlabel="time [ms]", ylabel="conductance over that of an empty trap", ylim=(0.4, 1.15))
    left.legend(frameon=False, fontsize=8, ncols=3, loc="upper center")
    f, S = periodogram(np.asarray(filled[:, 0]), 1 / DT, axis=0, detrend="constant", window="hann")
    middle.loglog(f[2:], S[2:].mean(axis=1), lw=0.7, label="256 traces")
    middle.loglog(f[2:], trap.spectrum(jnp.asarray(f[2:])), label="Lorentzian")
    r = float(jnp.exp(-DT / trap.tau))  # what sampling makes of it
    sampled = 2 * DT * float(trap.variance()) * (1 - r**2) / (1 - 2 * r * np.cos(2 * np.pi * f * DT) + r**2)
    middle.loglog(f[2:], sampled[2:], "k:", label="with its aliases")
    middle.set(xlabel="frequency [Hz]", ylabel="spectral density of the filling [1/Hz]")
    middle.legend(frameon=False, fontsize=8)
    flicker = FlickerNoise(K_0=0.5, G_0=50.0, power=0.5, tau_min=2e-4, tau_max=10.0)
    G = jax.vmap(lambda s: flicker.conductance(s, 50.0))(_trace(flicker, 64))
    f, S = periodogram(np.asarray(G), 1 / DT, axis=0, detrend="constant", window="hann")
    right.loglog(f[2:], S[2:].mean(axis=1), lw=0.7, label="64 paths, 16 components")
    right.loglog(f[2:], flicker.spectrum(jnp.asarray(f[2:]), 50.0), label="sum of Lorentzians")
    right.loglog(f[2:], 0.25 / f[2:], "k:", label="K$^2$/f")
    right.set(xlabel="frequency [Hz]", ylabel="spectral density [uS$^2$/Hz]")
    right.legend(frameon=False, fontsize=8)
    return fig
