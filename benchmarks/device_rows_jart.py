"""JART VCM v1b: 10,000 devices through a 1 us pulse, value and gradient, and the error against a tight solution.

The reference is written again in SI units and double precision, from the same equations: a dense scan for all roots
of the loop equation and Brent's method, SciPy's Radau for d ln N/dt. It serves the tests too.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
from scipy.constants import Boltzmann, e, electron_mass, epsilon_0, h
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import hfsim
from benchmarks.measure import Row, best_seconds
from hfsim.devices import Pulse
from hfsim.devices.memristor.jart import JartVCM

DEVICES, WIDTH, T_0 = 10_000, 1e3, 293.0
BAR_SECONDS = 10.0
COMPARED = 8
VOLTAGES = {"SET": (-0.9, -0.7), "RESET": (1.1, 1.4)}

SI = dict(
    phi_Bn0=0.18, phi_n=0.10, eps=17 * epsilon_0, eps_phiB=5.5 * epsilon_0, A_star=6.01e5, m_star=electron_mass,
    mu_n=4e-6, z=2, N_plug=20e26, N_max=20e26, N_min=0.008e26, r=45e-9, r_det=45e-9, l_cell=3e-9, l_disc=0.4e-9,
    a=0.25e-9, nu0=2e13, dW_A=1.35, R_TiOx=650.0, R_0=719.2437, R_th_line=90471.47, alpha_line=3.92e-3, R_th0=15.72e6,
    eta_reset=0.27, T_0=T_0,
)  # fmt: skip


class Reference:
    """The article's equations in SI units; arguments replace the default constants."""

    def __init__(self, **changed):
        self.p = {**SI, **changed}
        self.area = np.pi * self.p["r"] ** 2

    def resistances(self, N):
        """R_disc and R_plug."""
        p = self.p
        per_length = 1 / (p["z"] * e * p["mu_n"] * self.area)
        return p["l_disc"] * per_length / N, (p["l_cell"] - p["l_disc"]) * per_length / p["N_plug"]

    def series(self, I):
        p = self.p
        return p["R_TiOx"] + p["R_0"] * (1 + p["R_0"] * p["alpha_line"] * I**2 * p["R_th_line"])

    def temperature(self, I, V):
        p = self.p
        R_th = p["R_th0"] * (p["r_det"] / p["r"]) ** 2 * (1 if V < 0 else p["eta_reset"])
        return p["T_0"] + R_th * I * (V - I * self.series(I))

    def mismatch(self, I, V, N):
        """Contact's current less the line's I, at the contact voltage and the temperature that I gives."""
        p, T = self.p, self.temperature(I, V)
        V_s, kT = V - I * (sum(self.resistances(N)) + self.series(I)), Boltzmann * T / e
        psi = 0.002 * np.logaddexp(0, (p["phi_Bn0"] - p["phi_n"] - V_s) / 0.002)
        lowering = (e**3 * p["z"] * N * psi / (8 * np.pi**2 * p["eps_phiB"] ** 3)) ** 0.25
        phi = np.maximum(p["phi_Bn0"] - lowering, 0)
        if V > 0:
            return self.area * p["A_star"] * T**2 * np.exp(-phi / kT) * np.expm1(V_s / kT) - I
        W00 = h / (4 * np.pi) * np.sqrt(p["z"] * N / (p["m_star"] * p["eps"]))
        w = W00 / kT
        energy = np.pi * W00 * (np.maximum(-V_s, 0) + phi / np.cosh(w) ** 2)
        before = self.area * p["A_star"] * T * e / Boltzmann * np.sqrt(energy) * np.exp(-phi * np.tanh(w) / W00)
        return -before * np.expm1(-V_s * (w - np.tanh(w)) / W00) - I

    def currents(self, V, N):
        """Currents [A] of all roots, the smallest |V_s| first."""
        R = sum(self.resistances(N))
        most = brentq(lambda I: V - I * (R + self.series(I)), 0, 1.001 * V / (R + self.series(0)))
        grid = (
            most * np.sort(1 - np.concatenate([[0], np.geomspace(1e-7, 1e-2, 120), np.linspace(0.0105, 1, 400)]))[::-1]
        )
        below = self.mismatch(grid, V, N) * np.sign(V) < 0
        places = np.flatnonzero(below[:-1] & ~below[1:] | ~below[:-1] & below[1:])
        return [brentq(self.mismatch, grid[i + 1], grid[i], args=(V, N), xtol=1e-18, rtol=1e-13) for i in places]

    def rate(self, V, N):
        """d ln N/dt [1/s]."""
        p, I = self.p, self.currents(V, N)[0]
        kT = Boltzmann * self.temperature(I, V) / e
        if V < 0:
            E, F = I * self.resistances(N)[0] / p["l_disc"], 1 - (N / p["N_max"]) ** 10
        else:
            E, F = (V - I * self.series(I)) / p["l_cell"], 1 - (p["N_min"] / N) ** 10
        gamma = p["z"] * p["a"] * E / (np.pi * p["dW_A"])
        mean, half = p["dW_A"] * (np.sqrt(1 - gamma**2) + gamma * np.arcsin(gamma)), p["dW_A"] * gamma * np.pi / 2
        hops = np.exp(-(mean - half) / kT) - np.exp(-(mean + half) / kT)
        return -(p["N_plug"] + N) / 2 * p["a"] * p["nu0"] * hops * F / (p["l_disc"] * N)

    def settle(self, N, start, end, seconds):
        """N after the voltage went linearly from `start` to `end` in `seconds`."""

        def slope(share, x):
            return [seconds * self.rate(start + (end - start) * share, np.exp(x[0]))]

        found = solve_ivp(slope, (0, 1), [np.log(N)], method="Radau", rtol=1e-7, atol=1e-9, first_step=1e-9)
        return np.exp(found.y[0, -1])


