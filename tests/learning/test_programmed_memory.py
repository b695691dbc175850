"""Weights programmed once and read later: against the device models themselves, closed forms, and the crossbar."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import hfsim
from hfsim.crossbar import (
    BitSliced,
    Crossbar,
    CrossbarDesign,
    Differential,
    PulsedProgramming,
    ReferenceColumn,
    SingleEnded,
)
from hfsim.crossbar.compensation import DriftCompensation, Overshoot
from hfsim.crossbar.weight_scaling import LargestWeight, WeightDeviations
from hfsim.devices.retention import CMORetention
from hfsim.errors import InputError
from hfsim.learning.programmed_memory import ProgrammedMemory, pulses_spent

DAY, YEARS = 86400.0, 315576000.0
CARDS = ("cmo-hfox-2025", "wan-2022-reram", "pcm-nandakumar-2019")
WINDOW = dict(G_min=9.0, G_max=88.2)

start = jax.jit(lambda memory, params: memory.init(params))
read = jax.jit(lambda memory, params, state: memory.read(params, state))
wait = jax.jit(
    lambda memory, params, state, seconds, temperature=300.0: memory.wait(params, state, seconds, temperature)
)


def uniform(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


@pytest.fixture(scope="module")
def params():
    return {"a": uniform(0, 60, 40), "groups": uniform(1, 3, 8, 5)}


def memory_of(card, **options):
    return ProgrammedMemory.from_card(card, key=jax.random.key(4), **options)


@pytest.mark.parametrize("card", CARDS)
def test_read_outs_are_the_retention_models_own(card, params):
    """Error of the weights now: conductances of the model, decoded by hand; spread against its closed-form moments."""
    memory = memory_of(card)
    state = start(memory, params)
    aged_params, aged = wait(memory, params, state, DAY)
    devices = aged.arrays[0].devices
    G = np.asarray(jax.jit(lambda m, d: m.conductance(d))(memory.retention, devices))
    if card == "cmo-hfox-2025":
        expected = (G - 48.6) / 39.6
    else:
        expected = (G[:, 0::2] - G[:, 1::2]) / (40.0 if card == "wan-2022-reram" else 25.0)
    np.testing.assert_allclose(aged_params["a"], expected, atol=2e-5)
    assert aged_params["groups"].shape == (3, 8, 5)
    mean, sigma = np.asarray(memory.retention.mean(devices)), np.asarray(memory.retention.sigma(devices))
    inside = (mean > 12) & (mean < 85) if card == "cmo-hfox-2025" else mean > 3  # the window cuts none of these
    normalised = ((G - mean) / sigma)[inside]
    assert np.std(normalised) == pytest.approx(1.0, abs=5 / np.sqrt(2 * normalised.size))
    assert abs(np.mean(normalised)) < 5 / np.sqrt(normalised.size)


def test_waits_compose_and_reading_changes_nothing(params):
    memory = memory_of("cmo-hfox-2025")
    state = start(memory, params)
    once, whole = wait(memory, params, state, 1.5 * DAY)
    _, first = wait(memory, params, state, DAY)
    read(memory, params, first)
    twice, both = wait(memory, params, first, 0.5 * DAY)
    np.testing.assert_array_equal(once["a"], twice["a"])
    # one trajectory: the deviation a day later goes on from that of today
    early, late = (np.asarray(read(memory, params, s)["a"] - params["a"]).ravel() for s in (first, whole))
    assert np.corrcoef(early, late)[0, 1] > 0.9
    hot, _ = wait(memory, params, state, DAY, 400.0)
    assert np.mean(hot["a"] - params["a"]) < 1.5 * np.mean(late)  # a bake runs the clock faster


def test_a_crossbar_programmed_with_the_same_card_has_the_same_law(params):
    """Spread of the weights at ten years, of a `Crossbar` and of this memory: within the error of 2400 devices."""
    W = params["a"]
    memory = memory_of("cmo-hfox-2025", scaling=LargestWeight())
    ours, _ = wait(memory, params, start(memory, params), YEARS)
    other = Crossbar.program(W.T, key=jax.random.key(9)).after(YEARS).weights.T
    errors = [np.asarray(w - W) for w in (ours["a"], other)]
    assert np.std(errors[0]) == pytest.approx(np.std(errors[1]), rel=5 / np.sqrt(2400))
    assert np.mean(errors[0]) == pytest.approx(np.mean(errors[1]), abs=5 * np.std(errors[0]) * np.sqrt(2 / 2400))


def test_acceptance_decides_the_spread_and_the_pulses(params):
    """0.2 and 2 %: sigma = slope G + offset of the card over 39.6 uS, 89 and 11 pulses a device."""
    small = {"a": params["a"]}
    for acceptance, slope, offset, pulses in ((0.2, 0.00106879, 0.00081107, 89), (2.0, 0.01129027, 0.01121854, 11)):
        memory = memory_of("cmo-hfox-2025", acceptance=acceptance)
        state = start(memory, small)
        sigma = (slope * (48.6 + 39.6 * np.asarray(small["a"])) + offset) / 39.6
        error = np.asarray(read(memory, small, state)["a"] - small["a"]) / sigma
        assert np.std(error) == pytest.approx(1.0, abs=5 / np.sqrt(2 * error.size))
        assert pulses_spent(state) == pulses * small["a"].size


def test_pulses_one_by_one_end_inside_the_acceptance():
    """Write-verify of the pulsed device: uniform inside +-2 %, so the read-out's error is bounded by 2 % of G."""
    W = {"a": 0.5 * uniform(2, 12, 8)}
    programming = PulsedProgramming.from_card(hfsim.load_card("cmo-hfox-2025-pulsed"), acceptance=2.0)
    memory = memory_of("cmo-hfox-2025", programming=programming)
    state = start(memory, W)
    target = 48.6 + 39.6 * np.asarray(W["a"])
    array = state.arrays[0]
    met = np.asarray(array.result) == 0
    error = np.asarray(array.devices.programmed) - target
    assert met.mean() > 0.95 and np.all(np.abs(error[met]) <= 0.02 * target[met] * (1 + 1e-4))
    np.testing.assert_array_equal(array.devices.target, target.astype(np.float32))
    assert pulses_spent(state) == int(np.sum(np.asarray(array.pulses)))
    later, _ = wait(memory, W, state, YEARS)  # and relaxes by the card's law from where the pulses left it
    shift = np.mean(np.asarray(later["a"]) - np.asarray(read(memory, W, state)["a"]))
    assert shift == pytest.approx(-0.08900206 * np.log(YEARS) / 39.6, abs=5 * 1.234 / 39.6 / np.sqrt(96))


