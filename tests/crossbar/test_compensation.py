"""What corrections from calibration reads and shifted targets do about drift, against closed forms and numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.crossbar import Cells, CrossbarDesign, Differential, ReferenceColumn, SingleEnded, multiply
from hfsim.crossbar.compensation import CorrectedKernel, DriftCompensation, Overshoot
from hfsim.devices.retention import CMORetention, PCMRetention, PolynomialRetention
from hfsim.errors import InputError
from tests.crossbar_kernels import WINDOW, make

YEARS = 315576000.0  # ten of them
ROWS, OUTPUTS, CHIPS = 32, 16, 24
WANTED = jnp.asarray(np.random.default_rng(5).uniform(-1, 1, (ROWS, OUTPUTS)), jnp.float32)
WAYS = {
    "none": None,
    "array": DriftCompensation(),
    "shift": DriftCompensation("none", "array"),
    "column shift": DriftCompensation("none", "column"),
    "both": DriftCompensation("column", "column"),
}
MODELS = {
    "cmo-hfox-2025": CMORetention,
    "pcm-nandakumar-2019": PCMRetention,
    "wan-2022-reram": PolynomialRetention,
}


calibrate = jax.jit(lambda compensation, kernel, cells, key: compensation.calibrate(kernel, cells, key))
correct = jax.jit(
    lambda compensation, kernel, cells, reference, key: compensation.correction(kernel, cells, reference, key)
)


def uniform(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def exactly(encoding):
    """A kernel that rounds nothing."""
    return make(encoding)


# The correction by itself


def test_calibration_inputs_have_as_many_of_each_sign_and_then_one_alone():
    for rows in (8, 9):
        x = np.asarray(DriftCompensation("array", "column", count=5, amplitude=0.5).inputs(rows))
        assert x.shape == (10, rows)
        np.testing.assert_array_equal(x[:5].sum(1), 0)
        np.testing.assert_array_equal(np.abs(x[:5]).sum(1), 0.5 * (rows - rows % 2))
        np.testing.assert_array_equal(x[5:], 0.5)
        assert len({tuple(row) for row in x[:5]}) > 1


@pytest.mark.parametrize("extent", ["array", "column"])
def test_a_known_factor_and_shift_are_found_exactly(extent):
    """G -> a_j (G - G_0) + G_0 + g d_j: the correction is 1/a_j and -d_j/a_j, whatever the weights."""
    kernel = exactly(SingleEnded(**WINDOW))
    W, x = uniform(0, ROWS, OUTPUTS), uniform(1, 7, ROWS)
    a = np.full(OUTPUTS, 0.7) if extent == "array" else np.linspace(0.4, 0.9, OUTPUTS)
    d = np.full(OUTPUTS, 0.05) if extent == "array" else np.linspace(-0.1, 0.1, OUTPUTS)
    compensation = DriftCompensation(extent, extent, count=3, amplitude=0.25)
    before, now = (Cells(kernel.encoding.targets(w)) for w in (W, a * W + d))
    correction = correct(compensation, kernel, now, calibrate(compensation, kernel, before, None), None)
    np.testing.assert_allclose(correction.factor, 1 / a, rtol=1e-4)
    np.testing.assert_allclose(correction.common, -d / a, atol=1e-4)
    np.testing.assert_allclose(correction.outputs(kernel(now, x), x), x @ W, atol=2e-3)
    np.testing.assert_allclose(correction.weights(kernel.weights(now)), W, atol=1e-4)


def test_reads_carry_noise_that_more_of_them_average():
    """Of the common part, from n reads of sigma per device at each of two times: sqrt(2/(n rows)) sigma/g.

    400 columns give its deviation within 3.5 % at one sigma.
    """
    kernel = exactly(SingleEnded(**WINDOW))
    G = kernel.encoding.targets(jnp.zeros((ROWS, 400)))
    cells = Cells(G, jnp.full_like(G, 2.0))
    for count in (1, 16):
        compensation = DriftCompensation("none", "column", count=count)
        reference = calibrate(compensation, kernel, cells, jax.random.key(0))
        common = correct(compensation, kernel, cells, reference, jax.random.key(0)).common
        expected = np.sqrt(2 / (count * ROWS)) * 2.0 / 39.6
        assert np.std(common) == pytest.approx(expected, rel=0.12)
        assert compensation.reads == count


def test_tiles_are_corrected_each_by_itself():
    """Four tiles with a factor of their own: the tiled product comes back, and one kernel call is the same by hand."""
    kernel = exactly(SingleEnded(**WINDOW))
    w = uniform(0, 2, 2, 8, 5)
    a = jnp.asarray([[0.5, 0.8], [0.6, 0.9]])[..., None, None]
    compensation = DriftCompensation("array", count=2)
    before, now = (Cells(kernel.encoding.targets(v), 0 * v + 1e-4) for v in (w, a * w))
    reference = calibrate(compensation, kernel, before, jax.random.key(1))
    cells = jax.jit(lambda *arguments: compensation.corrected(*arguments))(kernel, now, reference, jax.random.key(2))
    np.testing.assert_allclose(cells.correction.factor, jnp.broadcast_to(1 / a[..., 0], (2, 2, 5)), rtol=1e-3)
    x = uniform(3, 4, 16)
    y = multiply(CorrectedKernel(kernel), cells, jnp.ones(10), x)
    whole = jnp.concatenate([jnp.concatenate(list(row), axis=1) for row in w])
    np.testing.assert_allclose(y, x @ whole, atol=1e-2)
    # each tile's reads are its own: with noise, four arrays of the same weights get four corrections
    same = Cells(jnp.broadcast_to(now.G[0, 0], now.G.shape), jnp.ones_like(now.G))
    noisy = correct(compensation, kernel, same, calibrate(compensation, kernel, same, None), jax.random.key(2))
    assert np.unique(np.asarray(noisy.factor)[..., 0]).size == 4
    one = CorrectedKernel(kernel)(jax.tree.map(lambda leaf: leaf[0, 1], cells), x[:, :8], jax.random.key(3))
    noisy = kernel(Cells(now.G[0, 1], now.sigma[0, 1]), x[:, :8], jax.random.key(3))
    np.testing.assert_allclose(one, cells.correction.factor[0, 1] * noisy, rtol=1e-5)


def test_gradients_reach_the_conductances_through_the_correction(x64):
    kernel = exactly(SingleEnded(**WINDOW))
    G = kernel.encoding.targets(jnp.asarray(uniform(0, 6, 4), jnp.float64))
    compensation = DriftCompensation("array", "column", count=2)
    reference = calibrate(compensation, kernel, Cells(1.1 * G), None)

    @jax.jit
    def total(s):
        correction = correct(compensation, kernel, Cells(s * G), reference, None)
        return jnp.sum(correction.outputs(kernel(Cells(s * G), jnp.ones(6)), jnp.ones(6)) ** 2)

    assert abs(float(jax.grad(total)(0.8))) < 1e-3 * float(
        total(0.8)
    )  # what it corrects, it also does for the gradient
    first = jax.jit(lambda s: correct(compensation, kernel, Cells(s * G), reference, None).factor[0])
    h = 1e-6
    assert float(jax.grad(first)(0.8)) == pytest.approx(float(first(0.8 + h) - first(0.8 - h)) / (2 * h), rel=1e-6)


# On devices


def chips(card, times, encoding=None, overshoot=None):
    """A kernel, and the cells (times, chips, ...) of a card's devices that hold the weights WANTED."""
    card = hfsim.load_card(card)
    model = MODELS[card.name].from_card(card)
    kernel = CrossbarDesign.from_card(card).kernel(encoding=encoding)
    targets = kernel.encoding.targets(WANTED)
    targets = targets if overshoot is None else overshoot(model, targets)

    @jax.jit
    def aged(keys, seconds):
        def chip(key):
            state = model.wait(model.program(model.init(targets.shape, key), targets), seconds)
            return Cells(model.conductance(state), model.read_sigma(state))

        return jax.vmap(chip)(keys)

    keys = jax.random.split(jax.random.key(3), CHIPS)
    return kernel, [aged(keys, seconds) for seconds in times]


