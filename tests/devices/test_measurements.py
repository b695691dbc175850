"""Measurements of a capacitor: loops, PUND, reversal curves, switching map, against what they must be."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.devices import (
    GB2Domains,
    Pulse,
    ferroelectric_capacitor,
    first_order_reversal_curves,
    hysteresis_loop,
    pund,
    switching_map,
    transient,
    triangle,
)
from hfsim.devices.ferroelectric import (
    Endurance,
    HysteresisLoop,
    ImprintTrace,
    Pund,
    RetentionBake,
    ReversalCurves,
    SwitchingMap,
    Transient,
)
from hfsim.devices.ferroelectric.leakage import OhmicLeakage
from hfsim.errors import InputError
from hfsim.units import parse_unit

measured_loop = jax.jit(hysteresis_loop, static_argnames=("steps", "cycles"))
reversal_curves = jax.jit(first_order_reversal_curves, static_argnames="steps")
four_pulses = jax.jit(pund)
PERIOD = 1e5  # ns: 10 kHz, at which the chip's test device is cycled


@pytest.fixture
def capacitor(card):
    """The chip's minimum cell."""
    return ferroelectric_capacitor(card)


def coercive_voltages(loop):
    """Voltages at which P crosses zero, rising and falling; P is monotone on each branch."""
    voltage, P = np.asarray(loop.voltage), np.asarray(loop.polarisation)
    crossing = np.flatnonzero(np.diff(np.sign(P)) != 0)
    return voltage[crossing + 1]


def test_a_saturated_loop_passes_zero_field_at_the_remanent_polarisation(capacitor):
    # +-3 V saturate: 0.15 % of the domains are too hard, see the published 3 V/2 us
    loop = measured_loop(capacitor, 3.0, PERIOD)
    at_zero = np.asarray(loop.polarisation)[np.abs(np.asarray(loop.voltage)) < 1e-6]
    np.testing.assert_allclose(at_zero, np.array([1, -1]) * float(capacitor.P_r), rtol=5e-3)


@pytest.mark.parametrize("amplitude", [3.0, 1.5])
def test_a_loop_is_closed(capacitor, amplitude):
    # it ends where the cycle before ended; the first cycle from saturation may differ
    one, two = (measured_loop(capacitor, amplitude, PERIOD, cycles=n).polarisation for n in (2, 3))
    np.testing.assert_allclose(one, two, atol=5e-3 * 2 * float(capacitor.P_r))
    assert abs(float(two[-1] - one[-1])) < 2e-3 * 2 * float(capacitor.P_r)


def test_a_loop_is_symmetric(capacitor):
    loop = measured_loop(capacitor, 3.0, PERIOD)
    first, second = np.split(np.asarray(loop.polarisation), 2)
    np.testing.assert_allclose(first, -second, atol=5e-3 * float(capacitor.P_r))


def test_a_loop_turns_anticlockwise_and_encloses_the_switching_charge(capacitor):
    # work per cycle is the enclosed area; 4 P_r E_c for a square loop
    loop = measured_loop(capacitor, 3.0, PERIOD)
    E, P = np.asarray(loop.field), np.asarray(loop.polarisation)
    area = np.sum((E + np.roll(E, 1)) / 2 * (P - np.roll(P, 1)))
    mean_coercive = np.abs(coercive_voltages(loop)).mean()  # 1 V on 10 nm is 1 MV/cm
    assert area == pytest.approx(4 * float(capacitor.P_r) * mean_coercive, rel=0.2)


def test_a_faster_sweep_needs_more_field(capacitor):
    widths = [np.ptp(coercive_voltages(measured_loop(capacitor, 3.0, period))) for period in (1e6, 1e4, 1e2)]
    assert widths[0] < widths[1] < widths[2]


def test_a_small_sweep_gives_a_minor_loop(capacitor):
    minor = measured_loop(capacitor, 1.0, PERIOD, cycles=4).polarisation
    assert np.ptp(np.asarray(minor)) < 1.5 * float(capacitor.P_r)


def test_the_trace_has_the_field_of_its_voltage(capacitor):
    loop = measured_loop(capacitor, 2.0, PERIOD, steps=40)
    np.testing.assert_allclose(loop.field, np.asarray(loop.voltage) * 10 / float(capacitor.t), rtol=1e-6)
    assert float(loop.voltage.max()) == 2.0 and float(loop.voltage.min()) == -2.0
    assert loop.polarisation.shape == (40,)


def test_a_population_gives_a_loop_each(capacitor, key):
    loops = measured_loop(capacitor.sample((3,), key), 3.0, PERIOD, steps=40)
    assert loops.polarisation.shape == (40, 3)


def test_the_loop_is_differentiable(capacitor):
    # the first steps flip shares of 1e-40, which once gave NaN
    def opening(amplitude):
        return jnp.sum(hysteresis_loop(capacitor, amplitude, PERIOD, steps=40).polarisation[:20])

    both = jax.jit(jax.value_and_grad(opening))
    _, slope = both(1.2)
    expected = (float(both(1.205)[0]) - float(both(1.195)[0])) / 0.01
    assert float(slope) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("steps", [0, 4, 10, -8])
