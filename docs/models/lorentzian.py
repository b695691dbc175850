"""Figure of the Lorentzian model: its switching curves, and a train against its ensemble memory."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from hfsim.cards import load_card
from hfsim.devices.ferroelectric.lorentzian import LorentzianKinetics


def switched(kinetics, field, width):
    """Switched fraction after one pulse from saturation."""
    state = kinetics.init(jnp.broadcast_shapes(field.shape, width.shape))
    return (kinetics.polarisation(kinetics.expose(state, field, width, 300.0)) + 1) / 2


def figure():
    """Switching curves of the fitted set; polarisation along a train of both signs."""
    kinetics = load_card("hzo-8nm-comparison").build(LorentzianKinetics, "lorentzian")
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.0), layout="constrained")
    width = jnp.geomspace(1e-2, 1e9, 200)
    for field, colour in zip((0.8, 1.0, 1.4, 2.0), plt.cm.viridis(np.linspace(0.1, 0.8, 4)), strict=True):
        left.semilogx(width, switched(kinetics, jnp.asarray(field), width), color=colour)
        t_1 = float(jnp.exp(-kinetics.log_progress(field, 1.0, 300.0)))
        left.plot(t_1, 0.5, "o", color=colour, ms=4, label=f"{field} MV/cm")
    left.set(
        xlabel="pulse width (ns)",
        ylabel="switched fraction",
        ylim=(0, 1),
        title="one pulse; dots: $t_1$",
        xlim=(1e-2, 1e9),
    )
    left.legend(frameon=False, loc="upper left", fontsize=7.5)
    fields = jnp.asarray([1.2] * 20 + [-1.2] * 12 + [1.2] * 20)

    def step(state, field):
        state = kinetics.expose(state, field, 1e3, 300.0)
        return state, kinetics.polarisation(state)

    trace = jax.jit(lambda: jax.lax.scan(step, kinetics.init(()), fields)[1])()
    number = np.arange(1, len(fields) + 1)
    for sign, colour in ((1, "C3"), (-1, "C0")):
        chosen = np.asarray(fields) * sign > 0
        right.plot(
            number[chosen], np.asarray(trace)[chosen], "o", ms=3.5, color=colour, label=f"{sign * 1.2:+.1f} MV/cm"
        )
    right.set(xlabel="pulse number, 1 us each", ylabel="$P/P_r$", title="a train from saturation down")
    right.legend(frameon=False)
    return figure
