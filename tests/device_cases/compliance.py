"""The memristor that is set by compliance, and the select transistor."""

import jax
import jax.numpy as jnp

import hfsim
from hfsim.devices import Transistor
from hfsim.hybrid import memristor
from tests.device_cases import Case


def level(device):
    """SET at 50 uA, a month at 85 C."""
    state = device.set(device.init((), jax.random.key(0)), jnp.asarray(50.0))
    return device.conductance(device.wait(state, 2.6e6, 358.0)) / 50


def transistor():
    return hfsim.load_card("cea-leti-2025-hybrid").build(Transistor, "transistor_saturation")


def current(device):
    """Weak and strong inversion, linear and saturated."""
    return sum(jnp.log(1e-3 + device.current(V_G, 0.0, V_D)) for V_G, V_D in ((1.4, 1.0), (2.5, 0.2), (3.0, 3.0))) / 10


CASES = [
    # RESET leaves less than SET makes; the path's derivative in time is one of its distribution
    Case(
        "compliance",
        lambda: memristor(hfsim.load_card("cea-leti-2025-hybrid")),
        level,
        insensitive=("G_reset", "sigma_reset"),
        implicit=("t_0", "E_relax"),
    ),
    Case("transistor", transistor, current, insensitive=("A_VT",)),
]
