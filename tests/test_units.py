"""The unit system: its identities, its constants, the parser, and the units that models declare."""

import math

import numpy as np
import pytest
import scipy.constants as si
from hypothesis import given
from hypothesis import strategies as st

import hfsim
from hfsim import units
from hfsim.devices import Pulse, Transistor
from hfsim.errors import InputError
from hfsim.hybrid import ferroelectric_capacitor, memristor
from hfsim.parameters import specifications
from hfsim.units import convert, duration, factor, parse_unit, seconds
from tests.declared_models import model_classes


@pytest.mark.parametrize(
    ("product", "unit", "value"),
    [
        ("uA ns", "fC", 1),
        ("uS V", "uA", 1),
        ("fF V", "fC", 1),
        ("fC V", "fJ", 1),
        ("kohm uA", "mV", 1),
        ("1/uS", "Mohm", 1),
        ("uC/cm2", "fC/um2", units.CHARGE_OF_POLARISATION),
        ("V/nm", "MV/cm", units.FIELD_OF_VOLT_PER_NM),
        ("s", "ns", units.NANOSECONDS),
        ("mV um", "V nm", 1),
    ],
)
def test_the_unit_system_is_closed(product, unit, value):
    assert factor(product, unit) == pytest.approx(value, rel=1e-12)


def test_a_polarisation_over_an_area_is_a_charge_in_fc():
    # 2 P_r S of the chip's cell: 19.75 uC/cm2 on 0.36 um2 is 71.1 fC
    assert convert(19.75 * 0.36, "uC um2/cm2", "fC") == pytest.approx(71.1, rel=1e-12)


def test_constants_are_those_of_si_in_our_units():
    # CODATA 2022 moved eps0 in its tenth digit
    assert units.VACUUM_PERMITTIVITY == pytest.approx(convert(si.epsilon_0, "F/m", "fF/um"), rel=1e-8)
    assert units.BOLTZMANN == pytest.approx(convert(si.k, "J/K", "eV/K"), rel=1e-9)
    assert units.thermal_voltage(300.0) == pytest.approx(si.k * 300 / si.e, rel=1e-9)


def test_a_plate_capacitor_has_the_published_capacitance():
    # the chip's cell: eps_r 29.7, 0.36 um2, 10 nm make 9.47 fF
    assert units.VACUUM_PERMITTIVITY * 29.7 * 0.36 / 10e-3 == pytest.approx(9.47, abs=5e-3)


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        (250.0, "mV", "V", 0.25),
        (2.5, "MV/cm", "V/nm", 0.25),
        (1.0, "eV", "J", si.e),
        (50.0, "kohm", "ohm", 5e4),
        (265.0, "uA/V2", "A/V2", 265e-6),
        (1.0, "uC cm-2", "C/m2", 1e-2),
        (3.0, "1", "1", 3.0),
    ],
)
def test_conversions(value, source, target, expected):
    assert convert(value, source, target) == pytest.approx(expected, rel=1e-12)


def test_arrays_convert_element_by_element():
    np.testing.assert_allclose(convert(np.array([1.0, 2.0]), "V", "mV"), [1000.0, 2000.0], rtol=1e-12)


SIBLINGS = [("uS", "S", "1/ohm"), ("fJ", "J", "eV"), ("V/nm", "MV/cm", "V/um"), ("ns", "s", "ms")]


@given(st.sampled_from(SIBLINGS), st.permutations(range(3)))
def test_conversions_compose(names, order):
    a, b, c = (names[i] for i in order)
    assert factor(a, b) * factor(b, c) == pytest.approx(factor(a, c), rel=1e-12)


@pytest.mark.parametrize("text", ["Us", "furlong", "uC/", "/", "J/K/m", "V2.5", "12", "m0", "1m", "u", "k1"])
def test_what_is_no_unit_is_refused(text):
    with pytest.raises(InputError, match="`unit` must") as caught:
        parse_unit(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["", "  ", None, 3])
def test_a_missing_unit_is_refused_with_the_remedy(text):
    with pytest.raises(InputError, match='write "1" for a pure number'):
        parse_unit(text)


def test_a_conversion_between_dimensions_is_refused():
    with pytest.raises(InputError, match="`unit` must be of the same dimension as fF, but was uS"):
        convert(1.0, "uS", "fF")