@pytest.mark.parametrize(
    "encoding",
    [
        ReferenceColumn(**WINDOW),
        BitSliced(Differential(**WINDOW), 2, 2),
    ],
    ids=lambda e: type(e).__name__,
)
def test_read_noise_of_weights_is_that_of_their_devices(encoding):
    """Deviation of 600 noisy reads of each weight over the stated one: 1 within 3 % for each, less for their mean."""
    W = {"a": 0.9 * uniform(3, 5, 4)}
    memory = memory_of("cmo-hfox-2025", encoding=encoding, scaling=LargestWeight())
    _, state = wait(memory, W, start(memory, W), DAY)
    stated = np.asarray(memory.read_sigma(W, state)["a"])
    keys = jax.random.split(jax.random.key(0), 600)
    reads = jax.jit(lambda m, s, keys: jax.vmap(lambda k: m.reading(W, s, k)["a"])(keys))(memory, state, keys)
    ratio = np.std(np.asarray(reads), axis=0) / stated
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.03) and np.all(np.abs(ratio - 1) < 0.15)
    cells = memory.cells(state)[0]
    np.testing.assert_allclose(
        encoding.weights(cells.G) * state.arrays[0].scale, read(memory, W, state)["a"], atol=1e-6
    )


def test_another_key_is_another_chip_and_chips_map(params):
    memory = memory_of("wan-2022-reram")
    small = {"a": params["a"][:20, :10]}

    def chip(key):
        own = dataclasses.replace(memory, key=key)
        return own.wait(small, own.init(small), DAY)[0]["a"]

    keys = jax.random.split(jax.random.key(1), 3)
    chips = jax.jit(jax.vmap(chip))(keys)
    np.testing.assert_allclose(chips[1], jax.jit(chip)(keys[1]), atol=1e-6)
    assert not np.allclose(chips[0], chips[1])
    again = jax.jit(chip)(keys[1])
    np.testing.assert_array_equal(again, jax.jit(chip)(keys[1]))
    two = start(memory, {"a": small["a"], "b": small["a"]})  # leaves differ, too
    assert not np.allclose(*(array.devices.programmed for array in two.arrays))


@pytest.mark.parametrize("card", CARDS)
def test_gradients_in_the_weights_are_those_of_differences(card, x64):
    """Reparameterised: with its draws held, the read-out is a smooth function of each weight."""
    W = {"a": jnp.asarray([[0.5, -0.4], [0.2, 0.7]], jnp.float64)}
    memory = memory_of(card)

    @jax.jit
    def total(s):
        moved = {"a": W["a"] + s}
        return jnp.sum(jnp.asarray([[1.0, 2.0], [3.0, 4.0]]) * memory.wait(moved, memory.init(moved), DAY)[0]["a"])

    value, slope = jax.value_and_grad(total)(0.0)
    h = 1e-5
    assert float(slope) == pytest.approx(float(total(h) - total(-h)) / (2 * h), rel=1e-4)
    assert np.isfinite(float(value)) and float(slope) != 0


