"""Landau coefficients and the spinodal against their reference values."""

import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.cards import load_card
from hfsim.devices.ferroelectric.landau_khalatnikov import LandauKhalatnikovKinetics
from hfsim.units import convert


def test_coefficients_of_a_loop(x64):
    # P_r = 0.20 C/m2, E_c = 1e8 V/m: alpha = -6.495e8 m/F, beta = 8.119e9 m5/(F C2), four digits
    kinetics = LandauKhalatnikovKinetics.of_loop(20.0, 1.0, 0.1)
    assert convert(float(kinetics.alpha), "MV cm/uC", "V m/C") == pytest.approx(-6.495e8, rel=1e-4)
    assert convert(float(kinetics.beta), "V cm5/uC3", "V m5/C3") == pytest.approx(8.119e9, rel=1e-4)
    assert float(kinetics.remanent_polarisation) == pytest.approx(20.0, rel=1e-12)


def test_the_spinodal_is_at_p_r_over_root_3(x64):
    # the static field 2 alpha P + 4 beta P^3 is extreme there, at the coercive field
    kinetics = LandauKhalatnikovKinetics.of_loop(20.0, 1.0, 0.1)
    P = jnp.linspace(0.0, 20.0, 20_001)
    static = 2 * kinetics.alpha * P + 4e-6 * kinetics.beta * P**3
    assert float(P[jnp.argmin(static)]) == pytest.approx(20 / np.sqrt(3), abs=1e-3)
    assert float(static.min()) == pytest.approx(-1.0, rel=1e-6)


def test_the_card_is_that_loop():
    card = load_card("hzo-static-limits")
    kinetics = card.build(LandauKhalatnikovKinetics, "landau_khalatnikov")
    expected = LandauKhalatnikovKinetics.of_loop(card.quantity("ferroelectric_capacitor", "P_r", "uC/cm2"), 1.0, 0.1)
    assert float(kinetics.alpha) == pytest.approx(float(expected.alpha), rel=1e-5)
    assert float(kinetics.beta) == pytest.approx(float(expected.beta), rel=1e-5)
