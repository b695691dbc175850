"""Transfers of three fidelities against the published level table, the physics and each other."""

import dataclasses
from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.stats import norm

import hfsim
from hfsim import InputError, hybrid
from hfsim.draws import stream
from hfsim.estimators import Soft, StraightThrough
from hfsim.hybrid.transfers import interpolate_levels
from tests.finite_differences import Unrounded, check_parameter_gradients

CARD = "cea-leti-2025-hybrid"
PUBLISHED_LEVELS = np.array([1.4, 11.9, 36.5, 58.3, 73.9, 85.5, 95.9, 103.9])  # uS
PUBLISHED_SIGMA = 8.7  # uS
SAMPLES = 20_000  # words of each code: a mean is known to 0.06 uS, a spread to 0.5 %

program = eqx.filter_jit(lambda t, words, devices, key, estimator=None: t.program(words, devices, key, estimator))
fabricate = eqx.filter_jit(lambda t, like, key: t.fabricate(like.shape, key))
line_voltage = eqx.filter_jit(lambda line, charge: line.line_voltage(charge))
line_levels = eqx.filter_jit(lambda line: line.levels())


solved = eqx.filter_jit(hybrid.CircuitTransfer.from_line)


def make(kind, **options):
    """A transfer of the card; a circuit's levels are solved once for each precision."""
    return _make(kind, jnp.result_type(float), **options)


@lru_cache
def _make(kind, dtype, **options):
    return hybrid.transfer(hfsim.load_card(CARD), kind, **options)


def words_of_each_code(samples=SAMPLES):
    """Words (8, samples), one code a row, their six lower bits all different, signs alternating."""
    low = np.arange(samples) % 64
    sign = np.where(np.arange(samples) % 2, -1.0, 1.0)
    return jnp.asarray((64 * np.arange(8)[:, None] + low) * sign, jnp.float32)


def split(pair, words):
    """Conductances (target, twin) of programmed pairs."""
    sign = np.signbit(words)
    plus, minus = np.asarray(pair.plus, np.float64), np.asarray(pair.minus, np.float64)
    return np.where(sign, minus, plus), np.where(sign, plus, minus)


@pytest.fixture(scope="module")
def key():
    return jax.random.key(0)


@pytest.fixture(scope="module")
def measured():
    return make("measured")


@pytest.fixture(scope="module")
def circuit():
    return make("circuit")


# The measured transfer


def test_measured_levels_are_the_published_table(measured, key):
    words = words_of_each_code()
    target, _ = split(program(measured, words, None, key), words)
    error = 4 * PUBLISHED_SIGMA / np.sqrt(SAMPLES)
    np.testing.assert_allclose(target.mean(axis=1), PUBLISHED_LEVELS, rtol=0, atol=error)
    np.testing.assert_allclose(target.std(axis=1), PUBLISHED_SIGMA, rtol=4 / np.sqrt(2 * SAMPLES))


def test_levels_in_weight_units_are_the_published_ones_normalised_to_seven(measured, key):
    normalised = [0, 0.717, 2.397, 3.886, 4.951, 5.743, 6.454, 7]
    quiet = dataclasses.replace(measured, sigma=0.0)
    words = words_of_each_code(64)
    weights = np.asarray(quiet.weights(program(quiet, words, None, key)))
    expected = np.where(np.signbit(words), -1, 1) * np.asarray(normalised)[:, None]
    np.testing.assert_allclose(8 * weights, expected, atol=6e-4)


def test_a_weight_spreads_by_0_594_levels_whatever_its_code(measured, key):
    words = words_of_each_code()
    weights = np.asarray(measured.weights(program(measured, words, None, key)), np.float64)
    spread = (8 * weights * np.where(np.signbit(words), -1, 1)).std(axis=1)
    np.testing.assert_allclose(7 * 8.7 / (103.9 - 1.4), 0.594, atol=5e-4)
    np.testing.assert_allclose(spread, 7 * 8.7 / (103.9 - 1.4), rtol=4 / np.sqrt(2 * SAMPLES))