def errors(kernel, first, now, way="none"):
    """Error of every weight (chips, rows, outputs) under a correction that was calibrated on `first`."""
    compensation = WAYS[way]

    @jax.jit
    def corrected(first, now):
        w = jax.vmap(kernel.weights)(now)
        if compensation is not None:
            reference = compensation.calibrate(kernel, first, jax.random.key(1))
            w = compensation.correction(kernel, now, reference, jax.random.key(2)).weights(w)
        return w - WANTED

    return np.asarray(corrected(first, now))


def rms(error):
    return float(np.sqrt(np.mean(np.square(error))))


def at_ten_years(card, *ways):
    kernel, cells = chips(card, [1.0, YEARS])
    return {way: errors(kernel, *cells, way) for way in ways}


@pytest.fixture(scope="module")
def cmo():
    return at_ten_years("cmo-hfox-2025", "none", "array", "shift", "column shift")


@pytest.fixture(scope="module")
def pcm():
    return at_ten_years("pcm-nandakumar-2019", "none", "array", "shift", "both")


def test_global_compensation_restores_the_mean_of_phase_change(pcm):
    """Slope of the weights read on those wanted: 0.44 at ten years, within 6 % of 1 with one factor.

    It is not 1 exactly: equal sums of magnitudes count the devices' scatter as signal.
    """
    W = np.asarray(WANTED)

    def slope(name):
        return 1 + np.mean(pcm[name] * W) / np.mean(W**2)

    assert slope("none") < 0.5
    assert 0.94 < slope("array") < 1.01
    assert rms(pcm["array"]) < 0.4 * rms(pcm["none"])


