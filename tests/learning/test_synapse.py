"""Synapses of every kind: steps, rest and the way from rest back to pulses, and the physical cell's half pulses.

Statistics over 1e5 devices, tolerances in standard errors, keys fixed.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.devices.memristor.jart import JartState, JartVCM
from hfsim.devices.memristor.stanford import Stanford, StanfordState
from hfsim.devices.pulse import Pulse
from hfsim.devices.pulsed import (
    AdditiveNoise,
    CompoundNoise,
    ConstantStep,
    ExponentialStep,
    LinearStep,
    PiecewiseStep,
    PowerStep,
    ProportionalNoise,
    SoftBounds,
    StepTable,
    WeightDecay,
)
from hfsim.devices.pulsed.short_train import short_trains
from hfsim.devices.retention import CMORetention
from hfsim.draws import address, event_hash, hashed_normals, normal, stream
from hfsim.errors import InputError
from hfsim.learning import (
    DeterministicTrain,
    Factors,
    PhysicalSynapse,
    PulsedSGD,
    PulsedSynapse,
    StochasticTrain,
    TikiTakaV2,
)
from hfsim.learning.pulsed_update import PulsedArray, half_selected, make_trains, pulsed_update

MINUTE, HOUR, DAY, YEAR = 60.0, 3600.0, 86400.0, 365.25 * 86400.0
PUBLISHED_SHIFTS = {MINUTE: -0.364, HOUR: -0.729, DAY: -1.012, 10 * YEAR: -1.742}  # uS
WINDOW = {"w_min": -1.0, "w_max": 1.0, "G_0": 48.6, "g": 39.6}
COARSE = {"dw_min": 0.0956, "up_down": -0.22, **WINDOW}
PULSED_CARDS = (
    "cmo-hfox-2025-pulsed",
    "idealised-2016",
    "capacitor-3t1c-2018",
    "ecram-li-2018",
    "pcm-gst-2020",
    "reram-hfo2-2022",
    "reram-om-2022",
)
DEVICES = {
    "constant": ConstantStep(**COARSE, noise=AdditiveNoise(0.5)),
    "linear": LinearStep(**COARSE, noise=ProportionalNoise(0.5), slope_up=0.3, slope_down=0.6),
    "soft bounds": SoftBounds(**COARSE, noise=AdditiveNoise(0.86), w_ref=-0.22, sigma_write=0.05),
    "exponential": ExponentialStep(
        **COARSE, noise=CompoundNoise(0.5, 0.03, 0.05), A_up=0.3, A_down=-0.4, gamma_up=1.5, gamma_down=0.8
    ),
    "power": PowerStep(**COARSE, noise=ProportionalNoise(0.86), gamma_up=1.6, gamma_down=0.7),
    "piecewise": PiecewiseStep(
        **COARSE, noise=AdditiveNoise(1.0), table=StepTable([0.5, 1.2, 1.0, 0.3], [0.2, 0.9, 1.3, 0.8])
    ),
}
SHAPE = (400, 250)

apply = eqx.filter_jit(lambda synapse, state, counts, event, key: synapse.pulses(state, counts, event, key, 31))
wait = eqx.filter_jit(lambda synapse, state, seconds, kelvin=300.0: synapse.wait(state, seconds, kelvin))
stepped = eqx.filter_jit(lambda device, w, direction, xi: device.stepped(w, direction, xi))
weight = eqx.filter_jit(lambda synapse, state: synapse.weight(state))
conductance = eqx.filter_jit(lambda synapse, state: synapse.conductance(state))
awake = eqx.filter_jit(lambda synapse, state: synapse.awake(state))


@eqx.filter_jit
def placed(synapse, w, key):
    return synapse.place(synapse.init(w.shape, key), w)


# ------------------------------------------------------------------------------------- pulsed devices


@pytest.mark.parametrize("name", [*DEVICES, *PULSED_CARDS])
def test_pulses_are_the_device_s_own_steps_with_the_event_s_noise(name, key):
    synapse = PulsedSynapse(DEVICES[name]) if name in DEVICES else PulsedSynapse.from_card(hfsim.load_card(name))
    device = synapse.device
    low, high = (float(end) for end in synapse.window)
    w = jnp.linspace(low, high, 24).reshape(4, 6)
    counts = jnp.asarray(np.random.default_rng(0).integers(-5, 6, (4, 6)))
    event, state = event_hash(key, 2, (4, 6)), placed(synapse, w, key)
    np.testing.assert_allclose(weight(synapse, state), w, atol=2e-6 * (1 + abs(low) + abs(high)))
    after = apply(synapse, state, counts, event, key).device.w
    expected = state.device.w
    for k in range(5):
        expected = stepped(device, expected, jnp.where(k < abs(counts), jnp.sign(counts), 0), hashed_normals(event, k))
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-6)
    assert np.array_equal(after[counts == 0], state.device.w[counts == 0])
    assert np.mean(np.asarray(after - state.device.w)[counts != 0] != 0) > 0.5


def test_granularity_and_window_are_the_device_s():
    synapse = PulsedSynapse(DEVICES["soft bounds"])
    assert float(synapse.granularity) == pytest.approx(0.0956)
    np.testing.assert_allclose(synapse.window, (-0.78, 1.22), rtol=1e-6)
    state = placed(synapse, jnp.array([[-5.0, -0.78, 0.3, 1.22, 5.0]]), jax.random.key(0))
    np.testing.assert_allclose(weight(synapse, state)[0], [-0.78, -0.78, 0.3, 1.22, 1.22], atol=1e-6)
    np.testing.assert_allclose(conductance(synapse, state)[0], 48.6 + 39.6 * np.array([-1, -1, 0.08, 1, 1]), rtol=1e-6)


def test_write_noise_stays_until_the_next_write(key):
    synapse, shape = PulsedSynapse(DEVICES["soft bounds"]), (300, 300)
    state = placed(synapse, jnp.zeros(shape), key)
    touched = jnp.broadcast_to(jnp.arange(300) % 3 == 0, shape)
    written = synapse.written(state, touched, event_hash(key, 1, shape))
    error = np.asarray(weight(synapse, written) - weight(synapse, state), np.float64)
    assert not np.any(error[:, 1::3]) and not np.any(error[:, 2::3])
    own = error[:, ::3]
    assert (
        own.std() == pytest.approx(0.05, rel=4 / np.sqrt(2 * own.size)) and abs(own.mean()) < 4 * 0.05 / own.size**0.5
    )
    again = synapse.written(written, touched, event_hash(key, 2, shape))
    fresh = np.asarray(weight(synapse, again), np.float64)[:, ::3]
    assert fresh.std() == pytest.approx(0.05, rel=4 / np.sqrt(2 * own.size))  # it does not add up
    assert abs(np.corrcoef(own.ravel(), fresh.ravel())[0, 1]) * np.sqrt(own.size) < 4
    np.testing.assert_array_equal(again.device.w, state.device.w)


def test_decay_and_diffusion_of_a_pulsed_device_act_at_rest(key):
    device = SoftBounds(**COARSE, noise=AdditiveNoise(0.0), decay=WeightDecay(tau=100.0, w_0=0.0, D=1e-4, E_a=0.0))
    synapse = PulsedSynapse(device)
    state = placed(synapse, jnp.full(SHAPE, 0.5), key)
    rested = np.asarray(weight(synapse, wait(synapse, state, 50.0)), np.float64)
    sigma = np.sqrt(1e-4 * 100 * (1 - np.exp(-1.0)))
    assert abs(rested.mean() - 0.5 * np.exp(-0.5)) < 4 * sigma / np.sqrt(rested.size)
    assert rested.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * rested.size))
    retention = CMORetention.from_card(hfsim.load_card("cmo-hfox-2025"))
    with pytest.raises(InputError, match="`retention` must be None where the device has a decay"):
        PulsedSynapse(device, retention)


# ------------------------------------------------------------------------------------- with relaxation


@pytest.fixture(scope="module")
def relaxing():
    retention = CMORetention.from_card(hfsim.load_card("cmo-hfox-2025"), clip=False)
    return PulsedSynapse.from_card(hfsim.load_card("cmo-hfox-2025-pulsed"), retention)


def at_50(synapse):
    """1e5 devices placed at 50 uS."""
    w = (50.0 - float(synapse.device.G_0)) / float(synapse.device.g) - float(synapse.device.w_ref)
    return placed(synapse, jnp.full(SHAPE, w), jax.random.key(4))


@pytest.mark.parametrize("seconds", PUBLISHED_SHIFTS)
def test_a_trained_array_drifts_and_spreads_as_published(relaxing, seconds):
    G = np.asarray(conductance(relaxing, wait(relaxing, at_50(relaxing), seconds)), np.float64)
    sigma = 0.04201137 * np.log(seconds) + 0.41183342
    assert abs(G.mean() - 50.0 - PUBLISHED_SHIFTS[seconds]) < 4 * sigma / np.sqrt(G.size) + 6e-4
    assert G.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * G.size))


def test_waits_compose_and_none_changes_nothing(relaxing):
    state = at_50(relaxing)
    np.testing.assert_array_equal(weight(relaxing, wait(relaxing, state, 0.0)), weight(relaxing, state))
    twice = wait(relaxing, wait(relaxing, state, 100.0), 3500.0)
    once = wait(relaxing, state, 3600.0)
    np.testing.assert_allclose(conductance(relaxing, twice), conductance(relaxing, once), rtol=1e-6)
    np.testing.assert_array_equal(weight(relaxing, wait(relaxing, once, 0.0)), weight(relaxing, once))
    hot = conductance(relaxing, wait(relaxing, state, 3600.0, 400.0))  # runs faster
    assert float(jnp.mean(hot)) < float(jnp.mean(conductance(relaxing, once))) - 0.5


def test_pulses_after_a_rest_act_on_what_relaxation_left(relaxing, key):
    state = wait(relaxing, at_50(relaxing), DAY)
    up = awake(relaxing, state)
    np.testing.assert_allclose(weight(relaxing, up), weight(relaxing, state), atol=2e-6)
    event, counts = event_hash(key, 5, SHAPE), jnp.full(SHAPE, 3)
    relaxed = (np.asarray(conductance(relaxing, state), np.float64) - 48.6) / 39.6
    after = apply(relaxing, up, counts, event, key)
    by_hand = relaxed
    for k in range(3):
        xi = np.asarray(hashed_normals(event, k), np.float64)
        by_hand = np.clip(by_hand + 0.0956 * 0.78 * (1 - by_hand) + 0.86 * 0.0956 * xi, -1, 1)
    np.testing.assert_allclose(weight(relaxing, after) + relaxing.device.w_ref, by_hand, atol=5e-6)
    # the clock starts again: nothing more moves at once, and the next minute drifts as the first would
    rested = conductance(relaxing, wait(relaxing, after, MINUTE)) - conductance(relaxing, after)
    assert float(jnp.mean(rested)) == pytest.approx(-0.364, abs=0.01)
    # with noise of its own
    before = np.asarray(conductance(relaxing, state) - 50.0).ravel()
    assert abs(np.corrcoef(before, np.asarray(rested).ravel())[0, 1]) * np.sqrt(before.size) < 4


def test_relaxation_leaves_write_noise_to_the_next_write(key):
    retention = CMORetention.from_card(hfsim.load_card("cmo-hfox-2025"), clip=False)
    synapse = PulsedSynapse(DEVICES["soft bounds"], retention)
    shape = (8, 9)
    fresh = placed(synapse, jnp.zeros(shape), key)
    noisy = synapse.written(fresh, jnp.ones(shape, bool), event_hash(key, 0, shape))
    up = awake(synapse, wait(synapse, noisy, DAY))
    np.testing.assert_allclose(weight(synapse, up), weight(synapse, wait(synapse, noisy, DAY)), atol=2e-6)
    np.testing.assert_array_equal(up.device.error, noisy.device.error)
    plain = awake(synapse, wait(synapse, fresh, DAY))
    np.testing.assert_allclose(up.device.w, plain.device.w, atol=2e-6)


def test_a_rule_s_wait_ages_the_weights_that_it_learned(relaxing, key):
    rule = PulsedSGD(synapse=relaxing, key=key, learning_rate=0.1)
    params = (jnp.zeros((200, 100)),)
    state = jax.jit(lambda p: rule.init(p))(params)
    aged, later = jax.jit(lambda p, s: rule.wait(p, s, HOUR))(rule.read(params, state), state)
    shift = np.asarray(aged[0] - rule.read(params, state)[0], np.float64) * 39.6
    assert abs(shift.mean() + 0.729) < 4 * 0.756 / np.sqrt(shift.size) and shift.std() == pytest.approx(0.756, rel=0.02)
    factors = Factors(jnp.ones((1, 200)), jnp.zeros((1, 100)))
    change, awakened = jax.jit(lambda s, p: rule.update(None, s, p, factors=[factors]))(later, aged)
    np.testing.assert_allclose(change[0], 0.0, atol=3e-7)  # no pulse: what is read stays
    assert float(awakened.arrays[0].devices.rest.clock.seconds) == 0.0


def test_one_pulse_beyond_the_fixed_point_is_the_device_s_own_step(key):
    # a step of more than the distance to the bound: several such pulses alternate, one is exact
    device = SoftBounds(**{**COARSE, "dw_min": 1.3}, noise=AdditiveNoise(0.01))
    assert not PulsedSynapse(device).one_by_one
    w, direction = jnp.linspace(-0.9, 0.9, 19), jnp.where(jnp.arange(19) % 2 == 0, 1, -1)
    xi = jax.random.normal(key, w.shape)
    expected = stepped(device, w, direction, xi)
    np.testing.assert_allclose(short_trains(device).moved(w, direction, xi), expected, rtol=1e-6, atol=1e-6)


def test_whether_trains_are_short_is_decided_when_the_synapse_is_made():
    # so that a rule that is an argument of a compiled function does what one that it closes over does
    assert not PulsedSynapse(DEVICES["soft bounds"]).one_by_one  # noise 0.041 of the window
    coarse = eqx.tree_at(lambda d: d.noise.sigma, DEVICES["soft bounds"], jnp.float32(1.2))
    assert PulsedSynapse(coarse).one_by_one and PulsedSynapse(DEVICES["power"]).one_by_one
    assert not PulsedSynapse(coarse, one_by_one=False).one_by_one
    inside = eqx.filter_jit(lambda synapse: synapse.prepared())(PulsedSynapse(DEVICES["soft bounds"]))
    assert inside.short is not None
    with pytest.raises(InputError, match="`one_by_one` must be True or None for a device without a short form"):
        PulsedSynapse(DEVICES["power"], one_by_one=False)


# --------------------------------------------------------------------------------- the physical cell

CELLS = (2, 4)  # one shape for all: its programs are large
half_pulses = eqx.filter_jit(lambda synapse, state, up, down: synapse.half_pulses(state, up, down))
cell_pulse = eqx.filter_jit(lambda cell, state, pulse, kelvin: cell.apply(state, pulse, temperature=kelvin))


@pytest.fixture(scope="module")
def physical():
    return eqx.filter_jit(PhysicalSynapse.from_card)(hfsim.load_card("cmo-hfox-2025"))


@pytest.fixture(scope="module")
def exact(physical):
    return eqx.tree_at(lambda s: s.noise, physical, None)


def stanford():
    cell = hfsim.load_card("stanford-gap-2014").build(Stanford, "stanford")
    states = (StanfordState(jnp.asarray(1.0)), StanfordState(jnp.asarray(0.5)))
    return cell, *states, Pulse(1.15, 10.0), Pulse(-1.15, 10.0)


def jart():
    cell = JartVCM.from_card(hfsim.load_card("jart-vcm-v1b"), cells=24)
    states = (JartState(jnp.log(0.05)), JartState(jnp.log(0.12)))
    return cell, *states, Pulse(-0.45, 10.0), Pulse(0.85, 100.0)


def sgd(synapse, key):
    return PulsedSGD(synapse=synapse, key=key, learning_rate=0.1)


def tiki_taka(synapse, key):
    return TikiTakaV2(synapse, synapse, key=key, learning_rate=0.1, transfer_every=1)


# two arrays of JART are slow to compile
@pytest.mark.parametrize(("parts", "make"), [(stanford, tiki_taka), (jart, sgd)])
def test_any_memristor_learns_between_two_of_its_states(parts, make, key):
    cell, low, high, *pulses = parts()
    synapse = PhysicalSynapse.between(cell, low, high, *pulses)
    assert 0.005 < float(synapse.dw_min) < 0.2
    wanted = jnp.array([[-2.0, -1.0, -0.4, 0.0], [0.3, 0.7, 1.0, 2.0]])
    held = placed(synapse, wanted, key)
    np.testing.assert_allclose(weight(synapse, held), jnp.clip(wanted, -1, 1), atol=1e-4)
    np.testing.assert_allclose(weight(synapse, synapse.init(CELLS, key)), 0.0, atol=1e-4)
    rule = make(synapse, key)
    w = 0.4 * jnp.ones(CELLS)

    @jax.jit
    def learned(state, sign):
        given = Factors(jnp.ones((40, CELLS[0])), jnp.broadcast_to(sign, (40, CELLS[1])))
        return rule.read(w, rule.update(None, state, w, factors=given)[1])

    start = jax.jit(lambda w: rule.init(w))(w)
    up, down = (learned(start, sign) for sign in (-1.0, 1.0))
    assert np.all(np.asarray(up) > 0.4) and np.all(np.asarray(down) < 0.4)


def test_a_set_conductance_carries_its_derivatives(x64):
    # to the weight that is wanted, and to a parameter of the cell at the state that is then held
    cell, low, high, *pulses = stanford()
    low, high = (jax.tree.map(lambda x: x.astype(jnp.float64), state) for state in (low, high))

    def gap(w, g_0):
        own = eqx.tree_at(lambda c: c.g_0, cell, g_0)
        synapse = PhysicalSynapse(own, *pulses, dw_min=0.01, G_0=300.0, g=200.0, ends=(low, high))
        return synapse._at_conductance(None, synapse.G_0 + synapse.g * w).g

    w, g_0, step = jnp.asarray(0.3, jnp.float64), jnp.asarray(cell.g_0, jnp.float64), 1e-5
    for at, found in enumerate(jax.jacfwd(gap, (0, 1))(w, g_0)):
        ends = [gap(*((w, g_0 + s) if at else (w + s, g_0))) for s in (step, -step)]
        assert float(found) == pytest.approx(float(ends[0] - ends[1]) / (2 * step), rel=1e-4)


def test_states_and_pulses_the_wrong_way_round_are_refused():
    cell, low, high, up, down = stanford()
    for given, named in (((high, low, up, down), "high"), ((low, high, down, up), "set_pulse")):
        with pytest.raises(InputError, match=f"`{named}`"):
            PhysicalSynapse.between(cell, *given)
    with pytest.raises(InputError, match="`reset_pulse`"):
        PhysicalSynapse.between(cell, low, high, up, up)
    alone = PhysicalSynapse(cell, up, down, dw_min=0.01, G_0=300.0, g=200.0)
    with pytest.raises(InputError, match="PhysicalSynapse.between"):
        alone.place(alone.init((2,), jax.random.key(0)), jnp.zeros(2))


def test_the_physical_synapse_of_the_card(physical, exact, key):
    # 26.5, 55.0 and 90.3 uS are the published states, as integrated independently
    assert float(physical.G_0) == pytest.approx(55.0, abs=0.1)
    ends = [float(physical.G_0 + physical.g * w) for w in physical.window]
    assert ends == pytest.approx([26.5, 90.3], abs=0.1)
    low, high = (float(w) for w in physical.window)
    wanted = jnp.array([[-2.0, -0.5, 0.0, 0.7], [2.0, 0.3, -0.7, 0.1]])
    np.testing.assert_allclose(weight(exact, placed(exact, wanted, key)), jnp.clip(wanted, low, high), atol=1e-4)
    fresh = physical.init(CELLS, key)
    np.testing.assert_allclose(weight(physical, fresh), 0.0, atol=1e-5)  # fresh cells are at the symmetry point
    # its steps there are dw_min in the mean
    one = jnp.ones(CELLS, int)
    states = [apply(exact, fresh, n * one, event_hash(key, 0, CELLS), key) for n in (1, -1)]
    up, down = (abs(float(weight(exact, state)[0, 0])) for state in states)
    assert (up + down) / 2 == pytest.approx(float(physical.dw_min), rel=1e-3) and up == pytest.approx(down, rel=0.1)


def test_physical_and_pulsed_cards_agree_in_direction_and_size(exact, key):
    # two descriptions of one device by different authors: within a factor of 2.5 over most of the window
    pulsed = PulsedSynapse.from_card(hfsim.load_card("cmo-hfox-2025-pulsed"))
    pulsed = eqx.tree_at(lambda s: s.device.noise.sigma, pulsed, jnp.zeros(()))
    w = jnp.linspace(-0.6, 0.7, 8).reshape(CELLS)
    event = event_hash(key, 0, CELLS)
    for n in (1, -1, 10, -10):
        counts = jnp.full(CELLS, n)
        steps = [np.asarray(weight(s, apply(s, placed(s, w, key), counts, event, key)) - w) for s in (exact, pulsed)]
        assert np.all(np.sign(steps[0]) == np.sign(n)) and np.all(np.sign(steps[1]) == np.sign(n))
        ratio = steps[0] / steps[1]
        assert 0.4 < ratio.min() and ratio.max() < 2.5
    assert float(exact.granularity) == pytest.approx(float(pulsed.granularity), rel=0.3)


def test_pulses_of_the_cell_are_its_own_one_by_one(exact, key):
    counts = jnp.array([[3, -2, 0, 1], [1, -1, -3, 2]])
    w = jnp.array([[0.1, -0.3, 0.4, 0.9], [-0.5, 0.0, 0.2, 0.6]])
    state = placed(exact, w, key)
    after = apply(exact, state, counts, event_hash(key, 0, CELLS), key)
    expected = state.device
    for k in range(3):
        due = (k < abs(counts)).astype(float)
        volts = jnp.where(counts > 0, exact.set_pulse.voltage, exact.reset_pulse.voltage)
        pulse = Pulse(volts * due, exact.set_pulse.width * due)
        expected = cell_pulse(exact.cell, expected, pulse, exact.temperature)
    np.testing.assert_allclose(after.device.log_C, expected.log_C, rtol=2e-6)
    np.testing.assert_array_equal(after.device.log_C[0, 2], state.device.log_C[0, 2])


def test_each_pulse_of_each_sample_varies_by_itself(physical, key):
    # one and two pulses up; the noise of pulse k of sample b is drawn at (key's devices, b, k)
    train, factors = (
        DeterministicTrain(bits=2, adaptive=False),
        Factors(jnp.array([[-1.0, -0.4]] * 2), jnp.ones((2, 4))),
    )
    trains = make_trains(train, factors, 2.0, key, 7)
    array = PulsedArray(placed(physical, jnp.zeros(CELLS), key), jnp.zeros(CELLS, jnp.int32))
    after = jax.jit(lambda a: pulsed_update(physical, train, a, trains, key)[0])(array)
    np.testing.assert_array_equal(after.pulses, [[4] * 4, [2] * 4])
    expected = array.devices.device
    for sample in (7, 8):
        for k in (0, 1):
            due = jnp.array([[1.0] * 4, [1.0 if k == 0 else 0.0] * 4])
            pulse = Pulse(physical.set_pulse.voltage * due, physical.set_pulse.width * due)
            moved = cell_pulse(physical.cell, expected, pulse, physical.temperature)
            xi = normal(address(stream(key, "devices"), sample, k), CELLS, jnp.float32)
            expected = eqx.tree_at(lambda s: s.log_C, moved, moved.log_C + physical.noise.sigma * xi * due)
    np.testing.assert_allclose(after.devices.device.log_C, expected.log_C, rtol=3e-6)


def test_half_pulses_are_half_of_the_voltage_for_their_whole_time(exact, key):
    # n half pulses move the cell as one of n times the width does, SET before RESET
    state = placed(exact, jnp.array([[-0.4, 0.2, 0.6, 0.1], [0.0, 0.0, 0.0, 0.0]]), key)
    up = jnp.array([[1_000_000, 0, 7, 0], [10_000, 0, 5, 0]])
    down = jnp.array([[0, 100_000, 90_000, 0], [0, 10_000, 5, 0]])
    disturbed = half_pulses(exact, state, up, down).device
    expected = state.device
    for pulse, count in ((exact.set_pulse, up), (exact.reset_pulse, down)):
        long = Pulse(0.5 * pulse.voltage * (count > 0), pulse.width * count)
        expected = cell_pulse(exact.cell, expected, long, exact.temperature)
    np.testing.assert_allclose(disturbed.log_C, expected.log_C, rtol=1e-6)
    moved = np.asarray(disturbed.log_C - state.device.log_C)
    assert np.all(moved[:, 0] > 0) and np.all(moved[:, 1] < 0) and not np.any(moved[:, 3])


def test_disturb_reaches_the_devices_of_a_batch(exact, key):
    # the full pulses of a sample and then the half pulses of the counts identity; 1.9 V, so that they show
    strong = eqx.tree_at(
        lambda s: (s.set_pulse.voltage, s.reset_pulse.voltage), exact, (jnp.float32(1.9), jnp.float32(-1.9))
    )
    train, factors = StochasticTrain(), Factors(jnp.array([[1.0, -0.4]]), jnp.array([[0.5, -1.0, 0.2, 0.0]]))
    trains = make_trains(train, factors, 6.0, key)
    devices = placed(strong, jnp.full(CELLS, 0.1), key)
    array = PulsedArray(devices, jnp.zeros(CELLS, jnp.int32))
    disturbed = jax.jit(lambda a: pulsed_update(strong, train, a, trains, key, disturb=True)[0].devices)(array)
    rows, columns, event, _ = jax.tree.map(lambda leaf: leaf[0], trains)
    counts = train.counts(rows, columns, event)
    up, down = half_selected(rows, columns, counts)
    assert np.all(np.asarray(up) >= 0) and np.any(np.asarray(up)) and np.any(np.asarray(down))
    calm = apply(strong, devices, counts, event, key)
    expected = half_pulses(strong, calm, up, down).device.log_C
    np.testing.assert_allclose(disturbed.device.log_C, expected, rtol=3e-6)
    assert np.abs(np.asarray(disturbed.device.log_C - calm.device.log_C)).max() > 1e-4


def test_the_physical_cell_relaxes_and_is_pulsed_from_where_it_is(exact, key):
    retention = CMORetention.from_card(hfsim.load_card("cmo-hfox-2025"))
    synapse = PhysicalSynapse(**{**vars(exact), "retention": retention})
    state = placed(synapse, jnp.full(CELLS, 0.2), key)
    rested = wait(synapse, state, 10 * YEAR)
    shift = np.asarray(conductance(synapse, rested) - conductance(synapse, state), np.float64)
    assert abs(shift.mean() + 1.742) < 4 * 1.234 / np.sqrt(shift.size) and shift.std() > 0.4
    up = awake(synapse, rested)
    np.testing.assert_allclose(weight(synapse, up), weight(synapse, rested), atol=3e-5)
    counts, event = jnp.full(CELLS, 2), event_hash(key, 0, CELLS)
    after = synapse.pulses(up, counts, event, key, 31)
    alone = apply(exact, placed(exact, weight(synapse, rested), key), counts, event, key)
    np.testing.assert_allclose(after.device.log_C, alone.device.log_C, atol=1e-4)


def test_a_physical_fast_array_and_a_phenomenological_slow_one(physical, key):
    slow = PulsedSynapse.from_card(hfsim.load_card("idealised-2016"))
    rng = np.random.default_rng(0)
    params = {"w": jnp.zeros((2, 4))}
    x, delta = abs(rng.normal(size=(40, 2))) + 0.5, abs(rng.normal(size=(40, 4))) + 0.5
    factors = Factors(jnp.asarray(x, jnp.float32), jnp.asarray(delta, jnp.float32))
    rule = TikiTakaV2(physical, slow, key=key, learning_rate=0.05)
    change, state = jax.jit(lambda p: rule.update(None, rule.init(p), p, factors=[factors]))(params)
    moved = np.asarray(change["w"])
    assert np.all(np.isfinite(moved)) and np.all(moved < 0)
    assert np.all(np.asarray(physical.weight(state.arrays[0].fast.devices)) < 0)
