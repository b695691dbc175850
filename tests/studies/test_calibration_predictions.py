"""Ready-made predictions say what the devices' own interfaces say, row by row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim import InputError
from hfsim.devices import FerroelectricCapacitor, Pulse
from hfsim.devices.ferroelectric import KAIKinetics, OhmicLeakage
from hfsim.devices.ferroelectric.measurements import hysteresis_loop, switching_map
from hfsim.devices.pulsed import AdditiveNoise, SoftBounds
from hfsim.io import Trace
from hfsim.studies.calibration import (
    CurrentSweep,
    IdenticalPulses,
    LeakageSweep,
    PolarisationLoop,
    SwitchingPulses,
    VoltagePulses,
)

UNITS = {"voltage": "V", "amplitude": "V", "width": "ns", "time": "ns", "direction": "1", "conductance": "uS"}


def trace(**columns):
    units = UNITS | {"polarisation": "uC/cm2", "switched": "uC/cm2", "current": "uA"}
    return Trace("x", "table", {k: jnp.asarray(v, float) for k, v in columns.items()}, {k: units[k] for k in columns})


@pytest.fixture(scope="module")
def capacitor():
    kinetics = KAIKinetics(tau=20.0, E_a=4.0, n=0.8, alpha=2.0)
    return FerroelectricCapacitor(
        kinetics=kinetics, P_r=20.0, S=2.0, t=10.0, eps_r=30.0, E_bi=0.1, leakage=OhmicLeakage(sigma=1e-4)
    )


@pytest.fixture(scope="module")
def device():
    return SoftBounds(
        dw_min=0.05, up_down=0.1, w_min=-1.0, w_max=1.2, G_0=50.0, g=30.0, noise=AdditiveNoise(0.3), sigma_write=0.1
    )


def test_switching_pulses_start_from_saturation_against_them(capacitor):
    V, width = jnp.array([1.0, 2.0]), jnp.array([1e2, 1e4])
    pulses = trace(amplitude=jnp.repeat(V, 2), width=jnp.tile(width, 2))
    moved = SwitchingPulses("switched")(capacitor, pulses)
    np.testing.assert_allclose(moved, np.ravel(switching_map(capacitor, V, width).switched), rtol=1e-5)
    up = SwitchingPulses()(capacitor, pulses)
    np.testing.assert_allclose(up, moved - 20.0, rtol=1e-5)
    unbiased = jax.tree.map(lambda x: x, capacitor)
    unbiased = FerroelectricCapacitor(unbiased.kinetics, P_r=20.0, S=2.0, t=10.0, eps_r=30.0)
    down = SwitchingPulses()(unbiased, trace(amplitude=-jnp.repeat(V, 2), width=jnp.tile(width, 2)))
    up = SwitchingPulses()(unbiased, pulses)
    np.testing.assert_allclose(down, -up, rtol=1e-5)
    with pytest.raises(InputError, match="polarisation or switched"):
        SwitchingPulses("current")


@pytest.mark.parametrize("timed", [True, False])
def test_a_loop_is_the_charge_that_an_amplifier_collects(capacitor, timed):
    period, steps = 1e6, 40
    loop = hysteresis_loop(capacitor, 1.5, period, steps=steps, cycles=2)  # minor: the second differs from the first
    time = jnp.linspace(0.0, period, steps + 1)
    voltage = jnp.concatenate([jnp.zeros(1), loop.voltage])
    seen = trace(time=time, voltage=voltage) if timed else trace(voltage=voltage)
    found = PolarisationLoop(period=None if timed else period)(capacitor, seen)
    assert found.shape == (41,)
    # up to a constant: the dielectric and the leakage of the loop included
    np.testing.assert_allclose(np.diff(found)[1:], np.diff(loop.charge) / (10 * 2.0), atol=1e-4)
    first = PolarisationLoop(cycles=1, period=period)(capacitor, seen)
    assert np.max(np.abs((first - first[0]) - (found - found[0]))) > 1.0
    with pytest.raises(InputError, match="pass period="):
        PolarisationLoop()(capacitor, trace(voltage=voltage))
    with pytest.raises(InputError, match="cycles"):
        PolarisationLoop(cycles=0)


def test_identical_pulses_step_from_the_first_conductance(device):
    directions = np.array([1, 1, 1, -1, 0, -1, 1.0])
    state = device.program(device.init(()), (30.0 - 50.0) / 30.0)
    expected = [30.0]
    for direction in directions[1:]:
        state = device.step(state, direction)
        expected.append(float(device.conductance(state)))
    found = IdenticalPulses()(device, trace(direction=directions, conductance=np.full(7, 30.0)))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_pulses_of_voltage_and_width_go_through_the_device(device):
    V, width = np.array([1.0, 1.0, -1.0, 0.0]), np.array([10.0, 0.0, 10.0, 5.0])
    state, expected = device.init(()), []
    for v, w in zip(V, width, strict=True):
        state = device.apply(state, Pulse(v, w))
        expected.append(float(device.conductance(state)))
    found = VoltagePulses()(device, trace(voltage=V, width=width))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    start = VoltagePulses(start=lambda d: d.program(d.init(()), 0.5))(device, trace(voltage=V, width=width))
    assert float(start[0]) > 50.0 + 30.0 * 0.5


def test_a_sweep_moves_the_device_as_it_reads_it(device):
    V = np.array([0.0, 1.0, 2.0, 1.0, -1.0])
    states = [device.init(())]
    for middle in (0.5, 1.5, 1.5, 0.0):
        states.append(device.apply(states[-1], Pulse(middle, 1e9)))
    expected = [float(device.current(s, v)) for s, v in zip(states, V, strict=True)]
    timed = trace(voltage=V, time=1e9 * np.arange(5.0))
    np.testing.assert_allclose(CurrentSweep()(device, timed), expected, rtol=1e-6)
    np.testing.assert_allclose(CurrentSweep(rate=1.0)(device, trace(voltage=V)), expected, rtol=1e-6)
    decades = CurrentSweep(logarithmic=True, floor=1e-3)
    np.testing.assert_allclose(decades(device, timed), np.log10(np.abs(expected) + 1e-3), rtol=1e-5)
    np.testing.assert_allclose(decades.measured(trace(current=[-9.999])), [1.0], rtol=1e-5)
    assert decades.unit(timed) == "1"
    with pytest.raises(InputError, match="pass period= or rate="):
        CurrentSweep()(device, trace(voltage=V))
    with pytest.raises(InputError, match="floor"):
        CurrentSweep(floor=0.0)


def test_leakage_is_current_density_times_area(capacitor):
    V = np.array([-1.0, 0.0, 2.0])
    np.testing.assert_allclose(LeakageSweep()(capacitor, trace(voltage=V)), 2.0 * 1e-4 * 10 * V / 10.0, rtol=1e-5)
    dry = FerroelectricCapacitor(capacitor.kinetics, P_r=20.0, S=2.0, t=10.0, eps_r=30.0)
    with pytest.raises(InputError, match="have a leakage"):
        LeakageSweep()(dry, trace(voltage=V))