@pytest.mark.parametrize("clip", [False, True])
def test_draws_of_code_0_are_negative_unless_clipped(measured, key, clip):
    words = jnp.zeros(100_000)
    target = np.asarray(program(dataclasses.replace(measured, clip=clip), words, None, key).plus, np.float64)
    if not clip:
        share = norm.cdf(-1.4 / 8.7)
        assert round(share, 2) == 0.44
        assert abs((target < 0).mean() - share) < 4 * np.sqrt(share * (1 - share) / words.size)
        assert abs(target.mean() - 1.4) < 4 * 8.7 / np.sqrt(words.size)
    else:  # a Gaussian cut at 0: mean mu Phi(mu/s) + s phi(mu/s)
        assert target.min() == 0
        assert abs(target.mean() - 4.2) < 0.1
        assert abs(target.std() - 5.6) < 0.1


def test_noise_is_fresh_at_each_transfer_and_the_same_for_the_same_key(measured, key):
    words = words_of_each_code(1000)
    first, again, other = (program(measured, words, None, k) for k in (key, key, jax.random.key(1)))
    np.testing.assert_array_equal(first.plus, again.plus)
    a, b = (split(pair, words)[0] - PUBLISHED_LEVELS[:, None] for pair in (first, other))
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(words.size)


def test_a_table_of_other_than_eight_levels_is_refused():
    with pytest.raises(InputError, match=r"`mean` must have shape \(8,\)"):
        hybrid.MeasuredTransfer(mean=[1.0, 2.0], sigma=8.7)


@pytest.mark.parametrize("mean", ["high", None])
def test_a_table_that_is_no_array_is_refused(mean):
    with pytest.raises(InputError, match="mean"):
        hybrid.MeasuredTransfer(mean=mean, sigma=8.7)


# All transfers


@pytest.mark.parametrize("kind", hybrid.TRANSFERS)
def test_the_sign_says_which_memristor_is_programmed(kind, key, request):
    # exact in every draw: the idle twin, the one that the sign leaves out, holds code 0 without noise
    transfer = request.getfixturevalue(kind) if kind != "linear" else make(kind)
    words = words_of_each_code(500)
    pair = program(transfer, words, fabricate(transfer, words, key), key)
    sign = np.signbit(words)
    low = np.float32(transfer.line.memristor.G_reset if kind == "circuit" else transfer.levels()[0])
    assert np.all(np.asarray(pair.plus)[sign] == low)
    assert np.all(np.asarray(pair.minus)[~sign] == low)


def test_the_sign_of_a_zero_chooses_its_memristor(measured, key):
    pair = program(measured, jnp.asarray([0.0, -0.0]), None, key)
    np.testing.assert_array_equal(np.asarray([pair.minus[0], pair.plus[1]]), np.float32(1.4))
    assert pair.plus[0] != pair.minus[0] and pair.plus[1] != pair.minus[1]


def test_both_zeros_and_all_words_below_64_have_weight_0_without_noise(key):
    linear = make("linear")
    words = jnp.asarray([0.0, -0.0, 63.0, -63.0])
    np.testing.assert_array_equal(linear.weights(program(linear, words, None, key)), 0)


def test_linear_levels_are_even_and_give_the_code_as_weight(key):
    linear = make("linear")
    np.testing.assert_allclose(np.diff(linear.levels()), (103.9 - 1.4) / 7, rtol=1e-5)
    words = words_of_each_code(64)
    weights = linear.weights(program(linear, words, None, key))
    np.testing.assert_allclose(8 * weights, hybrid.truncate(words), atol=1e-5)


def test_a_linear_transfer_may_have_a_spread(key):
    words = words_of_each_code()
    linear = dataclasses.replace(make("linear"), sigma=5.0)
    target, _ = split(program(linear, words, None, key), words)
    np.testing.assert_allclose(target.std(axis=1), 5.0, rtol=4 / np.sqrt(2 * SAMPLES))


def test_a_noisy_twin_spreads_as_a_transfer_does(key):
    words = words_of_each_code(5000)
    for transfer in (
        make("measured", twin_noise=True),
        hybrid.LinearTransfer(1.4, 103.9, 8.7, twin_noise=True),
    ):
        target, twin = split(program(transfer, words, None, key), words)
        assert abs(twin.mean() - 1.4) < 4 * 8.7 / np.sqrt(words.size)
        np.testing.assert_allclose(twin.std(), 8.7, rtol=4 / np.sqrt(2 * words.size))
        residual = target - target.mean(axis=1, keepdims=True)
        assert abs(np.corrcoef(residual.ravel(), twin.ravel())[0, 1]) < 4 / np.sqrt(words.size)


