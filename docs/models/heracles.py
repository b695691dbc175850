"""Figure of Heracles' two-state model: loops at several rates, the coercive field, and rest."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from hfsim.cards import load_card
from hfsim.devices.ferroelectric.heracles import HeraclesKinetics
from hfsim.units import BOLTZMANN


def figure():
    """P against E for triangles of three periods; E_c of the formula and of simulated ramps; retention."""
    kinetics = load_card("heracles-2024").build(HeraclesKinetics, "heracles")
    figure, panels = plt.subplots(1, 3, figsize=(8.2, 2.9), layout="constrained")
    quarter = np.linspace(0, 2.0, 401)[1:]
    triangle = jnp.asarray(np.concatenate([quarter, 2 - quarter, -quarter, quarter - 2]))

    @jax.jit
    def sweep(fields, width, temperature):
        def step(state, field):
            state = kinetics.expose(state, field, width, temperature)
            return state, kinetics.polarisation(state)

        return jax.lax.scan(step, kinetics.init(()), fields)[1]

    for period, name in ((1e6, "1 ms"), (1e9, "1 s"), (1e12, "1000 s")):
        trace = sweep(jnp.tile(triangle, 2), period / len(triangle), 300.0)
        panels[0].plot(triangle, trace[len(triangle) :], label=name)
    panels[0].set(xlabel="E (MV/cm)", ylabel="$P/P_s$", xlim=(-3.2, 2.1), title="period, at 300 K")
    panels[0].legend(frameon=False, fontsize=7, loc="center left")
    rates, ramp = np.geomspace(1e1, 1e7, 40), np.arange(-0.2, 1.6, 2e-3)
    for temperature, colour in ((300.0, "C0"), (360.0, "C3")):
        panels[1].semilogx(
            rates, kinetics.coercive_field(1e-9 * rates, temperature), colour, label=f"{temperature:g} K"
        )
        for rate in (1e2, 1e4, 1e6):  # a ramp whose field sweeps kT/(d_E ln 2) in 1/rate
            per_second = rate * 10 * BOLTZMANN * temperature / float(kinetics.d_E) / np.log(2)
            trace = np.asarray(sweep(jnp.asarray(ramp), 1e9 * 2e-3 / per_second, temperature))
            panels[1].plot(rate, np.interp(0, trace, ramp) - float(kinetics.E_off), "o", color=colour, ms=4)
    panels[1].set(xlabel=r"$\nu$ (1/s)", ylabel="$E_c$ (MV/cm)", title="formula, and ramps (dots)")
    panels[1].legend(frameon=False, fontsize=8)
    time = jnp.geomspace(1.0, 1e6, 100)
    for field in (0.2, 0.0):
        state = kinetics.expose(kinetics.init(time.shape, up=1.0), jnp.full_like(time, field), 1e9 * time, 300.0)
        panels[2].semilogx(time, kinetics.polarisation(state), label=f"E = {field:g} MV/cm")
    panels[2].set(xlabel="time at rest (s)", ylabel="$P/P_s$", title="from up, at 300 K", ylim=(-1.1, 1.5))
    panels[2].legend(frameon=False, fontsize=7, loc="upper right")
    return figure
