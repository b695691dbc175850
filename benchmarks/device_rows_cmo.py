"""The CMO/HfOx cell: 1 us pulses a second in float32, their error, and what a gradient costs.

The reference is the article's ODE written anew in SI units and integrated by scipy (LSODA, relative tolerance 1e-10,
the current by Brent's method): one device and pulse at a time, and the truth for the error.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import hfsim
from benchmarks.measure import Row, best_seconds
from hfsim.devices import Pulse, apply_train
from hfsim.devices.memristor.cmo import CMOCell, CMOState
from hfsim.devices.memristor.series import SelectResistance

DEVICES, PULSES = 1024, 1024  # an array that fits a core's cache; larger ones run in tiles of it
FEW = 256
BAR_PULSES, BAR_GRADIENT = 2e6, 5.0
STATES = (7e24, 1.2e25, 1.64e25, 2.5e25, 3.77e25)  # m^-3
R_SET, R_RESET = 300.0, 100.0  # ohm
T_0 = 293.0  # K


def exact_pulse(C: float, V: float, seconds: float, R: float, T_0: float = T_0) -> float:
    """C [1/m3] after a rectangular pulse of V [V] over the cell and R [ohm], at ambient T_0 [K]."""
    q, k, L, R_s = 1.60219e-19, 1.38062e-23, 12e-9, 223.2217

    def rate(_, y):
        C = np.exp(y[0])
        a, size = max(2e-9, 3.6369e-9 - 3.0738e-35 * C), abs(V)

        def residual(I):
            T, F = T_0 + 1.4e6 * I * (size - I * R), (size - I * (R + R_s)) / L
            hop = np.exp(-(1.275579e-20 - 3.69733e-47 * C) / (k * T)) * 2 * np.sinh(q * F * a / (2 * k * T))
            return I - 1.44 * np.pi * (11e-9) ** 2 * q * C * a * 2e13 * hop

        I = brentq(residual, 0, size / (R + R_s), xtol=1e-18, rtol=1e-14)
        T, F = T_0 + 1.4e6 * I * (size - I * R), (size - I * (R + R_s)) / L
        E = 1.499179e-19 + 2.288824e-45 * C if V > 0 else 1.18 * q
        return [
            np.sign(V) * 4e3 / L * np.exp(-E / (k * T)) * 2 * np.sinh(q * F * 1e-9 / (k * T)) * (1 - C / 1e28) ** 10
        ]

    solution = solve_ivp(rate, (0, seconds), [np.log(C)], method="LSODA", rtol=1e-10, atol=1e-12)
    return float(np.exp(solution.y[0, -1]))


def _worst_error(cell: CMOCell) -> tuple[float, float]:
    """Largest relative error of G after one 1 us pulse from each state, and scipy's seconds a pulse."""
    states = [(C, V, R) for C in STATES for V, R in ((1.35, R_SET), (-1.3, R_RESET))]
    began = time.perf_counter()
    exact = np.array([exact_pulse(C, V, 1e-6, R) for C, V, R in states])
    seconds = (time.perf_counter() - began) / len(states)
    C, V = (jnp.asarray(values) for values in list(zip(*states, strict=True))[:2])
    after = jax.jit(lambda c, v: c.apply(CMOState(jnp.log(C * 1e-27)), Pulse(v, 1000.0), temperature=T_0))(cell, V)
    ends = after, CMOState(jnp.log(jnp.asarray(exact * 1e-27)))
    G, G_exact = (np.asarray(cell.conductance(s, temperature=T_0)) for s in ends)
    return float(np.max(np.abs(G / G_exact - 1))), seconds


def rows() -> list[Row]:
    """Pulses, their error, and the gradient of a train's end with respect to every parameter and amplitude."""
    card = hfsim.load_card("cmo-hfox-2025")
    cell = card.build(CMOCell, "cell", series=card.build(SelectResistance, "series"))
    state = CMOState(jnp.log(jnp.linspace(0.007, 0.0377, DEVICES)))

    def train(cell, V, state):
        return jnp.mean(apply_train(cell, state, Pulse(V, 1000.0), temperature=T_0)[0].log_C)

    def amplitudes(count):
        return jnp.where(jnp.arange(count) % 20 < 10, 1.35, -1.3)

    forward, both = jax.jit(train), jax.jit(jax.value_and_grad(train, argnums=(0, 1)))
    V = amplitudes(PULSES)
    pulse = best_seconds(lambda: forward(cell, V, state)) / (DEVICES * PULSES)
    gradient = best_seconds(lambda: both(cell, V, state)) / (DEVICES * PULSES)

    def reverse_bytes(count):
        few = CMOState(state.log_C[:256])
        return both.lower(cell, amplitudes(count), few).compile().memory_analysis().temp_size_in_bytes

    growth = reverse_bytes(64 * FEW) / reverse_bytes(FEW)
    error, scipy_pulse = _worst_error(cell)
    return [
        Row(
            f"CMO/HfOx cell, a 1 us pulse ({1e-6 / pulse:.2f} M/s), worst error of G {100 * error:.4f} %",
            pulse,
            "scipy LSODA, rtol 1e-10",
            scipy_pulse,
            scipy_pulse / pulse,
            f"at least {BAR_PULSES:g} pulses a second",
            pulse <= 1 / BAR_PULSES,
        ),
        Row(
            "  its value and gradient, a pulse",
            gradient,
            "the value alone",
            pulse,
            pulse / gradient,
            f"at most {BAR_GRADIENT:g} times the value",
            gradient <= BAR_GRADIENT * pulse,
        ),
        Row(
            f"  memory of reverse mode from {FEW} to {64 * FEW} pulses: {growth:.1f} times",
            gradient,
            "the value alone",
            pulse,
            pulse / gradient,
            "at most 8 times, the square root of 64, and half as much for what does not grow",
            growth <= 12,
        ),
    ]
