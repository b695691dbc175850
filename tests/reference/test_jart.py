"""JART VCM v1b against the reference tables (device-physics.md, B.2) and an independent solution in SI units."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.constants import electron_mass, epsilon_0

import hfsim
from benchmarks.device_rows_jart import Reference
from hfsim.devices import Pulse
from hfsim.devices.memristor.jart import JartVCM
from hfsim.devices.memristor.jart_transport import JartConduction
from hfsim.parameters import specifications

T_0 = 293.0
RATES = np.array([0.1, 1.0, 10.0, 100.0, 1000.0])  # V/s
V_SET = np.array([-0.497, -0.550, -0.604, -0.660, -0.7185])
V_RESET = np.array([0.847, 0.928, 1.019, 1.121, 1.239])
PEAK = np.array([507.0, 554.0, 605.0, 661.0, 724.0])  # uA
CURRENT = jax.jit(lambda device, N, V: device.current(device.at(N), V, temperature=T_0))
SAMPLES = 520  # of each flank: 2.5 mV


@pytest.fixture(scope="module")
def device():
    return JartVCM.from_card(hfsim.load_card("jart-vcm-v1b"))


@pytest.fixture(scope="module")
def trace(device):
    """Triangles 0, -1.3, 0, 1.3, 0 V from N = 0.010e26 m^-3, one device for each sweep rate."""
    quarter = 1.3 / RATES * 1e9
    time = jnp.asarray(np.arange(5)[:, None] * quarter)
    sweep = jax.jit(lambda s: device.sweep(s, time, [0, -1.3, 0, 1.3, 0], samples=SAMPLES, temperature=T_0)[1])
    return jax.tree.map(np.asarray, sweep(device.init(RATES.shape)))


def crossing(voltage, N, level):
    """Voltage at which ln N first crosses ln(level), interpolated."""
    above = N > level
    i = np.flatnonzero(above[1:] != above[:-1])[0]
    share = np.log(level / N[i]) / np.log(N[i + 1] / N[i])
    return voltage[i] + share * (voltage[i + 1] - voltage[i])


def test_read_resistances(device):
    # ohm at 0.2 V, printed with three or four digits
    N = np.array([0.0008, 0.05, 0.2, 0.8, 2.0])
    found = 0.2 / CURRENT(device, N, np.full(5, 0.2)) * 1e6
    np.testing.assert_allclose(found, [65.6e3, 2574, 1839, 1655, 1619], rtol=1e-3)


def test_set_times(device):
    # the table's time brackets the crossing of N = 0.4e26 m^-3 within 3 %; it is printed with three digits
    voltage = np.array([-0.5, -0.6, -0.7, -0.8, -0.9, -1.0])
    time = np.array([0.2065, 2.86e-3, 52.4e-6, 1.40e-6, 56.3e-9, 3.45e-9]) * 1e9
    width = time * np.array([0.97, 1.03])[:, None]
    end = jax.jit(lambda w: device.apply(device.at(0.001), Pulse(voltage, w), temperature=T_0).N)(width)
    assert np.all(end[0] < 0.04) and np.all(end[1] > 0.04)


def test_switching_voltages_of_sweeps(trace):
    half = 2 * SAMPLES
    middle = np.sqrt(0.0008 * 2.0)
    found_set = [crossing(trace.voltage[:half], N[:half], middle) for N in trace.N.T]
    found_reset = [crossing(trace.voltage[half:], N[half:], 0.2) for N in trace.N.T]
    np.testing.assert_allclose(found_set, V_SET, rtol=0.01)
    np.testing.assert_allclose(found_reset, V_RESET, rtol=0.01)


def test_peak_reset_current_and_hottest_point(trace):
    np.testing.assert_allclose(trace.current[2 * SAMPLES :].max(axis=0), PEAK, rtol=0.03)
    assert np.all(np.abs(trace.temperature.max(axis=0) - 2300) < 10)  # "T reaches 2300 K"


@pytest.mark.parametrize("voltage", [-1.3, -0.6, -0.02, 0.02, 0.3, 0.6, 1.3])
def test_current_is_the_root_of_smallest_contact_voltage(device, voltage):
    N = np.array([0.0008, 0.003, 0.01, 0.03, 0.1, 0.3, 0.8, 2.0])
    found = CURRENT(device, N, np.full(N.shape, voltage))
    roots = [Reference().currents(voltage, 1e27 * n) for n in N]
    np.testing.assert_allclose(found, [1e6 * r[0] for r in roots], rtol=2e-5)
    if voltage == 0.3:
        assert [len(r) for r in roots] == [1, 1, 3, 3, 3, 3, 3, 3], "here the trap must be open"


TO_SI = {
    "eps": epsilon_0, "eps_phiB": epsilon_0, "A_star": 1e6, "m_star": electron_mass, "mu_n": 1e-9, "N_plug": 1e27,
    "r": 1e-9, "r_det": 1e-9, "l_cell": 1e-9, "l_disc": 1e-9, "R_TiOx": 1e3, "R_0": 1e3, "R_th_line": 1e6, "R_th0": 1e6,
}  # fmt: skip


def test_current_anywhere_in_the_bounds():
    # 60 random sets of constants as one population, each with its own voltage and state
    card, rng, devices = hfsim.load_card("jart-vcm-v1b"), np.random.default_rng(0), 60
    constants = {}
    for name, spec in specifications(JartConduction).items():
        low, high = (np.log(b) if spec.logarithmic else b for b in (spec.lower, spec.upper))
        drawn = rng.uniform(low, high, devices)
        constants[name] = np.exp(drawn) if spec.logarithmic else drawn
    constants["r_det"] = constants["r"]  # else temperatures beyond any sense
    device = JartVCM.from_card(card, conduction=card.build(JartConduction, "conduction", **constants))
    V, N = rng.uniform(-1.5, 1.5, devices), np.exp(rng.uniform(np.log(0.0008), np.log(2), devices))
    roots = []
    for i in range(devices):
        si = {name: values[i] * TO_SI.get(name, 1.0) for name, values in constants.items()}
        roots.append(Reference(**si).currents(V[i], 1e27 * N[i]))
    assert sum(len(r) > 1 for r in roots) >= 3 and all(len(r) == 1 for r, v in zip(roots, V, strict=True) if v < 0)
    np.testing.assert_allclose(CURRENT(device, N, V), [1e6 * r[0] for r in roots], rtol=5e-5)


def test_pulses_against_radau(device):
    # started and stopped anywhere, in single precision: partial SET, saturating SET, partial RESET, RESET near N_min
    N = np.array([0.001, 0.03, 1.9, 0.02])
    V, width = np.array([-0.8, -0.9, 1.0, 1.3]), np.array([1.35e3, 1e3, 8e6, 1e5])
    found = jax.jit(lambda n: device.apply(device.at(n), Pulse(V, width), temperature=T_0).x)(N)
    tight = [Reference().settle(1e27 * n, v, v, 1e-9 * w) / 1e27 for n, v, w in zip(N, V, width, strict=True)]
    np.testing.assert_allclose(found, np.log(tight), rtol=0, atol=2e-3)
    assert np.all(np.abs(found - np.log(N)) > 0.3)


def test_a_step_of_a_ramp_against_radau(device):
    # 20 mV in one step, while N moves: the rate's logarithm is taken as linear in V
    found = jax.jit(lambda n: device.ramp(device.at(n), -0.70, -0.72, 3.2e4, temperature=T_0).x)(0.001)
    tight = Reference().settle(1e24, -0.70, -0.72, 3.2e-5) / 1e27
    assert abs(found - np.log(tight)) < 2e-3 and np.log(tight / 0.001) > 0.15