def test_the_circuits_noisy_twin_is_what_reset_leaves(circuit, key):
    transfer, words = dataclasses.replace(circuit, twin_noise=True), words_of_each_code(500)
    _, twin = split(program(transfer, words, fabricate(circuit, words, key), key), words)
    memristor = transfer.line.memristor
    logarithm = np.log(twin / float(memristor.G_reset))
    assert abs(logarithm.mean()) < 4 * float(memristor.sigma_reset) / np.sqrt(words.size)
    np.testing.assert_allclose(logarithm.std(), memristor.sigma_reset, rtol=4 / np.sqrt(2 * words.size))


@pytest.mark.parametrize("kind", hybrid.TRANSFERS)
def test_the_span_of_the_levels_is_seven_eighths_of_the_unit(kind):
    transfer = make(kind)
    low, high = transfer.levels()[0], transfer.levels()[-1]
    np.testing.assert_allclose(transfer.weights(hybrid.ConductancePair(high, low)), 7 / 8, rtol=1e-6)


def test_unknown_transfers_and_mechanisms_are_refused_by_name():
    with pytest.raises(InputError, match="`transfer` must be one of linear, measured, circuit"):
        make("ideal")
    with pytest.raises(InputError, match="`mechanism` must be one of saturation, starvation"):
        make("circuit", mechanism="velocity")


def test_levels_are_interpolated_between_codes():
    np.testing.assert_allclose(interpolate_levels(jnp.arange(8.0) ** 2, jnp.asarray([0, 2.5, 7.0])), [0, 6.5, 49])


# The circuit's transfer


def without_mismatch(transfer):
    line = transfer.line
    quiet = eqx.tree_at(
        lambda m: (m.capacitor.P_r_spread, m.transistor.A_VT),
        line,
        (jnp.zeros_like(line.capacitor.P_r_spread), jnp.zeros_like(line.transistor.A_VT)),
    )
    return solved(quiet)


@pytest.mark.parametrize("mechanism", hybrid.MECHANISMS)
def test_circuit_levels_are_those_of_its_line(mechanism):
    transfer = make("circuit", mechanism=mechanism)
    np.testing.assert_allclose(transfer.levels(), line_levels(transfer.line), rtol=1e-5)


def test_devices_without_mismatch_have_the_nominal_levels_on_both_sides(circuit, key):
    nominal = without_mismatch(circuit)
    devices = fabricate(nominal, words_of_each_code(500), key)
    expected = np.broadcast_to(nominal.levels()[:, None, None, None], devices.table.shape)
    np.testing.assert_allclose(devices.table, expected, atol=0.02)
    np.testing.assert_array_equal(nominal.mismatch, 0.0)


@pytest.fixture(scope="module")
def chip(circuit, key):
    """Words (codes, weights), the devices of all weights, and targets (6 transfers, codes, weights)."""
    words = words_of_each_code(10_000)
    devices = fabricate(circuit, words[0], key)

    def targets(event):
        return jax.lax.map(
            lambda w: circuit.program(w, devices, jax.random.fold_in(jax.random.fold_in(key, event), w[0])),
            jnp.abs(words).astype(jnp.float32),
        ).plus

    return words, devices, np.asarray(jax.jit(jax.vmap(targets))(jnp.arange(6)), np.float64)


def test_devices_and_transfers_together_spread_by_the_published_sigma(chip):
    *_, targets = chip
    total = targets.transpose(1, 0, 2).reshape(8, -1).std(axis=1)
    np.testing.assert_allclose(total, PUBLISHED_SIGMA, rtol=0.02)


def test_what_mismatch_leaves_comes_back_at_each_transfer(chip):
    _, devices, targets = chip
    expected = np.asarray(devices.table[:, 0]).var(axis=1) / PUBLISHED_SIGMA**2
    assert expected.max() > 0.04  # so that the error below can tell it from nothing
    for code in range(8):
        correlations = np.corrcoef(targets[:, code])[np.triu_indices(6, 1)]
        # 15 pairs of 6 transfers; their errors are independent enough to average at a small correlation
        np.testing.assert_allclose(correlations.mean(), expected[code], atol=4 / np.sqrt(10_000 * 15))


