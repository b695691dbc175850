"""The published facts of the hybrid memory, end to end (Martemucci et al., Nature Electronics 8, 921 (2025)).

Each test states the article's number and how it is measured here.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import hfsim
from hfsim import hybrid
from hfsim.devices.pulse import Pulse
from hfsim.hybrid import HybridArray, count_network
from hfsim.learning import Factors, HybridMemory
from tests.compiled_array import LINES, conductances, init, sense, transfer, update, write

LEVELS = np.array([1.4, 11.9, 36.5, 58.3, 73.9, 85.5, 95.9, 103.9])  # uS, codes 0 to 7
SIGMA = 8.7  # uS, every level
CIRCUITS, TRANSFERS = 33, 6


@pytest.fixture(scope="module")
def card():
    return hfsim.load_card("cea-leti-2025-hybrid")


def line(card, mechanism):
    return hybrid.transfer_line(card, mechanism)


# The transfer


@pytest.mark.parametrize("mechanism", hybrid.MECHANISMS)
def test_the_fitted_line_predicts_the_codes_it_was_not_fitted_to(card, mechanism):
    # fitted on codes 0, 2, 4, 7; 1, 3, 5, 6 are predictions; a square law misses them by 10 uS
    error = np.asarray(line(card, mechanism).levels()) - LEVELS
    assert np.abs(error[[0, 2, 4, 7]]).max() < 0.3
    assert np.sqrt(np.mean(error[[1, 3, 5, 6]] ** 2)) < {"saturation": 0.9, "starvation": 1.6}[mechanism]


def test_the_line_voltage_tells_the_two_mechanisms_apart(card):
    # same conductances, different V_TL: close to linear in the ones, as published, or saturating
    linear, starved = (np.asarray(line(card, mechanism).line_voltages()) for mechanism in hybrid.MECHANISMS)
    assert np.diff(linear)[-1] > 0.7 * np.diff(linear)[0]
    assert np.diff(starved)[-1] < 0.3 * np.diff(starved)[0]


def test_line_voltages_follow_the_charge_balance(card):
    # V_TL = (C_D,tot V_SL + sum b_i 2 P_r S_i)/(C_TL + C_D,tot), where the field does not starve
    model = line(card, "saturation")
    C_D = 7 * float(model.capacitor.capacitance)
    charge = np.arange(8) * float(model.capacitor.switching_charge)
    expected = (C_D * float(model.drive.V_SL) + charge) / (float(model.line.C_L) + C_D)
    np.testing.assert_allclose(model.line_voltages()[:6], expected[:6], rtol=0.02)
    assert np.all(model.line_voltages() <= expected * 1.001)  # what does not reverse can only lack


@pytest.fixture(scope="module")
def targets(card):
    """Conductances (codes, 33 circuits, 6 transfers) of the programmed memristors, pulse by pulse.

    Each fabricated array has four synapses of each code, of both signs, and noise of its own at each transfer.
    """
    design = HybridArray.from_card(card, lines=LINES)
    codes = np.arange(8)  # a synapse's place on its line is its code
    sign = np.where((np.arange(LINES)[:, None] + codes) % 2, -1, 1)
    words = jnp.asarray((64.0 * codes + 17) * sign, jnp.float32)
    found = []
    for chip in range(-(-CIRCUITS // LINES)):
        array = design.sample(jax.random.key(chip))
        state = write(array, init(array, jax.random.key(100 + chip)), words)
        events = []
        for event in range(TRANSFERS):
            state = transfer(array, state, jax.random.fold_in(jax.random.key(9), event))
            pair = np.asarray(conductances(array, state), np.float64)
            events.append(np.where(sign < 0, pair[..., 1], pair[..., 0]))
        found.append(np.stack(events, axis=-1))
    return np.concatenate(found).transpose(1, 0, 2)[:, :CIRCUITS]


def test_33_circuits_by_6_transfers_show_the_published_table(targets):
    mean, spread = targets.mean(axis=(1, 2)), targets.std(axis=(1, 2))
    # 4 standard errors of 198 draws, which share the mismatch of 33 devices, and the model's own 1.2 uS
    error = 4 * np.sqrt(SIGMA**2 / 198 + targets.mean(axis=2).var(axis=1) / 33) + 1.2
    assert np.all(np.abs(mean - LEVELS) < error)
    np.testing.assert_allclose(spread, SIGMA, rtol=4 / np.sqrt(2 * 198) + 0.05)


def test_the_array_and_the_circuits_transfer_agree_in_mean_and_spread(targets, card):
    strategy = hybrid.transfer(card, "circuit")
    words = jnp.broadcast_to(64.0 * jnp.arange(8.0), (500, 8))
    program = eqx.filter_jit(lambda t, key: t.program(words, t.fabricate(words.shape, key), key).plus)
    statistical = np.asarray(program(strategy, jax.random.key(5)), np.float64)
    for code in range(8):
        a, b = targets[code], statistical[:, code]
        # mismatch adds to the memristor's 8.7 uS in the array and is taken out of it in the strategy: 3 %
        error = 4 * np.sqrt(a.mean(axis=1).var() / len(a) + SIGMA**2 / a.size + b.var() / b.size)
        assert abs(a.mean() - b.mean()) < error
        assert abs(a.std() / b.std() - 1) < 4 * np.hypot(1 / np.sqrt(2 * a.size), 1 / np.sqrt(2 * b.size)) + 0.03


def test_no_transfer_makes_a_sign_error(targets):
    # codes of 3 and above are 6 sigma and more above the idle twin: the programmed side is never mistaken
    assert targets[3:].min() > 10 * LEVELS[0]


# Weights


def test_a_weight_spreads_by_0_594_levels(card):
    measured = hybrid.transfer(card, "measured")
    to_levels = 8 * float(measured.weight_per_uS)
    assert to_levels * float(measured.sigma) == pytest.approx(0.594, abs=5e-4)
    normalised = to_levels * (np.asarray(measured.mean) - float(measured.mean[0]))
    np.testing.assert_allclose(normalised, [0, 0.717, 2.397, 3.886, 4.951, 5.743, 6.454, 7], atol=6e-4)


def test_neighbouring_levels_overlap_as_published(card):
    # a draw lands beyond the midpoint to the level below in 27, 8, 11, 19, 25, 28, 32 % of transfers
    measured = hybrid.transfer(card, "measured")
    words = jnp.repeat(64.0 * jnp.arange(8), 40_000).reshape(8, -1)
    draws = np.asarray(measured.program(words, None, jax.random.key(0)).plus)
    midpoints = (LEVELS[1:] + LEVELS[:-1]) / 2
    got = np.mean(draws[1:] < midpoints[:, None], axis=1)
    published = np.array([0.27, 0.08, 0.11, 0.19, 0.25, 0.28, 0.32])
    np.testing.assert_allclose(got, norm.cdf(-np.diff(LEVELS) / 2 / SIGMA), rtol=0, atol=4 * np.sqrt(0.25 / 40_000))
    np.testing.assert_allclose(got, published, rtol=0, atol=0.01 + 4 * np.sqrt(0.25 / 40_000))


# Devices and energy


def test_a_minimum_cell_has_the_published_capacitance_and_charge(card):
    cell = hybrid.ferroelectric_capacitor(card)
    assert float(cell.capacitance) == pytest.approx(9.5, abs=0.05)  # fF
    assert float(cell.switching_charge) == pytest.approx(0.36 * 197.5, rel=1e-3)  # fC: window times capacitance


def test_the_memory_window_is_the_published_median(card):
    # MW = difference of line voltages between 1 and 0 under the read pulse, 360 mV
    array = HybridArray.from_card(card, lines=1)
    pulse = Pulse(array.write_pulse.voltage, array.write_pulse.width)
    stored = jnp.asarray([[1.0], [0.0]])  # a 0 on one line, a 1 on the other
    share = eqx.filter_jit(lambda line, capacitor: line.share(capacitor, capacitor.init((2, 1), up=stored), pulse)[1])
    zero, one = share(array.bit_line, array.capacitor)
    assert 1e3 * float(one - zero) == pytest.approx(360, abs=10)


def test_writing_a_bit_takes_200_to_300_femtojoules(card):
    # E = 2 P_r S V_prog at 3 V
    cell = hybrid.ferroelectric_capacitor(card)
    assert 200 < float(cell.switching_charge) * 3.0 < 300


@pytest.mark.parametrize(
    ("period", "energy"), [(1, 1464.0), (10, 168.0), (50, 52.8), (100, 38.4), (200, 31.2), (600, 26.4)]
)
def test_the_energy_of_the_worst_cell(card, period, energy):
    prices = hybrid.OperationPrices.from_card(card)
    cost = hybrid.published_rule(prices, samples=600_000, probability=0.2, period=period)
    assert cost.energy_nJ == pytest.approx(energy, rel=1e-6)


# Two scales, one chip


def test_the_memory_of_a_network_and_the_array_hold_the_same_words_and_wear(card):
    # The learning rule works with words; the array with pulses. Given the same steps they must agree, word by
    # word and operation by operation: p = 1, so that every cell is rewritten at every sample.
    array = HybridArray.from_card(card, lines=LINES).sample(jax.random.key(3))
    memory = HybridMemory(
        transfer=hybrid.transfer(card, "measured"),
        memristor=hybrid.memristor(card),
        learning_rate=0.1,
        probability=1.0,
        period=2,
        key=jax.random.key(4),
    )
    rng = np.random.default_rng(5)
    gradients = 6 * rng.normal(size=(4, LINES, 8))
    params = {"kernel": jnp.zeros((LINES, 8))}
    state = memory.init(params)
    chip = transfer(array, init(array, jax.random.key(6)), jax.random.key(6))  # the memory's first transfer
    step = eqx.filter_jit(lambda m, g, s, p: m.update(g, s, p))
    for sample, gradient in enumerate(gradients):
        _, state = step(memory, {"kernel": jnp.asarray(gradient, jnp.float32)}, state, params)
        moved = np.round(np.float32(0.1) * np.float32(512) * gradient.astype(np.float32))
        chip = update(array, chip, jnp.asarray(-moved), jax.random.fold_in(jax.random.key(7), sample))
        if sample % 2:
            chip = transfer(array, chip, jax.random.fold_in(jax.random.key(8), sample))
    stored = state.weights[0].words
    _, sensed = sense(array, chip, jax.random.key(9))
    np.testing.assert_array_equal(sensed, stored)
    assert np.abs(stored).max() == 511  # saturation took part
    network = count_network([state.weights[0].updates], int(state.transfers))
    assert network.fecap_operations == int(chip.fecap_operations.sum())
    assert network.memristor_operations == int(chip.memristor_operations.sum())
    assert network.worst_fecap_operations == int(chip.fecap_operations.max())


def test_worst_cell_counts_of_a_training_approach_the_published_rule(card):
    # 2 p N + 4 N/k of the mean cell; the worst of many is a few sigma of the binomial mask above it
    memory = HybridMemory(
        transfer=hybrid.transfer(card, "measured"),
        memristor=hybrid.memristor(card),
        learning_rate=0.1,
        probability=0.2,
        period=100,
        key=jax.random.key(0),
    )
    params = {"kernel": jnp.zeros((30, 20))}
    state = memory.init(params)
    rng = np.random.default_rng(0)
    factors = (Factors(jnp.asarray(rng.normal(size=(100, 30)), jnp.float32), jnp.zeros((100, 20))),)
    block = eqx.filter_jit(lambda m, s: m.update(None, s, params, factors=factors)[1])
    for _ in range(20):
        state = block(memory, state)
    updates = np.asarray(state.weights[0].updates)
    network = count_network([updates], int(state.transfers) - 1)  # the rule leaves out the first transfer
    rule = hybrid.published_rule(hybrid.OperationPrices.from_card(card), samples=2000, probability=0.2, period=100)
    spread = np.sqrt(2000 * 0.2 * 0.8)
    assert abs(updates.mean() - 400) < 4 * spread / np.sqrt(updates.size)
    assert network.worst_memristor_operations == rule.memristor_operations
    assert rule.fecap_operations < network.worst_fecap_operations < rule.fecap_operations + 2 * 6 * spread