def test_scaling_and_overshoot_are_used():
    W = {"a": jnp.asarray([[2.0, 0.02], [-4.0, 0.01], [1.0, 0.0]])}
    scale = start(memory_of("cmo-hfox-2025", scaling=LargestWeight()), W).arrays[0].scale
    np.testing.assert_allclose(scale, [[4.0, 0.02]])
    scale = start(memory_of("cmo-hfox-2025", scaling=WeightDeviations(deviations=1.0, per_column=False)), W).arrays[0]
    np.testing.assert_allclose(scale.scale, np.full((1, 2), np.sqrt(np.mean(np.square(W["a"])))), rtol=1e-6)
    np.testing.assert_allclose(scale.devices.target[1, 0], 9.0, rtol=1e-6)  # beyond one deviation: at the window's end
    plain = start(memory_of("cmo-hfox-2025"), {"a": 0.1 * W["a"]}).arrays[0].devices.target
    memory = memory_of("cmo-hfox-2025", overshoot=Overshoot(seconds=YEARS, **WINDOW))
    moved = start(memory, {"a": 0.1 * W["a"]}).arrays[0].devices.target
    np.testing.assert_allclose(moved - plain, 0.08900206 * np.log(YEARS), rtol=1e-4)


def test_compensation_of_all_arrays_brings_phase_change_back(params):
    """A factor per array, calibrated at programming: the slope of read on wanted weights goes from 0.45 to about 1."""
    memory = memory_of("pcm-nandakumar-2019")
    kernel = CrossbarDesign.from_card(hfsim.load_card("pcm-nandakumar-2019")).kernel()
    compensation = DriftCompensation(count=4)

    @jax.jit
    def corrected(memory, params):
        state = memory.init(params)
        references = memory.calibrate(state, compensation, kernel, jax.random.key(1))
        plain, aged = memory.wait(params, state, YEARS)
        corrections = memory.corrections(aged, references, compensation, kernel, jax.random.key(2))
        return plain, memory.read(params, aged, corrections)

    def slope(w, name):
        return float(jnp.sum(w[name] * params[name]) / jnp.sum(params[name] ** 2))

    plain, better = corrected(memory, params)
    assert slope(plain, "a") < 0.5 and 0.9 < slope(better, "a") < 1.05
    assert slope(plain, "groups") < 0.5 and 0.8 < slope(better, "groups") < 1.2


def test_a_flax_networks_weights_are_any_tree():
    layer = nnx.Linear(6, 4, rngs=nnx.Rngs(0))
    graph, kernels, rest = nnx.split(layer, nnx.PathContains("kernel"), ...)
    memory = memory_of("cmo-hfox-2025", scaling=LargestWeight())
    aged, _ = wait(memory, kernels, start(memory, kernels), YEARS)
    x = uniform(5, 3, 6)
    y = nnx.merge(graph, aged, rest)(x)
    assert y.shape == (3, 4)
    error = np.std(np.asarray(y - layer(x)))
    assert 0 < error < 0.2 * np.std(np.asarray(layer(x)))


def test_refusals(params):
    with pytest.raises(InputError, match="acceptance"):
        memory_of("wan-2022-reram", acceptance=2.0)
    memory = memory_of("cmo-hfox-2025")
    for bad in ({}, {"bias": jnp.ones(3)}, {"a": jnp.ones((2, 2), int)}):
        with pytest.raises(InputError, match="params"):
            memory.init(bad)
    with pytest.raises(InputError, match="leaves of shapes"):
        memory.read({"a": jnp.ones((2, 2))}, start(memory, {"a": jnp.ones((3, 2))}))
    with pytest.raises(InputError, match="above 0 uS"):
        memory_of("cmo-hfox-2025", encoding=Differential(G_min=0.0, G_max=80.0))
    with pytest.raises(InputError, match="retention"):
        ProgrammedMemory(None, SingleEnded(**WINDOW), jax.random.key(0))
    with pytest.raises(InputError, match="counts pulses"):
        pulses_spent(start(memory_of("wan-2022-reram"), {"a": params["a"][:2, :2]}))
    unclipped = ProgrammedMemory(
        CMORetention.from_card(hfsim.load_card("cmo-hfox-2025")), SingleEnded(**WINDOW), jax.random.key(0)
    )
    assert start(unclipped, {"a": params["a"][:2, :2]}).arrays[0].pulses is None
