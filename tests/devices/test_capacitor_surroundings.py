"""What surrounds the film: interface layer, series resistance, leakage. The field is solved, not assumed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.devices import InterfaceLayer, Pulse, SeriesResistance, ferroelectric_capacitor
from hfsim.devices.ferroelectric.leakage import OhmicLeakage
from hfsim.errors import InputError

EPS0 = 8.8541878128e-14  # F/cm
apply = jax.jit(lambda c, s, p: c.apply(s, p))
respond = jax.jit(lambda c, s, p: c.respond(s, p))


@pytest.fixture
def capacitor(card):
    return ferroelectric_capacitor(card, nodes=64)


def linear(capacitor, **parts):
    """The capacitor without a ferroelectric part."""
    return dataclasses.replace(capacitor, P_r=0.0, **parts)


# ------------------------------------------------------------------------------------------------ interface


def test_the_depolarising_field_is_the_published_one(capacitor):
    # E_dep = -(P - sigma)/(eps0 [eps_r + eps_i t/t_i]), in SI, for P = 9.875 uC/cm2 and a layer of 0.5 nm
    layered = dataclasses.replace(capacitor, interface=InterfaceLayer(t_i=0.5, eps_i=20.0, sigma=3.0))
    expected = -(9.875 - 3.0) * 1e-6 / (EPS0 * (29.8 + 20.0 * 10 / 0.5)) * 1e-6  # MV/cm
    assert float(layered.film_field(0.0, 9.875)) == pytest.approx(expected, rel=1e-4)


def test_a_layer_divides_the_voltage_of_a_linear_film(capacitor):
    # two capacitors in series: E = V/(t + eps_r t_i/eps_i), and 1/C = 1/C_D + 1/C_i
    layered = linear(capacitor, interface=InterfaceLayer(t_i=1.0, eps_i=10.0))
    assert float(layered.film_field(3.0, 0.0)) == pytest.approx(10 * 3.0 / (10 + 29.8 / 10), rel=1e-5)
    C_D, C_i = float(capacitor.capacitance), 8.8541878128e-3 * 10.0 * 0.36 / 1e-3
    assert float(layered.capacitance) == pytest.approx(1 / (1 / C_D + 1 / C_i), rel=1e-5)
    state = layered.init(())
    assert float(layered.charge(state, 3.0)) == pytest.approx(3.0 * float(layered.capacitance), rel=1e-5)


def test_the_solved_field_satisfies_the_circuit(capacitor):
    # after a pulse the field is that of the polarisation reached: V = E t (1 + ...) + (P - sigma) t_i/(eps0 eps_i)
    layered = dataclasses.replace(capacitor, interface=InterfaceLayer(t_i=0.5, eps_i=20.0))
    state = apply(layered, layered.init(()), Pulse(2.0, 200.0))
    P = float(layered.polarisation(state))
    E = float(layered.film_field(2.0, P))
    assert abs(P) < 0.95 * 9.875
    volts = E * 1e6 * 10e-7 * (1 + 29.8 * 0.5 / (20.0 * 10)) + P * 1e-6 * 0.5e-7 / (EPS0 * 20.0)
    assert volts == pytest.approx(2.0, rel=1e-5)


def test_a_layer_slows_switching_and_lets_the_film_depolarise(capacitor):
    layered = dataclasses.replace(capacitor, interface=InterfaceLayer(t_i=0.5, eps_i=20.0))
    polarisation = [float(c.polarisation(apply(c, c.init(()), Pulse(1.5, 100.0)))) for c in (capacitor, layered)]
    assert polarisation[1] < polarisation[0] - 0.5
    wait = jax.jit(lambda c, s: c.wait(s, 1e5, 358.0))
    written = apply(layered, layered.init(()), Pulse(3.0, 2000.0))
    lost = float(layered.polarisation(written)) - float(layered.polarisation(wait(layered, written)))
    assert 0.1 < lost < 5.0
    kept = apply(capacitor, capacitor.init(()), Pulse(3.0, 2000.0))
    assert float(capacitor.polarisation(wait(capacitor, kept))) == pytest.approx(float(capacitor.polarisation(kept)))


def test_waits_compose_with_a_layer(capacitor):
    # the field changes as the film depolarises, so cutting a wait costs the error of the sub-steps: below 1 % of 2 P_r
    layered = dataclasses.replace(capacitor, interface=InterfaceLayer(t_i=0.5, eps_i=20.0))
    written = apply(layered, layered.init(()), Pulse(3.0, 2000.0))
    wait = jax.jit(lambda s, seconds: layered.wait(s, seconds, 358.0))
    whole, parts = wait(written, 1e4), wait(wait(written, 1e2), 9.9e3)
    assert float(layered.polarisation(parts)) == pytest.approx(float(layered.polarisation(whole)), abs=0.01 * 2 * 9.875)


# ------------------------------------------------------------------------------------------------- series


def test_a_linear_capacitor_charges_with_its_time_constant(capacitor):
    # Reference: V (1 - exp(-t/RC)), R_s C_D = 1 Mohm x 9.5 fF = 9.5 ns. Implicit midpoint on graded steps: the error
    # falls to a quarter with twice the steps.
    slow = linear(capacitor, series=SeriesResistance(R_s=1000.0))
    tau = 1e-3 * 1000.0 * float(slow.capacitance)  # kohm fF = 1e-3 ns
    expected = 2.0 * (1 - np.exp(-20.0 / tau))
    errors = []
    for steps in (32, 64):
        device = dataclasses.replace(slow, steps=steps)
        errors.append(float(apply(device, device.init(()), Pulse(2.0, 20.0)).voltage) - expected)
    assert abs(errors[0]) < 0.01 * 2.0
    assert errors[1] / errors[0] == pytest.approx(0.25, abs=0.08)


def test_the_film_s_voltage_stays_between_pulses(capacitor):
    # two pulses of half the width are one pulse: the state holds the voltage that the film has reached
    slow = linear(capacitor, series=SeriesResistance(R_s=1000.0))
    once = apply(slow, slow.init(()), Pulse(2.0, 20.0))
    twice = apply(slow, apply(slow, slow.init(()), Pulse(2.0, 10.0)), Pulse(2.0, 10.0))
    assert float(twice.voltage) == pytest.approx(float(once.voltage), abs=0.02)
    assert float(apply(slow, twice, Pulse(0.0, 200.0)).voltage) == pytest.approx(0.0, abs=0.02)


def test_switching_is_limited_by_the_resistance(capacitor):
    # 2 P_r S = 71 fC through 3 V/R_s: with 10 Mohm (0.3 uA) it takes 240 ns at least, whatever the film's kinetics
    slow = dataclasses.replace(capacitor, series=SeriesResistance(R_s=1e4))
    share = [
        float((slow.polarisation(apply(slow, slow.init(()), Pulse(3.0, width))) / 9.875 + 1) / 2)
        for width in (50.0, 200.0, 2000.0)
    ]
    assert share[0] < 0.2 and share[1] < 0.75 and share[2] > 0.95
    fast = float((capacitor.polarisation(apply(capacitor, capacitor.init(()), Pulse(3.0, 50.0))) / 9.875 + 1) / 2)
    assert fast > 0.95


def test_no_resistance_to_speak_of_changes_nothing(capacitor):
    little = dataclasses.replace(capacitor, series=SeriesResistance(R_s=1e-4))
    for device in (capacitor, little):
        state = apply(device, device.init(()), Pulse(1.4, 100.0))
        state = apply(device, state, Pulse(-1.2, 100.0))
        final = float(device.polarisation(state))
        if device is capacitor:
            expected = final
    assert final == pytest.approx(expected, abs=1e-3 * 2 * 9.875)


# ------------------------------------------------------------------------------------------------ leakage


def test_leakage_is_charge_that_does_not_come_back(capacitor):
    # J = sigma E: 1e-3 uA/um2 per MV/cm, 2 MV/cm over 0.36 um2 for 500 ns
    leaky = dataclasses.replace(capacitor, leakage=OhmicLeakage(sigma=1e-3))
    _, leaked = respond(leaky, leaky.init(()), Pulse(2.0, 500.0))
    assert float(leaked) == pytest.approx(1e-3 * 2.0 * 0.36 * 500.0, rel=1e-5)
    read = jax.jit(lambda c, s: c.read(s, Pulse(2.0, 500.0))[1])
    difference = float(read(leaky, leaky.init(()))) - float(read(capacitor, capacitor.init(())))
    assert difference == pytest.approx(float(leaked), rel=1e-3)


def test_leakage_through_a_resistance_divides_the_voltage(capacitor):
    # at rest the current is V/(R_s + R_film), R_film = t/(sigma S): 10 nm over 1e-1 uA cm/MV um2 x 0.36 um2
    leaky = linear(capacitor, series=SeriesResistance(R_s=1e4), leakage=OhmicLeakage(sigma=0.1))
    R_film = 1.0 / (0.1 * 0.36) * 1e3  # 1 V over 10 nm is 1 MV/cm: kohm
    state = apply(leaky, leaky.init(()), Pulse(2.0, 1e6))
    assert float(state.voltage) == pytest.approx(2.0 * R_film / (R_film + 1e4), rel=1e-3)


def test_steps_must_be_a_number(capacitor):
    with pytest.raises(InputError, match="`steps` must be an integer from 1 to 1000"):
        dataclasses.replace(capacitor, steps=0)


def test_populations_have_their_own_layers(capacitor):
    layers = InterfaceLayer(t_i=jnp.array([0.1, 0.5, 1.0]), eps_i=20.0)
    many = dataclasses.replace(capacitor, interface=layers)
    together = many.polarisation(apply(many, many.init((3,)), Pulse(1.5, 100.0)))
    for i, thickness in enumerate((0.1, 0.5, 1.0)):
        one = dataclasses.replace(capacitor, interface=InterfaceLayer(t_i=thickness, eps_i=20.0))
        alone = one.polarisation(apply(one, one.init(()), Pulse(1.5, 100.0)))
        assert float(together[i]) == pytest.approx(float(alone), abs=1e-4)
