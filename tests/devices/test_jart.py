"""The JART VCM v1b memristor: signs, limits, composition of pulses, sweeps, populations, refusals."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import constants

import hfsim
from hfsim.devices import Pulse, apply_train
from hfsim.devices.memristor import jart_transport
from hfsim.devices.memristor.jart import JartVCM
from hfsim.errors import InputError

CARD = hfsim.load_card("jart-vcm-v1b")
APPLY = jax.jit(lambda device, N, V, width, T=293.0: device.apply(device.at(N), Pulse(V, width), temperature=T).N)
CURRENT = jax.jit(lambda device, N, V: device.current(device.at(N), V, temperature=293.0))
CONDUCTANCE = jax.jit(lambda device, N: device.conductance(device.at(N), temperature=293.0))
SWEEP = jax.jit(
    lambda device, N, time, V, samples: device.sweep(device.at(N), time, V, samples=samples, temperature=293.0),
    static_argnums=4,
)
SAMPLES = 64


@pytest.fixture(scope="module")
def device():
    return JartVCM.from_card(CARD)


def test_constants_of_the_scaled_equations():
    # nm and volts: the constants that SI would underflow in float32
    nm3 = 1e27
    W00 = constants.h / (4 * math.pi) * math.sqrt(nm3 / (constants.electron_mass * constants.epsilon_0))
    lowering = (constants.e**3 * nm3 / (8 * math.pi**2 * constants.epsilon_0**3)) ** 0.25
    assert math.isclose(jart_transport.TUNNELLING, W00, rel_tol=1e-6)
    assert math.isclose(jart_transport.LOWERING, lowering, rel_tol=1e-6)


def test_card_in_hfsim_units(device):
    # 1e26 m^-3 = 0.1 nm^-3; ohm, K/W and s^-1 in the unit system
    conduction = device.conduction
    found = [device.N_max, device.N_min, conduction.mu_n, conduction.A_star, conduction.R_th0, device.nu0]
    np.testing.assert_allclose(found, [2.0, 0.0008, 4000.0, 0.601, 15.72, 2e4], rtol=1e-6)


def test_set_is_negative_and_reset_positive(device):
    low, high = 0.001, 1.5
    set_, reset = APPLY(device, jnp.array([low, high]), jnp.array([-0.9, 1.2]), 1e5)
    assert set_ > 1.5 and reset < 0.1
    wrong = APPLY(device, jnp.array([low, high]), jnp.array([0.9, -0.6]), 1e3)
    assert wrong[0] <= low * (1 + 1e-6) and wrong[1] >= high * (1 - 1e-6)


def test_read_current_has_the_sign_of_the_voltage_and_a_slope_at_zero(device):
    N = jnp.array([0.001, 0.1, 1.9])
    negative, zero, positive, small = (CURRENT(device, N, jnp.full(3, v)) for v in (-0.3, 0.0, 0.3, 1e-6))
    assert np.all(negative < 0) and np.all(zero == 0) and np.all(positive > 0)
    slope = jax.jit(jax.grad(lambda V: CURRENT(device, N, V).sum()))(jnp.zeros(3))
    np.testing.assert_allclose(slope, small / 1e-6, rtol=1e-3)


def test_the_read_voltage_is_a_parameter(device):
    # at 0.2 V the barrier makes this state's conductance several per cent different from that at -0.3 V
    other = eqx.tree_at(lambda d: d.V_read, device, jnp.float32(-0.3))
    found = CONDUCTANCE(other, 0.002)
    np.testing.assert_allclose(found, CURRENT(device, 0.002, -0.3) / -0.3, rtol=1e-5)
    assert abs(found / CONDUCTANCE(device, 0.002) - 1) > 0.05


def test_nothing_moves_without_voltage_or_time(device):
    N = jnp.array([0.0008, 0.03, 2.0])
    start = device.at(N).N
    assert np.array_equal(APPLY(device, N, 0.0, 1e17), start)
    assert np.array_equal(APPLY(device, N, -1.3, 0.0), start)
    assert np.array_equal(device.wait(device.at(N), 3e8, 400.0).N, start)


def test_limits_are_reached_and_never_crossed(device):
    N = jnp.array([0.001, 0.3, 1.99])
    set_, reset = APPLY(device, N, -1.3, 1e10), APPLY(device, N, 1.3, 1e16)
    np.testing.assert_allclose(set_, 2.0, rtol=2e-6)
    np.testing.assert_allclose(reset, 0.0008, rtol=5e-6)
    # a device beyond a limit (a population's N_min above its N) rests at pulses towards it, and returns at others
    beyond = jnp.array([0.0004, 3.0])
    assert np.array_equal(APPLY(device, beyond, jnp.array([1.3, -1.3]), 1e9), device.at(beyond).N)
    assert APPLY(device, 3.0, 1.3, 1e9) < 0.01


def test_pulses_compose(device, x64):
    # the equation is autonomous: two pulses are one of the summed width, to the cells' error
    N, V = jnp.array([0.001, 0.001, 0.01, 1.8, 0.1]), jnp.array([-0.7, -1.0, -0.6, 1.1, 1.3])
    width = jnp.array([4e4, 3.0, 1e3, 1e6, 50.0])
    device = JartVCM.from_card(CARD)
    whole = APPLY(device, N, V, width)
    halves = APPLY(device, APPLY(device, N, V, 0.6 * width), V, 0.4 * width)
    assert np.all(np.abs(np.log(whole / N)) > 0.1)
    np.testing.assert_allclose(np.log(halves / whole), 0, atol=4e-3)


def test_a_train_is_one_pulse(device):
    train = Pulse(jnp.full(9, -0.7), jnp.full(9, 4e3))
    run = jax.jit(lambda d: apply_train(d, d.at(0.001), train, record=lambda s, p: s.N, temperature=293.0))
    state, record = run(device)
    np.testing.assert_allclose(state.N, APPLY(device, 0.001, -0.7, 3.6e4), rtol=3e-3)
    assert np.all(np.diff(record) > 0)


def test_cells_converge_in_second_order(x64):
    # where ln N is after nine tenths of the SET time at -0.7 V
    found = [float(APPLY(JartVCM.from_card(CARD, cells=n), 0.001, -0.7, 4.7e4)) for n in (24, 48, 195)]
    coarse, fine = np.abs(np.log(np.array(found[:2]) / found[2]))
    assert 3 < coarse / fine < 6 and fine < 2e-3


def test_a_population_by_parameters_is_its_devices(device):
    # ranges of the card's [spread]
    spread = {
        "N_min": jnp.array([0.0004, 0.0008, 0.01]),
        "N_max": jnp.array([2.2, 2.0, 1.8]),
        "r": jnp.array([40.5, 45.0, 49.5]),
        "l_disc": jnp.array([0.36, 0.4, 0.44]),
    }

    def made(values):
        where = lambda d: [d.N_min, d.N_max, d.conduction.r, d.conduction.l_disc]  # noqa: E731
        return eqx.tree_at(where, device, list(values.values()))

    together = APPLY(made(spread), jnp.full(3, 0.015), -0.65, 1e3)
    alone = [float(APPLY(made({k: v[i] for k, v in spread.items()}), 0.015, -0.65, 1e3)) for i in range(3)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    assert len(set(np.round(alone, 5))) == 3
    # a fresh device whose N_min lies above N_init starts at its N_min
    np.testing.assert_allclose(made(spread).init((2, 3)).N[1], [0.001, 0.001, 0.01], rtol=1e-5)


def test_a_hot_device_switches_sooner(device):
    cold, hot = (APPLY(device, 0.001, -0.7, 2e4, T) for T in (293.0, 313.0))
    assert hot > 1.5 * cold > 1.5 * 0.001


def test_sweep_of_a_constant_voltage_is_a_pulse(device):
    time = jnp.linspace(0, 4e4, 5)[:, None] * jnp.array([1.0, 0.5])
    end, trace = SWEEP(device, 0.001, time, jnp.full(5, -0.7), SAMPLES)
    np.testing.assert_allclose(end.N, APPLY(device, 0.001, -0.7, time[-1]), rtol=3e-3)
    assert trace.N.shape == (4 * SAMPLES + 1, 2) and np.all(np.diff(trace.time, axis=0) > 0)
    np.testing.assert_allclose(trace.N[-1], end.N, rtol=1e-6)


def test_sweep_gives_labelled_traces(device):
    # two devices with their own clocks: a triangle through both polarities
    time = jnp.arange(5.0)[:, None] * jnp.array([1.3e6, 1.3e9])
    V = jnp.array([0, -1.3, 0, 1.3, 0.0])
    end, trace = SWEEP(device, 0.001, time, V, SAMPLES)
    assert trace.current.shape == trace.N.shape == trace.temperature.shape == (4 * SAMPLES + 1, 2)
    np.testing.assert_allclose(trace.voltage[::SAMPLES], V, atol=1e-6)
    np.testing.assert_allclose(trace.time[::SAMPLES], time, rtol=1e-6)
    assert np.all(trace.current * trace.voltage[:, None] >= 0) and np.all(trace.temperature >= 293)
    read = CURRENT(device, trace.N[40], trace.voltage[40])
    np.testing.assert_allclose(trace.current[40], read, rtol=1e-5)
    half = 2 * SAMPLES
    assert np.all(trace.N[half] > 1.9) and np.all(trace.N[-1] < 0.01) and np.array_equal(end.N, trace.N[-1])
    # the faster sweep, the first, switches later
    assert np.sum(trace.N[:half, 0] < 0.04) > np.sum(trace.N[:half, 1] < 0.04)


def test_rate_is_the_slope_of_a_short_pulse(device, x64):
    device = JartVCM.from_card(CARD)
    N, V = jnp.array([0.01, 1.999, 0.3, 0.00081]), jnp.array([-0.7, -0.8, 0.9, 1.2])
    rate = device.rate(device.at(N), V, temperature=293.0)
    width = 1e-6 / np.abs(rate) * 1e9  # of the whole way, but well above rounding
    np.testing.assert_allclose(np.log(APPLY(device, N, V, width) / N) / (1e-9 * width), rate, rtol=1e-2)
    assert np.all(rate * V < 0)


def test_gradients_of_width_and_voltage_in_both_modes(device, x64):
    device = JartVCM.from_card(CARD)
    number = jax.jit(lambda p: jnp.log(device.apply(device.at(0.001), Pulse(p[0], p[1]), temperature=293.0).N))
    p = jnp.array([-0.7, 4e4])
    forward, reverse = jax.jit(jax.jacfwd(number))(p), jax.jit(jax.grad(number))(p)
    step = np.array([1e-6, 1.0])
    differences = [(number(p + d) - number(p - d)) / (2 * np.sum(d)) for d in np.diag(step)]
    np.testing.assert_allclose(forward, differences, rtol=1e-4)
    np.testing.assert_allclose(reverse, forward, rtol=1e-9)


def test_refusals(device, key):
    with pytest.raises(InputError, match="`cells` must be an integer"):
        JartVCM.from_card(CARD, cells=4)
    with pytest.raises(InputError, match="`key` must be None"):
        device.init((), key)
    with pytest.raises(InputError, match="`seconds` must be a finite time"):
        device.wait(device.init(()), -1.0)
    with pytest.raises(InputError, match="`voltage` must hold at least two corners"):
        device.sweep(device.init(()), [0.0], [0.1])
    with pytest.raises(InputError, match="`samples` must be at least 1"):
        device.sweep(device.init(()), [0.0, 1.0], [0.1, 0.2], samples=0)
    with pytest.raises(InputError, match="JartVCM.N_max"):
        JartVCM.from_card(CARD, N_max=100.0)