def test_a_wrong_number_of_steps_is_refused(capacitor, steps):
    with pytest.raises(InputError, match="`steps` must be a multiple of 4, at least 8"):
        hysteresis_loop(capacitor, 3.0, PERIOD, steps=steps)


def test_a_wrong_number_of_cycles_is_refused(capacitor):
    with pytest.raises(InputError, match="`cycles` must be at least 1"):
        hysteresis_loop(capacitor, 3.0, PERIOD, cycles=0)


# --------------------------------------------------------------------------------------------------- PUND


def test_pund_of_a_linear_leaky_dielectric_is_exactly_zero(capacitor):
    linear = dataclasses.replace(capacitor, P_r=0.0, leakage=OhmicLeakage(sigma=0.02))
    _, seen = four_pulses(linear, 2.5, 1e3)
    assert float(seen.positive) == pytest.approx(0.02 * 2.5 * 0.36 * 1e3, rel=1e-4)  # it leaks 18 fC
    for name in ("switched_positive", "switched_negative"):
        assert float(getattr(seen, name)) == 0.0


def test_pund_of_a_saturated_loop_is_twice_the_remanence(capacitor):
    leaky = dataclasses.replace(capacitor, leakage=OhmicLeakage(sigma=0.02))
    _, seen = four_pulses(leaky, 3.0, 2000.0)
    for name in ("switched_positive", "switched_negative"):
        assert float(getattr(seen, name)) == pytest.approx(2 * 9.875, rel=5e-3)


def test_pund_takes_a_population_and_a_key(capacitor, key):
    many = dataclasses.replace(capacitor, P_r=jnp.array([5.0, 10.0]))
    np.testing.assert_allclose(four_pulses(many, 3.0, 2000.0)[1].switched_positive, [10.0, 20.0], rtol=5e-3)
    domains = dataclasses.replace(capacitor, kinetics=GB2Domains(capacitor.kinetics, domains=100))
    assert float(four_pulses(domains, 3.0, 2000.0, key=key)[1].switched_positive) == pytest.approx(19.75, rel=0.03)


# ------------------------------------------------------------------------------------- transient and current


def test_the_current_is_the_charge_s_derivative(capacitor):
    leaky = dataclasses.replace(capacitor, leakage=OhmicLeakage(sigma=1e-3))
    state = leaky.init(())
    _, seen = jax.jit(lambda c, s: transient(c, s, triangle(3.0, 1e5, steps=40)))(leaky, state)
    np.testing.assert_allclose(np.cumsum(np.asarray(seen.current)) * 1e5 / 40, seen.charge, rtol=1e-3, atol=0.05)
    # over a closed cycle displacement comes back to the start but for what switched in the first half; leakage cancels
    assert float(seen.charge[-1]) == pytest.approx(0.0, abs=0.02 * 71.1)


# ---------------------------------------------------------------------------------------- reversal curves


def test_reversal_curves_start_on_the_descending_branch_and_end_together(capacitor):
    curves = reversal_curves(capacitor, 3.0, 1e5, steps=24)
    P, n = np.asarray(curves.polarisation), 25
    assert P.shape == (n, n) and np.all(np.isnan(P[np.tril_indices(n, -1)]))
    assert np.all(np.diff(np.diag(P)) >= -1e-4)  # the descending branch, read from its lower end
    np.testing.assert_allclose(P[:, -1], P[-1, -1], rtol=0.01)
    rises = np.diff(P, axis=1)[:, 12:]  # on the way up from 0 V; below it the film still switches down
    assert np.all(rises[~np.isnan(rises)] >= -1e-4)


def test_the_everett_function_is_half_the_fall(capacitor):
    # E(a, b) = (P_a - P_ab)/2: zero where the curve starts, half of the whole loop from -3 V at low voltage
    curves = reversal_curves(capacitor, 3.0, 1e5, steps=24)
    E = np.asarray(curves.everett)
    np.testing.assert_allclose(np.diag(E), 0.0, atol=1e-5)
    assert np.nanmax(E) == pytest.approx(9.875, rel=0.02)


def test_reversal_curves_are_of_one_device(capacitor):
    with pytest.raises(InputError, match="`capacitor` must be one device"):
        first_order_reversal_curves(dataclasses.replace(capacitor, P_r=jnp.ones(2)), 3.0, 1e5)
    with pytest.raises(InputError, match="`steps` must be an integer >= 4"):
        first_order_reversal_curves(capacitor, 3.0, 1e5, steps=3)


# ------------------------------------------------------------------------------------------ switching map


def test_the_switching_map_is_one_pulse_each(capacitor):
    seen = jax.jit(lambda c: switching_map(c, jnp.array([1.0, 2.0]), jnp.array([10.0, 100.0, 1e3])))(capacitor)
    assert seen.switched.shape == (2, 3)
    one = capacitor.polarisation(capacitor.apply(capacitor.init(()), Pulse(2.0, 100.0))) + capacitor.P_r
    assert float(seen.switched[1, 1]) == pytest.approx(float(one), rel=1e-5)


def test_every_trace_states_its_units():
    for trace in (
        HysteresisLoop,
        Pund,
        ReversalCurves,
        SwitchingMap,
        Transient,
        Endurance,
        RetentionBake,
        ImprintTrace,
    ):
        assert set(trace.UNITS) == set(trace._fields)
        for unit in trace.UNITS.values():
            parse_unit(unit)
