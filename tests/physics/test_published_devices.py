"""Devices against published numbers.

Sources: Martemucci et al., Nature Electronics 8, 921 (2025) for the chip; Alessandri et al., EDL 39, 1780 (2018)
and Deng et al., VLSI (2020) for the kinetics; Francois et al., IEDM (2021) for the 16 kbit array of the same stack.
"""

import dataclasses
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.circuits import FloatingLine
from hfsim.devices import Pulse
from hfsim.devices.relaxation import arrhenius_acceleration
from hfsim.hybrid import MECHANISMS, ferroelectric_capacitor, memristor, transfer_line

ROOT = Path(__file__).resolve().parents[2]
HZO_DATA = ROOT / "../shared/data/measured/hzo_switching_kinetics_literature.csv"
fraction = jax.jit(
    lambda capacitor, voltage, width: capacitor.kinetics.switched_fraction(
        *jnp.broadcast_arrays(capacitor.field(voltage), width)
    )
)


share = jax.jit(lambda line, capacitor, state, pulse: line.share(capacitor, state, pulse))


@pytest.fixture
def cell(card):
    """The chip's minimum FeCAP."""
    return ferroelectric_capacitor(card)


@pytest.fixture
def small_cell(cell):
    """The same film on 0.16 um2, the smallest area with an open window."""
    return eqx.tree_at(lambda c: c.S, cell, jnp.float32(0.16))


# --------------------------------------------------------------------------------------- switching kinetics


def test_the_8_nm_set_reproduces_its_switching_data(x64):
    # Setup: 286 pulses, 0.2 us to 2 ms, 0.6 to 1.8 V, from saturation down. Reference: the measured P; the published
    # set was fitted to them, to 0.79 % of 2 P_r. Tolerance: 1 %.
    if not HZO_DATA.exists():
        pytest.skip(f"needs {HZO_DATA.name}, which is no part of the project, in {HZO_DATA.parent}")
    data = np.genfromtxt(HZO_DATA, delimiter=",", names=True)
    capacitor = ferroelectric_capacitor(hfsim.load_card("hzo-8nm-switching"))
    switched = fraction(capacitor, jnp.asarray(data["amp"]), jnp.asarray(data["pw"] * 1e9))
    P = float(capacitor.P_r) * (2 * np.asarray(switched) - 1)
    rmse = np.sqrt(np.mean((P - data["P"]) ** 2)) / (2 * float(capacitor.P_r))
    assert rmse < 0.01


# The chip's tau0 is no published number; three statements bound it, under either mechanism's field scale.
SETS = pytest.mark.parametrize("kinetics", ["kinetics", "kinetics_starvation"])


@SETS
def test_3_volts_for_2_us_saturate_the_cell(card, kinetics):
    # the pulse of the distributions over 16,384 cells; saturated: more than 98 % switched. Measured 99.9 and 99.1 %.
    assert float(fraction(ferroelectric_capacitor(card, kinetics=kinetics), 3.0, 2000.0)) > 0.98


@SETS
def test_2_5_volts_still_open_the_window(card, kinetics):
    # Criterion: the same 2 us leave more than 90 % of the window, far above the worst cell's third (120 of 360 mV).
    # Measured 99.6 and 97.8 %.
    assert float(fraction(ferroelectric_capacitor(card, kinetics=kinetics), 2.5, 2000.0)) > 0.9


@SETS
def test_4_volts_switch_in_4_ns(card, kinetics):
    # more than 90 % switched; measured 99.5 and 97.2 %
    assert float(fraction(ferroelectric_capacitor(card, kinetics=kinetics), 4.0, 4.0)) > 0.9


def test_the_10_us_transfer_pulse_saturates_the_cell(cell):
    assert float(fraction(cell, 3.5, 1e4)) > 0.99


# ---------------------------------------------------------------------------------------- charge and energy


def test_the_minimum_cell_has_the_published_charge_capacitance_and_energy(cell):
    # 2 P_r S = 71.1 fC, C_D = 9.5 fF, 213 fJ at 3 V; the published energies are 200 to 300 fJ per bit
    assert float(cell.switching_charge) == pytest.approx(71.1, abs=0.05)
    assert float(cell.capacitance) == pytest.approx(9.5, abs=0.05)
    assert 3.0 * float(cell.switching_charge) == pytest.approx(213.0, abs=0.5)


def test_the_smallest_cell_has_its_charge_capacitance_and_energy(small_cell):
    # scaled by area: 31.6 fC, 4.21 fF, 95 fJ, and 164 mV on the same line
    charge, C_D = float(small_cell.switching_charge), float(small_cell.capacitance)
    assert charge == pytest.approx(31.6, abs=0.05)
    assert C_D == pytest.approx(4.21, abs=0.02)
    assert 3.0 * charge == pytest.approx(95.0, abs=0.5)
    assert 1e3 * charge / (188.0 + C_D) == pytest.approx(164.0, abs=0.5)


def memory_window(card, capacitor):
    """Line voltage of a stored 1 less that of a stored 0 [mV], read at 3 V for 2 us."""
    line = card.build(FloatingLine, "bit_line")
    state = capacitor.init((2, 1), up=jnp.array([[0.0], [1.0]]))
    _, voltage = share(line, capacitor, state, Pulse(3.0, 2000.0))
    return 1e3 * float(voltage[0] - voltage[1])


