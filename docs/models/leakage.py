"""Figure of the leakage currents of Heracles' capacitor: against field, and against temperature."""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from hfsim.cards import load_card
from hfsim.devices.ferroelectric.leakage import FowlerNordheim, PooleFrenkel


def figure():
    """Both currents against the field at two temperatures; Poole-Frenkel coordinates."""
    card = load_card("heracles-2024")
    emission, tunnelling = card.build(PooleFrenkel, "poole_frenkel"), card.build(FowlerNordheim, "fowler_nordheim")
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.0), layout="constrained")
    E = jnp.linspace(0.01, 8.0, 300)
    for temperature, style in ((300.0, "-"), (400.0, "--")):
        left.semilogy(
            E, emission.current_density(E, temperature), "C0" + style, label=f"Poole-Frenkel, {temperature:g} K"
        )
    left.semilogy(E, tunnelling.current_density(E, 300.0), "C1", label="Fowler-Nordheim")
    left.set(xlabel="E (MV/cm)", ylabel="J (uA/um$^2$)", ylim=(1e-10, 1e4), title="Heracles' film")
    left.legend(frameon=False, fontsize=8, loc="upper left")
    for temperature, colour in zip((250.0, 300.0, 350.0, 400.0), plt.cm.plasma(np.linspace(0, 0.8, 4)), strict=True):
        right.plot(
            np.sqrt(E), np.log(emission.current_density(E, temperature) / E), color=colour, label=f"{temperature:g} K"
        )
    right.set(xlabel="$E^{1/2}$ ((MV/cm)$^{1/2}$)", ylabel="ln J/E", title="emission: straight in these axes")
    right.legend(frameon=False, fontsize=8, ncols=2)
    return figure
