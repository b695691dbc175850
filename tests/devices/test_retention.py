"""Retention models: one trajectory a device, waits that compose, clipping, reads, refusals."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.devices import Pulse
from hfsim.devices.memristor.cmo import CMOCell
from hfsim.devices.memristor.series import SelectResistance
from hfsim.devices.relaxation import LOG_TIME_MAX, log_read_time, normalised_path
from hfsim.devices.retention import CMORetention, PCMRetention, PolynomialRetention, RelaxingMemristor, Window
from hfsim.errors import InputError

HOUR, DAY, TEN_YEARS = 3600.0, 86400.0, 3.156e8
conductance = jax.jit(lambda model, state: model.conductance(state))


def models():
    cmo, pcm, wan, milo = map(
        hfsim.load_card, ("cmo-hfox-2025", "pcm-nandakumar-2019", "wan-2022-reram", "milo-2021-hfo2")
    )
    return {
        "cmo": CMORetention.from_card(cmo),
        "pcm": PCMRetention.from_card(pcm),
        "wan": PolynomialRetention.from_card(wan),
        "cubic": PolynomialRetention.from_card(wan, "cubic_1s"),
        "milo": PolynomialRetention.from_card(milo),
    }


every_model = pytest.mark.parametrize("model", models().values(), ids=models().keys())


def programmed(model, level=20.0, devices=200, seed=0):
    return model.program(model.init((devices,), jax.random.key(seed)), level)


@every_model
def test_reading_twice_gives_the_same_and_waits_compose(model):
    state = programmed(model)
    one_by_one = model.wait(model.wait(state, HOUR), HOUR)
    G = conductance(model, one_by_one)
    np.testing.assert_array_equal(G, conductance(model, one_by_one))
    np.testing.assert_array_equal(G, conductance(model, model.wait(state, 2 * HOUR)))


@every_model
def test_a_fresh_array_reads_what_was_programmed(model):
    state = programmed(model)
    np.testing.assert_array_equal(conductance(model, state), state.programmed)
    assert np.asarray(model.sigma(model.place(state, state.programmed))).shape == (200,)


@every_model
def test_a_bake_is_a_longer_wait(model):
    # 1 h at 340 K is exp[E/k (1/300 - 1/340)] hours
    state = programmed(model)
    factor = np.exp(float(model.E_relax) / 8.617333262e-5 * (1 / 300 - 1 / 340))
    baked, waited = model.wait(state, HOUR, 340.0), model.wait(state, HOUR * factor)
    np.testing.assert_allclose(conductance(model, baked), conductance(model, waited), rtol=1e-3)


@every_model
def test_programming_again_starts_another_trajectory(model):
    first = model.wait(programmed(model), DAY)
    again = model.program(first, 20.0)
    assert float(again.clock.seconds) == 0.0 and int(again.event) == int(first.event) + 1
    later = conductance(model, model.wait(again, DAY))
    assert abs(np.corrcoef(later, conductance(model, first))[0, 1]) < 0.3


@every_model
def test_reads_are_noisy_and_leave_the_state(model):
    state = model.wait(programmed(model, devices=20_000), DAY)
    noisy = jax.jit(lambda m, s, k: m.read(s, k))
    G, sigma = conductance(model, state), np.asarray(model.read_sigma(state))
    a, b = (np.asarray(noisy(model, state, jax.random.key(k))) for k in (1, 2))
    if not sigma.any():
        np.testing.assert_array_equal(a, G)
        return
    z = (a - np.asarray(G)) / sigma
    inside = np.asarray(G) > 11.0  # away from the lower clip
    assert z[inside].std() == pytest.approx(1.0, abs=4 / np.sqrt(2 * inside.sum()))
    assert abs(np.corrcoef(z[inside], ((b - np.asarray(G)) / sigma)[inside])[0, 1]) < 0.03


def test_the_window_clips_and_can_be_left_out():
    card = hfsim.load_card("cmo-hfox-2025")
    clipped, free = (CMORetention.from_card(card, clip=choice) for choice in (True, False))
    state = free.wait(programmed(free, 9.0, 5000), TEN_YEARS)
    low, raw = np.asarray(conductance(clipped, state)), np.asarray(conductance(free, state))
    assert raw.min() < 7.0 and low.min() == 9.0
    np.testing.assert_array_equal(low, np.clip(raw, 9.0, np.float32(88.2)))
    assert Window(G_min=1.0, G_max=2.0).clip(jnp.array(3.0)) == 2.0


def test_the_two_acceptances():
    card = hfsim.load_card("cmo-hfox-2025")
    for acceptance, sigma in ((0.2, 0.0104), (2.0, 0.1128)):
        model = CMORetention.from_card(card, acceptance)
        state = programmed(model, 9.0, 50_000)
        assert float(np.std(state.programmed)) == pytest.approx(sigma, rel=0.02)
    with pytest.raises(InputError, match="`acceptance` must be one of 0.2, 2.0 per cent"):
        CMORetention.from_card(card, 1.0)


def test_drift_exponents_stay_with_their_programming():
    model = models()["pcm"]
    state = programmed(model, 10.0)
    nu = np.asarray(model.exponent(state))
    np.testing.assert_array_equal(nu, model.exponent(model.wait(state, DAY)))
    ratio = np.log(conductance(model, model.wait(state, DAY)) / state.programmed)
    np.testing.assert_allclose(ratio / -np.log1p(DAY / 20.0), nu, rtol=1e-4)
    assert np.all(nu >= 0) and not np.array_equal(nu, model.exponent(model.program(state, 10.0)))


def test_a_shrinking_spread_contracts_each_device():
    # Wan at 6 uS: 3.022 uS at 1 day, 2.963 at 2 days: each deviation falls by that ratio
    model = models()["wan"]
    model = dataclasses.replace(model, window=None)
    state = programmed(model, 6.0)
    day, two = (np.asarray(model.trajectory(model.wait(state, t))) - 6.0 for t in (DAY, 2 * DAY))
    sigmas = [float(model.sigma(model.wait(state, t))[0]) for t in (DAY, 2 * DAY)]
    assert sigmas == pytest.approx([3.022, 2.963], abs=2e-3)
    np.testing.assert_allclose(two, day * sigmas[1] / sigmas[0], rtol=1e-4, atol=1e-4)


def test_read_noise_grows_with_the_logarithm_of_time():
    t = jnp.array([0.0, 1e-6, 3e-6, 1.0])
    expected = [0.0, 0.0, np.sqrt(np.log(2.0)), np.sqrt(np.log((1 + 1e-6) / 2e-6))]
    np.testing.assert_allclose(log_read_time(t, 1e-6), expected, rtol=1e-5)
    slopes = jax.vmap(jax.grad(lambda s: log_read_time(s, 1e-6)))(t)
    assert np.all(np.isfinite(slopes)) and slopes[0] == slopes[1] == 0.0


def test_the_normalised_path():
    key = jax.random.key(7)
    path = jax.jit(lambda share: normalised_path(key, share, (20_000,)))
    np.testing.assert_array_equal(path(jnp.float32(0.0)), 0.0)
    for share in (1e-4, 0.3, 1.0, 5.0):
        z = np.asarray(path(jnp.float32(share)))
        assert abs(z.std() - 1) < 4 / np.sqrt(2 * z.size) and abs(z.mean()) < 4 / np.sqrt(z.size)
    # correlation of Z at two shares is that of Brownian motion, sqrt(s/t)
    a, b = path(jnp.float32(8 / LOG_TIME_MAX)), path(jnp.float32(32 / LOG_TIME_MAX))
    assert np.corrcoef(a, b)[0, 1] == pytest.approx(0.5, abs=4 * 0.75 / np.sqrt(20_000))
    np.testing.assert_array_equal(path(jnp.float32(1.0)), path(jnp.float32(5.0)))


def test_a_devices_own_clock_is_refused():
    card = hfsim.load_card("cmo-hfox-2025")
    with pytest.raises(InputError, match="sigma_1` must be one number: an array has one clock"):
        dataclasses.replace(CMORetention.from_card(card), sigma_1=[0.04, 0.05])
    with pytest.raises(InputError, match="`PolynomialRetention.t` must rise"):
        dataclasses.replace(models()["wan"], t=[1.0, 3.0, 2.0])
    with pytest.raises(InputError, match="`seconds` must be a finite time"):
        models()["pcm"].wait(programmed(models()["pcm"]), -1.0)


# -------------------------------------------------------------------------------- pulses and relaxation


@pytest.fixture(scope="module")
def relaxing():
    card = hfsim.load_card("cmo-hfox-2025")
    cell = card.build(CMOCell, "cell", series=card.build(SelectResistance, "series"))
    return RelaxingMemristor(cell=cell, retention=CMORetention.from_card(card, clip=False))


@pytest.fixture(scope="module")
def rested(relaxing):
    return relaxing.wait(relaxing.init((8,), jax.random.key(0)), DAY)


pulsed = jax.jit(lambda device, state, V: device.apply(state, Pulse(V, 1000.0)))


def test_a_pulse_acts_on_what_relaxation_left(relaxing, rested):
    G = relaxing.conductance(rested)
    assert float(jnp.std(G)) > 0.3
    after = pulsed(relaxing, rested, 1.35)
    alone = relaxing.cell.apply(relaxing.cell.at_conductance(G), Pulse(1.35, 1000.0))
    np.testing.assert_allclose(relaxing.conductance(after), relaxing.cell.conductance(alone), rtol=1e-5)
    np.testing.assert_allclose(relaxing.current(rested, 0.2), 0.2 * G, rtol=1e-5)


def test_what_relaxes_is_the_conductance_at_room_temperature(relaxing, rested):
    # a pulse at 330 K on it, and a read at 330 K: both find the cell that reads G at room temperature
    cell = relaxing.cell.at_conductance(relaxing.conductance(rested))
    warm = relaxing.current(rested, 0.2, temperature=330.0)
    np.testing.assert_allclose(warm, relaxing.cell.current(cell, 0.2, temperature=330.0), rtol=1e-5)
    assert np.all(warm > 1.05 * relaxing.current(rested, 0.2))
    after = relaxing.apply(rested, Pulse(1.35, 1000.0), temperature=330.0)
    alone = relaxing.cell.apply(cell, Pulse(1.35, 1000.0), temperature=330.0)
    np.testing.assert_allclose(relaxing.conductance(after), relaxing.cell.conductance(alone), rtol=1e-5)


def test_a_pulse_of_no_height_keeps_what_relaxed(relaxing, rested):
    np.testing.assert_allclose(
        relaxing.conductance(pulsed(relaxing, rested, 0.0)), relaxing.conductance(rested), rtol=1e-5
    )


def test_a_train_without_waits_is_the_cells_own(relaxing):
    state = relaxing.init((8,), jax.random.key(0))
    cell = state.cell
    for V in (1.35, 1.35, -1.3):
        state, cell = pulsed(relaxing, state, V), relaxing.cell.apply(cell, Pulse(V, 1000.0))
    np.testing.assert_allclose(relaxing.conductance(state), relaxing.cell.conductance(cell), rtol=1e-5)
    assert int(state.rest.event) == 4


def test_the_gradient_passes_the_relaxation(relaxing, x64):
    # d G after a day and a pulse / d the drift per e-fold: 11.37 e-folds, times what the pulse makes of a change of G
    double = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), relaxing)

    @jax.jit
    def after(drift):
        device = dataclasses.replace(double, retention=dataclasses.replace(double.retention, drift=drift))
        state = device.wait(device.init((), jax.random.key(0)), DAY)
        return device.conductance(device.apply(state, Pulse(1.35, 1000.0)))

    slope, drift = jax.jit(jax.grad(after))(jnp.array(-0.089)), jnp.array(-0.089)
    assert float(slope) == pytest.approx(float((after(drift + 1e-5) - after(drift - 1e-5)) / 2e-5), rel=1e-5)
    assert 5 < float(slope) < 11.4