def test_the_memory_window_is_360_mv(card, cell):
    # A consistency check and no prediction: 2 P_r was derived from the published window and C_BL = 188 fF. What it
    # does test is that the read on the line still switches the cell: at 2.5 V left on the film, to 0.5 %.
    assert memory_window(card, cell) == pytest.approx(360.0, rel=5e-3)


def test_the_memory_window_of_the_smallest_cell_is_164_mv(card, small_cell):
    # a prediction by area, which the article's array confirms as open
    assert memory_window(card, small_cell) == pytest.approx(164.0, rel=5e-3)


def test_a_large_cell_starves_its_own_field(card, cell):
    # 1.44 um2 would make 1259 mV by the linear formula; the 1.8 V left on the film switch 93 % of it
    large = eqx.tree_at(lambda c: c.S, cell, jnp.float32(1.44))
    linear = 1e3 * float(large.switching_charge) / (188.0 + float(large.capacitance))
    assert linear == pytest.approx(1259.0, abs=5.0)
    assert 0.8 * linear < memory_window(card, large) < 0.95 * linear


# ------------------------------------------------------------------------------------------- the level table


@pytest.fixture(scope="module", params=MECHANISMS)
def levels(request):
    """Mechanism, computed levels, line voltages, published levels."""
    card = hfsim.load_card("cea-leti-2025-hybrid")
    computed, voltages = jax.jit(lambda t: (t.levels(), t.line_voltages()))(transfer_line(card, request.param))
    published = np.asarray(card.quantity("levels", "mean", "uS"))
    return request.param, np.asarray(computed), np.asarray(voltages), published


def test_the_fitted_codes_are_met(levels):
    # four codes, four free parameters (saturation: V_T0, KP, V_loss, R_s; starvation: V_T0, KP, b, C_L)
    _, computed, _, published = levels
    np.testing.assert_allclose(computed[[0, 2, 4, 7]], published[[0, 2, 4, 7]], atol=0.1)


def test_the_held_out_codes_are_predicted(levels):
    # Tolerance: 2 uS, against 8.7 uS of spread; measured 0.8 (saturation) and 1.5 (starvation)
    _, computed, _, published = levels
    held_out = [1, 3, 5, 6]
    assert np.sqrt(np.mean((computed - published)[held_out] ** 2)) < 2.0


def test_the_two_mechanisms_differ_in_the_line_voltage(levels):
    # Published: V_TL close to linear in the stored charge. Departure from the least-squares line over its span:
    # measured 2.3 % where the transistor limits, 17 % where the field starves.
    mechanism, _, voltages, _ = levels
    code = np.arange(8)
    line = np.polyval(np.polyfit(code, voltages, 1), code)
    departure = np.abs(voltages - line).max() / np.ptp(voltages)
    assert departure < 0.03 if mechanism == "saturation" else departure > 0.1


def test_the_published_spread_is_the_memristor_s(card):
    # sigma_W = 7 sigma_G/(mu_7 - mu_0) = 0.594 in units of levels
    mean = card.quantity("levels", "mean", "uS")
    assert 7 * float(memristor(card).sigma_set) / (mean[-1] - mean[0]) == pytest.approx(0.594, abs=5e-4)
    assert float(memristor(card).sigma_set) == pytest.approx(card.quantity("levels", "sigma", "uS"))


def test_conductance_is_0_9_per_microampere(card):
    # G about 0.9 I_cc in the article's figure, at 25.8, 50.0 and 66.6 uA
    G = memristor(card).mean_conductance(jnp.array([25.8, 50.0, 66.6]))
    np.testing.assert_allclose(G, 0.9 * np.array([25.8, 50.0, 66.6]), rtol=0.02)


# ------------------------------------------------------------------------------------------------ retention


def test_levels_stay_for_a_month_within_their_spread(card):
    # "stable over a month": the nominal top level moves by less than half of the published spread
    cell = dataclasses.replace(memristor(card), sigma_set=0.0)
    state = cell.program(cell.init((2000,), jax.random.key(0)), jnp.full(2000, 103.9))
    G = np.asarray(cell.conductance(cell.wait(state, 30 * 86400.0)))
    assert np.abs(G - 103.9).mean() < 8.7 / 2


def test_ten_years_at_rest_leave_the_bits(card, cell):
    state = cell.write(cell.init((2,)), jnp.array([0, 1]), Pulse(3.0, 2000.0))
    rested = cell.wait(state, 3.156e8, 398.15)
    np.testing.assert_allclose(cell.polarisation(rested), cell.polarisation(state), rtol=1e-5)


def test_bakes_of_hfo2_accelerate_by_their_activation_energy(x64):
    # time to four times R: 1.34e5 s at 200 C and 29 s at 300 C, a ratio of 4621; 1.98 eV fitted to three such points
    ratio = arrhenius_acceleration(1.98, 573.15) / arrhenius_acceleration(1.98, 473.15)
    assert float(ratio) == pytest.approx(1.34e5 / 29.0, rel=0.1)
