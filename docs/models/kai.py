"""Figure of the KAI model: its switching curves beside the Lorentzian and GB2 ones, and the errors of their fits."""

import jax.numpy as jnp
import matplotlib.pyplot as plt

from hfsim.cards import load_card
from hfsim.devices.ferroelectric.gb2 import GB2Kinetics
from hfsim.devices.ferroelectric.kai import KAIKinetics
from hfsim.devices.ferroelectric.lorentzian import LorentzianKinetics

MODELS = (
    ("GB2", "hzo-8nm-switching", "kinetics", "ferroelectric_capacitor", GB2Kinetics),
    ("Lorentzian", "hzo-8nm-comparison", "lorentzian", "ferroelectric_capacitor_lorentzian", LorentzianKinetics),
    ("KAI", "hzo-8nm-comparison", "kai", "ferroelectric_capacitor_kai", KAIKinetics),
)


def figure():
    """P after one pulse from saturation of the 8.3 nm film, by the three models fitted to it."""
    figure, panels = plt.subplots(1, 3, figsize=(7.8, 2.9), layout="constrained", sharey=True)
    width = jnp.geomspace(2e2, 2e6, 120)
    for panel, voltage in zip(panels, (0.9, 1.1, 1.3), strict=True):
        for (name, source, section, capacitor, model), style in zip(MODELS, ("-", "--", ":"), strict=True):
            card = load_card(source)
            kinetics, P_r = card.build(model, section), card.quantity(capacitor, "P_r", "uC/cm2")
            field = 10 * voltage / card.quantity(capacitor, "t", "nm")
            state = kinetics.expose(kinetics.init(width.shape), jnp.full_like(width, field), width, 300.0)
            panel.semilogx(1e-3 * width, P_r * kinetics.polarisation(state), style, label=name, lw=1.8)
        panel.set(xlabel="pulse width (us)", title=f"{voltage} V on 8.3 nm")
    panels[0].set_ylabel("P (uC/cm$^2$)")
    panels[0].legend(frameon=False, loc="upper left")
    return figure