def test_mismatch_above_the_spread_leaves_each_device_its_own_level(circuit, key):
    wide = solved(eqx.tree_at(lambda m: m.transistor.A_VT, circuit.line, jnp.float32(60.0)))
    sign = jnp.where(jnp.arange(500) % 2, -1.0, 1.0)
    words = jnp.broadcast_to(2 * 64.0 * sign, (8, 500))  # the steepest part of the curve
    devices = fabricate(wide, words, key)
    assert wide.mismatch[2] > PUBLISHED_SIGMA
    own = np.where(np.signbit(words), devices.table[2, 1], devices.table[2, 0])
    for seed in (0, 1):  # no noise is left, and each side of a pair has a transistor of its own
        target, _ = split(program(wide, words, devices, jax.random.key(seed)), words)
        np.testing.assert_allclose(target, own, rtol=1e-5)
    assert np.abs(np.corrcoef(devices.table[2, 0].ravel(), devices.table[2, 1].ravel())[0, 1]) < 0.3


@pytest.mark.parametrize("mechanism", hybrid.MECHANISMS)
def test_interpolated_line_voltages_are_those_of_direct_solves(mechanism, key):
    # seen through the conductance: a millivolt of V_TL moves it by 1e-3 dG/dV_TL
    transfer = make("circuit", mechanism=mechanism)
    transfer = eqx.tree_at(lambda t: t.line.transistor.A_VT, transfer, jnp.float32(0.0))
    line, shape = transfer.line, (8, 500)
    table = fabricate(transfer, jnp.zeros(shape), key).table[:, 0, 0, :40]  # direct solves of 40 suffice
    cells = jnp.asarray(hybrid.SYNAPSE_CELLS[1:4], jnp.float32)
    capacitors = line.capacitor.sample((*shape, 3), stream(key, "capacitors"), cells=cells)
    bits = (np.arange(8)[:, None] >> np.array([2, 1, 0])) & 1
    charge = jnp.sum(bits[:, None, :] * capacitors.switching_charge[0, :40] * cells, axis=-1)
    direct = line_voltage(line, charge)

    def conductance(V_TL):
        return line.memristor.mean_conductance(line.compliance_current(V_TL))

    expected, slope = eqx.filter_jit(jax.jvp)(conductance, (direct,), (jnp.ones_like(direct),))
    assert np.all(np.abs(table - expected) <= 1e-3 * slope + 1e-3)


# Gradients and precision


@pytest.fixture
def problem(x64):
    """Words away from jumps, and the weight of each in a mean."""
    rng = np.random.default_rng(0)
    words = jnp.asarray(rng.integers(0, 8, (3, 4)) * 64 + rng.integers(5, 28, (3, 4))) * rng.choice([-1.0, 1.0], (3, 4))
    return words, jnp.asarray(rng.normal(size=words.shape))


def mean_weight(words, factors, key, estimator=None):
    def scalar(transfer):
        devices = transfer.fabricate(words.shape, stream(key, "devices"))
        return jnp.mean(factors * transfer.weights(transfer.program(words, devices, key, estimator)))

    return scalar


@pytest.mark.parametrize("options", [{}, {"twin_noise": True}, {"clip": True}])
@pytest.mark.parametrize("kind", ["linear", "measured"])
def test_every_parameter_of_a_statistical_transfer_has_the_right_gradient(kind, options, problem, key):
    # with a spread, since evenly spaced levels without one give the same weights wherever they lie
    check_parameter_gradients(dataclasses.replace(make(kind, **options), sigma=8.7), mean_weight(*problem, key))


def test_every_parameter_of_the_circuit_has_the_right_gradient(problem, key):
    # few nodes and steps: the gradient of whatever is computed must be right, and the test be quick
    relaxation = tuple(f"line.memristor.{name}" for name in ("nu", "sigma_u", "t_0", "E_relax"))
    check_parameter_gradients(
        coarse_circuit(twin_noise=True),  # so that RESET takes part
        mean_weight(*problem, key),
        # a transfer takes place at room temperature, and nothing relaxes in it
        insensitive=("line.capacitor.kinetics.dlnE_dT", *relaxation),
    )