def test_the_common_part_removes_the_shift_of_cmo(cmo):
    """Mean shift at ten years: -0.08900206 ln(t) uS over 39.6 uS, less what the window's ends hold back."""
    shift = -0.08900206 * np.log(YEARS) / 39.6
    assert np.mean(cmo["none"]) == pytest.approx(shift, rel=0.05)
    for name in ("shift", "column shift"):
        assert abs(np.mean(cmo[name])) < 0.03 * abs(shift)
    # factors are blind to it
    assert np.mean(cmo["array"]) == pytest.approx(np.mean(cmo["none"]), rel=0.05)
    # each column's own mean, too: relaxation averaged over the rows, and the read noise of the calibration, are left
    left = np.std(np.mean(cmo["column shift"], axis=1))
    assert left < 0.4 * np.std(np.mean(cmo["shift"], axis=1))


def test_what_is_never_worse_than_nothing(cmo, pcm):
    """At ten years: the common part on CMO, a factor on phase change; the other answer changes either by < 3 %."""
    for name in ("shift", "column shift"):
        assert rms(cmo[name]) < 0.75 * rms(cmo["none"])
    for name in ("array", "both"):
        assert rms(pcm[name]) < 0.45 * rms(pcm["none"])
    assert rms(cmo["array"]) < 1.03 * rms(cmo["none"])
    assert rms(pcm["shift"]) < 1.03 * rms(pcm["none"])


def test_a_reference_column_is_one_more_answer(cmo):
    """It removes the shift without a read, and adds its own spread to all columns of a row: sqrt(2) of the rest."""
    kernel, (cells,) = chips("cmo-hfox-2025", [YEARS], ReferenceColumn(**WINDOW))
    reference = errors(kernel, cells, cells)
    assert abs(np.mean(reference)) < 0.1 * abs(np.mean(cmo["none"]))
    assert np.std(reference) == pytest.approx(np.sqrt(2) * np.std(cmo["shift"]), rel=0.05)


# Overshoot


def test_an_additive_law_is_shifted_and_a_proportional_one_expanded():
    cmo = CMORetention.from_card(hfsim.load_card("cmo-hfox-2025"))
    target = jnp.asarray([12.0, 40.0, 80.0])
    allowed = Overshoot(seconds=YEARS, **WINDOW)
    np.testing.assert_allclose(allowed(cmo, target), target + 0.08900206 * np.log(YEARS), rtol=1e-5)
    pcm = PCMRetention.from_card(hfsim.load_card("pcm-nandakumar-2019"))
    allowed = Overshoot(seconds=YEARS, G_min=0.0, G_max=25.0)
    target = jnp.asarray([0.0, 0.5, 4.0, 11.0])
    np.testing.assert_allclose(allowed.mean(pcm, allowed(pcm, target)), target, rtol=1e-5, atol=1e-6)
    gain = np.asarray(allowed(pcm, target))[2:] / np.asarray(target)[2:]
    np.testing.assert_allclose(gain, gain[0], rtol=1e-5)  # above r = 0.2 the mean exponent does not depend on the level
    assert gain[0] == pytest.approx((1 + YEARS / 20) ** 0.049, rel=0.02)  # its spread of 0.8 % adds little


