"""Figure of the variability page: where the spread of polarisation peaks, and a correlated pair of parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import hfsim
from hfsim.devices import FerroelectricCapacitor, GB2Kinetics, Pulse
from hfsim.devices.variability import Correlation, LogNormal, Population, RelativeNormal

NAMES = ("P_r", "kinetics.b")


def figure():
    """Left: mean and deviation of P after one pulse. Right: the draws behind it."""
    card = hfsim.load_card("hzo-8nm-switching")
    cell = card.build(FerroelectricCapacitor, "ferroelectric_capacitor", kinetics=card.build(GB2Kinetics, "kinetics"))
    voltages = jnp.linspace(0.4, 2.4, 61)
    shape, key = (400,), jax.random.key(0)

    def traces(population):
        cells = population.sample(shape, key)

        @jax.jit
        def after(voltage):
            return cells.polarisation(cells.apply(cells.init(shape), Pulse(voltage, 1000.0)))

        return np.asarray(jax.lax.map(after, voltages))

    fields = traces(Population(cell, {"kinetics.b": LogNormal(0.03)}))
    jittered = traces(Population(cell, {"P_r": RelativeNormal(0.03)}))
    fig, (left, right) = plt.subplots(
        1, 2, figsize=(8, 3), gridspec_kw={"width_ratios": [1.5, 1]}, layout="constrained"
    )
    left.plot(voltages, fields.std(axis=1), label="3 % of the field scale b")
    left.plot(voltages, jittered.std(axis=1), "--", label="3 % of P_r")
    coercive = np.interp(0.0, np.median(fields, axis=1), voltages)
    left.axvline(coercive, color="0.6", lw=0.8)
    left.annotate(f"median coercive\nvoltage {coercive:.2f} V", (coercive + 0.22, 2.1), color="0.4", fontsize=8)
    left.set(xlabel="amplitude of one 1 us pulse [V]", ylabel="device-to-device sigma(P) [uC/cm$^2$]")
    left.legend(frameon=False, loc="upper left", fontsize=8)
    matrix = jnp.array([[1.0, -0.7], [-0.7, 1.0]])
    spreads = {"P_r": RelativeNormal(0.05), "kinetics.b": LogNormal(0.05)}
    draw = eqx.filter_jit(Population(cell, spreads, (Correlation(matrix, NAMES),)).sample)((1500,), key)
    right.plot(draw.P_r, draw.kinetics.b, ".", ms=2)
    right.set(xlabel="P_r [uC/cm$^2$]", ylabel="field scale b [MV/cm]", title="correlation of z: -0.7")
    right.title.set_fontsize(9)
    return fig