def coarse_circuit(**options):
    card = hfsim.load_card(CARD)
    line = hybrid.transfer_line(card)
    line = dataclasses.replace(
        line,
        line=dataclasses.replace(line.line, steps=4),
        capacitor=dataclasses.replace(line.capacitor, kinetics=dataclasses.replace(line.capacitor.kinetics, nodes=16)),
    )
    return hybrid.CircuitTransfer.from_line(line, **options)


def test_each_device_is_interpolated_between_its_own_levels(x64):
    levels = jnp.asarray(np.random.default_rng(0).normal(size=(8, 5)).cumsum(axis=0))
    codes = jnp.asarray([0.0, 1.25, 3.0, 6.5, 7.0])
    below = np.array([0, 1, 3, 6, 6])
    slope = np.asarray(levels)[below + 1, np.arange(5)] - np.asarray(levels)[below, np.arange(5)]
    expected = np.asarray(levels)[below, np.arange(5)] + (codes - below) * slope
    np.testing.assert_allclose(interpolate_levels(levels, codes), expected, rtol=1e-12)
    np.testing.assert_allclose(jax.grad(lambda c: jnp.sum(interpolate_levels(levels, c)))(codes), slope, rtol=1e-12)


@pytest.mark.parametrize("kind", ["linear", "measured"])
def test_straight_through_words_have_the_slope_of_their_stretch_of_the_level_curve(kind, problem, key):
    words, factors = problem
    transfer = make(kind)

    def mean(w, estimator):
        return mean_weight(w, factors, key, estimator)(transfer)

    gradient = jax.jit(jax.grad(lambda w: mean(w, StraightThrough())))(words)
    # not rounded, the same words lie on the same straight stretches, so the mean is linear in them
    smooth = jax.jit(lambda w: mean(w, Unrounded()))
    for place in np.ndindex(*words.shape):
        step = jnp.zeros_like(words).at[place].set(1.0)
        difference = (smooth(words + step) - smooth(words - step)) / 2
        np.testing.assert_allclose(gradient[place], difference, rtol=1e-6, atol=1e-12)


def test_soft_words_are_differentiated_as_they_are_computed(problem, key):
    words, factors = problem
    transfer = make("measured")

    @jax.jit
    def mean(w):
        return mean_weight(w, factors, key, Soft(width=0.1))(transfer)

    check_grads(mean, (words,), order=1, rtol=1e-5, eps=1e-3)


@pytest.mark.parametrize("kind", hybrid.TRANSFERS)
def test_float32_agrees_with_float64_on_the_same_draws(kind, key):
    words = np.random.default_rng(0).integers(-511, 512, (8, 500)).astype(float)
    weights = []
    for double in (False, True):
        with jax.enable_x64(double):
            transfer = make(kind)
            w = jnp.asarray(words, float)
            pair = program(transfer, w, fabricate(transfer, w, key), key)
            weights.append(np.asarray(transfer.weights(pair)))
    assert [w.dtype for w in weights] == [np.float32, np.float64]
    np.testing.assert_allclose(weights[0], weights[1], rtol=0, atol=1e-3)


def test_first_order_mismatch_is_that_of_a_population(circuit, key):
    # 40,000 devices: the deviation of a deviation is 0.4 %; the curve's bend adds a few per cent
    devices = fabricate(circuit, jnp.zeros((100, 200)), key)
    np.testing.assert_allclose(np.std(devices.table, axis=(1, 2, 3)), circuit.mismatch, rtol=0.06, atol=0.02)


@pytest.mark.parametrize(("low", "high"), [(10.0, 10.0), (50.0, 10.0)])
def test_levels_that_do_not_rise_are_refused(low, high):
    with pytest.raises(InputError, match="rise from code 0 to code 7"):
        hybrid.LinearTransfer(low=low, high=high)
    with pytest.raises(InputError, match="rise from code 0 to code 7"):
        hybrid.MeasuredTransfer(mean=np.linspace(low, high, 8), sigma=1.0)
