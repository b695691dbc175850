"""Sweeps and SET times of the JART VCM v1b memristor."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import hfsim
from hfsim.devices import Pulse
from hfsim.devices.memristor.jart import JartVCM

T_0 = 293.0
RATES = np.array([0.1, 10.0, 1000.0])  # V/s
TABLE = {-0.5: 0.2065, -0.6: 2.86e-3, -0.7: 52.4e-6, -0.8: 1.40e-6, -0.9: 56.3e-9, -1.0: 3.45e-9}  # s


def figure():
    """Current, vacancies and temperature over triangular sweeps; N against time at constant voltages."""
    device = JartVCM.from_card(hfsim.load_card("jart-vcm-v1b"))
    time = jnp.arange(5.0)[:, None] * (1.3e9 / RATES)
    corners = jnp.array([0, -1.3, 0, 1.3, 0.0])
    sweep = jax.jit(lambda s: device.sweep(s, time, corners, samples=260, temperature=T_0)[1])
    trace = sweep(device.init(RATES.shape))
    voltages = np.array(list(TABLE))
    seconds = np.geomspace(1e-10, 10, 400)
    pulse = Pulse(voltages, seconds[:, None] * 1e9)
    N = jax.jit(lambda s: device.apply(s, pulse, temperature=T_0).N)(device.init((400, 1)))

    drawn, axes = plt.subplots(2, 2, figsize=(7.2, 5.2), layout="constrained")
    colours = plt.colormaps["viridis"](np.linspace(0.05, 0.8, len(RATES)))
    for i, (rate, colour) in enumerate(zip(RATES, colours, strict=True)):
        axes[0, 0].semilogy(trace.voltage, np.abs(trace.current[:, i]) + 1e-2, color=colour, label=f"{rate:g} V/s")
        axes[0, 1].semilogy(trace.voltage, 10 * trace.N[:, i], color=colour)
        axes[1, 0].plot(trace.voltage, trace.temperature[:, i], color=colour)
    axes[0, 0].set(xlabel="voltage (V)", ylabel="|current| (uA)", ylim=(1e-1, 3e3))
    axes[0, 1].set(xlabel="voltage (V)", ylabel="vacancies N (1e26/m3)")
    axes[1, 0].set(xlabel="voltage (V)", ylabel="temperature (K)")
    axes[0, 0].legend(frameon=False, loc="lower left", fontsize=8)

    colours = plt.colormaps["plasma"](np.linspace(0.05, 0.8, len(voltages)))
    for i, (voltage, colour) in enumerate(zip(voltages, colours, strict=True)):
        axes[1, 1].loglog(seconds, 10 * N[:, i], color=colour)
        axes[1, 1].plot(TABLE[voltage], 0.4, "o", color=colour, ms=4, mfc="white", zorder=3)
        axes[1, 1].text(TABLE[voltage] / 1.5, 0.75, f"{voltage:g} V", color=colour, ha="right", fontsize=7, rotation=90)
    axes[1, 1].set(xlabel="time at constant voltage (s)", ylabel="vacancies N (1e26/m3)", xlim=(1e-10, 10))
    return drawn