def test_every_declared_unit_is_one():
    declared = {(c.__name__, n): s.unit for c in model_classes() for n, s in specifications(c).items()}
    assert len(declared) > 50  # the walk found the models
    for place, unit in declared.items():
        assert math.isfinite(parse_unit(unit).scale), place


# --------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 s", 1.0),
        ("90 seconds", 90.0),
        ("2.5min", 150.0),
        ("15 mins", 900.0),
        (" 1 h ", 3600.0),
        ("3 hours", 10800.0),
        ("1 d", 86400.0),
        ("7 days", 604800.0),
        ("1 week", 604800.0),
        ("12 months", 365.25 * 86400),
        ("10 years", 3652.5 * 86400),
        ("1e3 a", 365250.0 * 86400),
        ("1e-3 s", 1e-3),
    ],
)
def test_times_as_people_write_them(text, expected):
    assert seconds(text) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    ["", "1", "h", "1 ms", "1 as", "1 ss", "1 ds", "-1 s", "1.2.3 h", ". s", "1 h 3 min", "1 Year", None, 3600.0],
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(
        InputError, match='`time` must be a number with a unit of time, as in "10 years", but was'
    ) as error:
        seconds(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0.0, "0 s"),
        (0.5, "0.5 s"),
        (59.9, "59.9 s"),
        (60.0, "1 min"),
        (7200.0, "2 h"),
        (86400.0, "1 day"),
        (86400.1, "1 day"),
        (129600.0, "1.5 days"),
        (604800.0, "1 week"),
        (365.25 * 864000, "10 years"),
    ],
)
def test_a_duration_reads_well(time, text):
    assert duration(time) == text


@given(st.floats(1e-6, 1e15))
def test_a_duration_is_read_back_to_three_digits(time):
    assert seconds(duration(time)) == pytest.approx(time, rel=5.1e-3)


# The dimensional tests: each formula in SI numbers and SI constants gives what hfsim gives in its own units.


def in_si(model, name):
    unit = specifications(type(model))[name].unit
    return float(getattr(model, name)) * parse_unit(unit).scale


def test_formulas_of_the_capacitor_agree_with_si(card):
    c = ferroelectric_capacitor(card)
    P_r, S, t, eps_r = (in_si(c, name) for name in ("P_r", "S", "t", "eps_r"))
    assert convert(float(c.switching_charge), "fC", "C") == pytest.approx(2 * P_r * S, rel=1e-6)
    assert convert(float(c.capacitance), "fF", "F") == pytest.approx(si.epsilon_0 * eps_r * S / t, rel=1e-6)
    assert convert(float(c.field(3.0)), "MV/cm", "V/m") == pytest.approx(3.0 / t, rel=1e-6)


def test_formulas_of_the_transistor_agree_with_si(card):
    transistor = card.build(Transistor, "transistor_saturation")
    V_T0, n, KP, W, L = (in_si(transistor, name) for name in ("V_T0", "n", "KP", "W", "L"))
    U_T = si.k * 300 / si.e
    # saturated: the reverse term is nothing at V_D = 20 V
    ampere = 2 * n * KP * (W / L) * U_T**2 * math.log1p(math.exp((3.0 - V_T0) / (2 * n * U_T))) ** 2
    V_eff = 2 * U_T * math.log1p(math.exp((3.0 - V_T0) / (2 * n * U_T)))
    ampere /= 1 + V_eff / (L * in_si(transistor, "E_sat"))
    assert convert(float(transistor.current(3.0, 0.0, 20.0)), "uA", "A") == pytest.approx(ampere, rel=1e-5)


def test_the_memristor_s_conductance_agrees_with_si(card):
    cell = memristor(card)
    siemens = 50e-6 / in_si(cell, "V_C")
    assert convert(float(cell.mean_conductance(50.0)), "uS", "S") == pytest.approx(siemens, rel=1e-6)


def test_a_pulse_in_si_comes_in_by_conversion():
    pulse = Pulse(convert(3000.0, "mV", "V"), convert(2.0, "us", "ns"))
    assert float(pulse.voltage) == 3.0 and float(pulse.width) == 2000.0


def test_the_package_states_its_version():
    assert hfsim.__version__