def test_beyond_what_is_reachable_the_nearer_end_is_programmed():
    cmo = CMORetention.from_card(hfsim.load_card("cmo-hfox-2025"))
    allowed = Overshoot(seconds=YEARS, **WINDOW)
    low, high = allowed.reachable(cmo)
    assert (float(low), float(high)) == pytest.approx((9 - 1.742, 88.2 - 1.742), abs=1e-3)
    value, slope = jax.vmap(jax.value_and_grad(lambda t: allowed(cmo, t)))(jnp.asarray([5.0, 50.0, 88.0]))
    np.testing.assert_allclose(value, [9.0, 51.742, 88.2], atol=2e-3)
    np.testing.assert_allclose(slope, [0.0, 1.0, 0.0], atol=1e-6)


def test_overshoot_is_differentiated_in_target_and_law(x64):
    pcm = PCMRetention.from_card(hfsim.load_card("pcm-nandakumar-2019"))

    @jax.jit
    def programmed(target, seconds):
        return Overshoot(seconds=seconds, G_min=0.0, G_max=25.0)(pcm, target)

    slopes = jax.grad(programmed, argnums=(0, 1))(0.9, 1e6)
    for number, h in ((0, 1e-5), (1, 1.0)):
        step = np.eye(2)[number] * h
        up, down = (float(programmed(0.9 + s * step[0], 1e6 + s * step[1])) for s in (1, -1))
        assert float(slopes[number]) == pytest.approx((up - down) / (2 * h), rel=1e-5)


@pytest.mark.parametrize("card", ["cmo-hfox-2025", "pcm-nandakumar-2019"])
def test_overshoot_is_right_at_its_time_and_worse_before(card):
    model = MODELS[card].from_card(hfsim.load_card(card))
    design = CrossbarDesign.from_card(hfsim.load_card(card))
    window = dict(G_min=design.G_min, G_max=design.G_max)
    overshoot = Overshoot(seconds=YEARS, **window)
    low, high = overshoot.reachable(model)
    kind = SingleEnded if card.startswith("cmo") else Differential
    room = kind(G_min=jnp.maximum(low, design.G_min), G_max=jnp.minimum(high, design.G_max))
    plain, moved = (
        [errors(kernel, now, now) for now in cells]
        for kernel, cells in (chips(card, [1.0, YEARS], room), chips(card, [1.0, YEARS], room, overshoot))
    )
    W = np.asarray(WANTED)

    def systematic(error):  # the mean error, and that in proportion to the weight
        return np.hypot(np.mean(error), np.mean(error * W) / np.mean(W**2))

    assert systematic(moved[1]) < 0.1 * systematic(plain[1]) and systematic(moved[0]) > 5 * systematic(plain[0])
    assert rms(moved[1]) < rms(plain[1]) and rms(moved[0]) > rms(plain[0])


def test_a_law_whose_mean_stays_is_left_alone():
    wan = PolynomialRetention.from_card(hfsim.load_card("wan-2022-reram"))
    target = jnp.asarray([1.0, 20.0, 39.0])
    np.testing.assert_allclose(Overshoot(seconds=YEARS, G_min=0.0, G_max=40.0)(wan, target), target, rtol=1e-6)


# Refusals


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (dict(factor="row"), "factor"),
        (dict(factor="none", common="none"), "not both"),
        (dict(count=0), "count"),
    ],
)
def test_compensation_refuses(options, name):
    with pytest.raises(InputError, match=name):
        DriftCompensation(**options)


def test_references_of_another_count_and_windows_upside_down_are_refused():
    kernel = exactly(SingleEnded(**WINDOW))
    cells = Cells(kernel.encoding.targets(uniform(0, 4, 3)))
    reference = DriftCompensation(count=2).calibrate(kernel, cells, None)
    with pytest.raises(InputError, match="reference"):
        DriftCompensation(count=3).correction(kernel, cells, reference, None)
    with pytest.raises(InputError, match="rows"):
        DriftCompensation().inputs(1)
    with pytest.raises(InputError, match="G_min"):
        Overshoot(seconds=1.0, G_min=5.0, G_max=4.0)
    with pytest.raises(InputError, match="key"):
        DriftCompensation().calibrate(kernel, cells, 3)