def rows() -> list[Row]:
    """Seconds of the population for pulses of both signs, with the error of a few of its devices."""
    card = hfsim.load_card("jart-vcm-v1b")
    generator = np.random.default_rng(0)
    device = JartVCM.from_card(card)
    pulse = jax.jit(lambda device, N, V: device.apply(device.at(N), Pulse(V, WIDTH), temperature=T_0).x)
    slope = jax.jit(
        jax.value_and_grad(lambda d, N, V: jnp.mean(d.apply(d.at(N), Pulse(V, WIDTH), temperature=T_0).x), (0, 1, 2))
    )
    result = []
    for name, ends in VOLTAGES.items():
        # SET starts in the high-resistance state, RESET in the low-resistance one
        N = generator.uniform(*((0.0009, 0.01) if name == "SET" else (0.5, 1.99)), DEVICES).astype(np.float32)
        V = generator.uniform(*ends, DEVICES).astype(np.float32)
        seconds = best_seconds(lambda N=N, V=V: pulse(device, N, V), repeats=5)
        both = best_seconds(lambda N=N, V=V: slope(device, N, V), repeats=3)
        found, tight, spent = np.exp(pulse(device, N, V)), [], time.perf_counter()
        for i in range(COMPARED):
            tight.append(Reference().settle(1e27 * float(N[i]), float(V[i]), float(V[i]), 1e-9 * WIDTH) / 1e27)
        spent = (time.perf_counter() - spent) / COMPARED * DEVICES
        error = np.max(np.abs(np.log(found[:COMPARED] / np.array(tight))))
        moved = np.mean(np.abs(np.log(found / N)))
        result += [
            Row(
                f"JART {name}, {DEVICES:,} devices, 1 us (mean |d ln N| {moved:.2f}; worst error of ln N {error:.1e})",
                seconds,
                f"SciPy Radau, float64, scaled from {COMPARED} devices",
                spent,
                spent / seconds,
                f"at most {BAR_SECONDS:g} s",
                seconds <= BAR_SECONDS,
            ),
            Row(
                f"  value and gradient, {name}",
                both,
                "the value",
                seconds,
                seconds / both,
                "at most 5 x",
                both <= 5 * seconds,
            ),
        ]
    return result
