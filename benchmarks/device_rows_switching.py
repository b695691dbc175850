"""The comparison models of switching: device-pulses a second, and the price of value and gradient together.

Trains of pulses that reverse the film in part, on 256 devices of different thickness; compared with GB2 on 32 nodes in
the same run. Landau-Khalatnikov solves an ODE in each pulse, of which it gets fewer.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measure import Row, best_seconds
from hfsim.cards import load_card
from hfsim.devices import FerroelectricCapacitor, Pulse, apply_train, ferroelectric_capacitor
from hfsim.devices.ferroelectric.heracles import HeraclesKinetics
from hfsim.devices.ferroelectric.kai import KAIKinetics
from hfsim.devices.ferroelectric.landau_khalatnikov import LandauKhalatnikovKinetics
from hfsim.devices.ferroelectric.lorentzian import LorentzianKinetics
from hfsim.devices.ferroelectric.preisach import PreisachKinetics

DEVICES, PULSES, BAR_GRADIENT = 256, 64, 5.0
MODELS = (
    ("Lorentzian", LorentzianKinetics, "hzo-8nm-comparison", "lorentzian", "ferroelectric_capacitor_lorentzian", 1e4),
    ("KAI", KAIKinetics, "hzo-8nm-comparison", "kai", "ferroelectric_capacitor_kai", 1e4),
    ("Preisach", PreisachKinetics, "hzo-static-limits", "preisach", "ferroelectric_capacitor", 1e4),
    (
        "Landau-Khalatnikov",
        LandauKhalatnikovKinetics,
        "hzo-static-limits",
        "landau_khalatnikov",
        "ferroelectric_capacitor",
        2.0,
    ),
    ("Heracles", HeraclesKinetics, "heracles-2024", "heracles", "ferroelectric_capacitor", 1e7),
)


def _seconds(capacitor: FerroelectricCapacitor, width: float) -> tuple[float, float]:
    """Of a device-pulse: the value, and value and gradient in every parameter and amplitude."""
    generator = np.random.default_rng(0)
    thickness = jnp.asarray(float(capacitor.t) * generator.normal(1, 0.01, DEVICES), jnp.float32)
    voltage = jnp.asarray(generator.uniform(-1.4, 1.4, PULSES) * float(capacitor.t) / 8.3, jnp.float32)

    def total(capacitor, voltage):
        device = dataclasses.replace(capacitor, t=thickness * (capacitor.t / jax.lax.stop_gradient(capacitor.t)))
        state, _ = apply_train(device, device.init((DEVICES,)), Pulse(voltage, width))
        return jnp.sum(device.polarisation(state))

    forward, both = jax.jit(total), jax.jit(jax.value_and_grad(total, argnums=(0, 1)))
    value = best_seconds(lambda: forward(capacitor, voltage), repeats=5)
    gradient = best_seconds(lambda: both(capacitor, voltage), repeats=5)
    return value / (DEVICES * PULSES), gradient / (DEVICES * PULSES)


def rows() -> list[Row]:
    """Two rows a model: its speed beside the GB2 ensemble's, and its gradient beside its value."""
    reference, _ = _seconds(ferroelectric_capacitor(load_card("hzo-8nm-switching"), nodes=32), 50.0)
    result = []
    for name, kinetics, card, section, capacitor, width in MODELS:
        values = load_card(card)
        device = values.build(FerroelectricCapacitor, capacitor, kinetics=values.build(kinetics, section))
        value, gradient = _seconds(device, width)
        ratio, bar = reference / value, f"at most {BAR_GRADIENT:g} times the value"
        case = f"{name}: a device-pulse ({1e-6 / value:.2g} M/s)"
        result.append(Row(case, value, "GB2, 32 nodes, one core", reference, ratio, "none", None))
        holds = gradient <= BAR_GRADIENT * value
        result.append(Row("  value and gradient", gradient, "the value alone", value, value / gradient, bar, holds))
    return result
