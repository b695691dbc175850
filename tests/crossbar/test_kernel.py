"""The kernel's values: the plain product, its noise against sampled weights, the transposed product, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.circuits.read_curve import CubicCurve, SinhCurve
from hfsim.crossbar import ADC, DAC, Cells, Differential, SingleEnded, TwoPasses
from hfsim.errors import InputError
from tests.crossbar_kernels import (
    LAST,
    OUTPUTS,
    ROWS,
    V_READ,
    WINDOW,
    assert_same_moments,
    encodings,
    grid,
    inputs,
    make,
    noisy_cells,
    product,
    transposed,
)

W, X = grid(0, ROWS, OUTPUTS), grid(1, 5, ROWS)
READS = 20_000
every_encoding = pytest.mark.parametrize("encoding", encodings().values(), ids=encodings().keys())


# ------------------------------------------------------------------------------------------- the product


@every_encoding
def test_without_noise_and_rounding_it_is_the_product(encoding):
    kernel = make(encoding)
    cells = noisy_cells(encoding, W)
    np.testing.assert_allclose(product(kernel, cells, X), X @ W, atol=2e-5)
    np.testing.assert_allclose(kernel.weights(cells), W, atol=2e-6)


@pytest.mark.parametrize("name", ["single, digital", "sliced pairs"])
@pytest.mark.parametrize(("way", "dac"), list(inputs().values())[1:], ids=list(inputs())[1:])
def test_every_way_to_apply_a_vector_gives_the_product(way, dac, name):
    encoding = encodings()[name]
    kernel = make(encoding, dac=dac, inputs=way)
    np.testing.assert_allclose(product(kernel, noisy_cells(encoding, W), X), X @ W, atol=3e-5)


def test_the_error_of_rounding_falls_with_every_bit_and_is_bounded():
    # half a step of each input, half a step of the output: (|W| summed + n range)/(2 last)
    rng = np.random.default_rng(2)
    V, U = rng.uniform(-1, 1, (200, ROWS)), rng.uniform(-1, 1, (ROWS, OUTPUTS))
    encoding = SingleEnded(**WINDOW)
    gain = float(encoding.gain) * V_READ
    for bits in (3, 6, 9, 12):
        last = 2 ** (bits - 1) - 1
        kernel = make(encoding, dac=DAC(bits=bits), adc=ADC(bits=bits, range=ROWS * gain))
        error = np.abs(np.asarray(product(kernel, noisy_cells(encoding, U), V)) - V @ U)
        bound = (np.abs(U).sum(0) + ROWS) / (2 * last)
        assert np.all(error < bound + 1e-4)
        assert error.max() > 0.2 * bound.max()


def test_a_converter_s_range_is_a_unit_of_its_numbers():
    # inputs up to 4 on a converter of range 4 give the same voltages, and outputs in the numbers' own units
    encoding = Differential(**WINDOW)
    kernel = make(encoding, dac=DAC(bits=5, range=4.0))
    np.testing.assert_allclose(product(kernel, noisy_cells(encoding, W), 4 * X), 4 * X @ W, atol=1e-4)


@pytest.mark.parametrize(("curve", "f"), [
    (CubicCurve(V_c=0.3), lambda v: v * (1 + (v / 0.3) ** 2)),
    (SinhCurve(V_0=0.1), lambda v: 0.1 * np.sinh(v / 0.1)),
])  # fmt: skip
def test_a_read_curve_bends_each_voltage(curve, f):
    encoding = Differential(**WINDOW)
    expected = f(V_READ * X) @ W / V_READ
    np.testing.assert_allclose(product(make(encoding, curve=curve), noisy_cells(encoding, W), X), expected, atol=5e-5)


def test_any_shape_of_batch_is_taken(key):
    kernel, cells = make(Differential(**WINDOW)), noisy_cells(Differential(**WINDOW), W)
    flat = product(kernel, cells, grid(2, 6, ROWS), key)
    np.testing.assert_allclose(product(kernel, cells, grid(2, 6, ROWS).reshape(2, 3, ROWS), key).reshape(6, -1), flat)
    assert product(kernel, cells, X[0]).shape == (OUTPUTS,)
    assert product(kernel, cells, np.zeros((0, ROWS))).shape == (0, OUTPUTS)


# --------------------------------------------------------------------------------------- noise of reads


def planes(way, x):
    """Factors and inputs of the passes, by hand."""
    if way == "one pass":
        return [(1.0, x)]
    if way.startswith("two passes"):
        return [(1.0, np.maximum(x, 0)), (-1.0, np.maximum(-x, 0))]
    code = np.rint(np.abs(x) * LAST).astype(int)
    bits = [(2**k / LAST, (code >> k & 1) * np.sign(x)) for k in range(4)]
    if way == "bit by bit":
        return bits
    return [(s * f, np.maximum(s * b, 0)) for f, b in bits for s in (1, -1)]


@jax.jit
def sampled(kernel, cells, x, key):
    """Products with READS arrays, each device of each drawn."""
    noise = jax.random.normal(key, (READS, *cells.G.shape))
    return jax.vmap(lambda n: kernel(Cells(cells.G + cells.sigma * n), x))(noise)


def moments_of_kernel_and_samples(encoding, way, dac, key, **options):
    """READS noisy reads of one vector by the kernel, and by arrays whose devices are drawn anew for every pass."""
    x, cells = X[1], noisy_cells(encoding, W)
    kernel = make(encoding, dac=dac, inputs=inputs()[way][0], **options)
    drawn = product(kernel, cells, jnp.broadcast_to(x, (READS, ROWS)), key)
    plain = make(encoding, **options)
    keys = jax.random.split(jax.random.key(99), 8)
    return drawn, sum(f * np.asarray(sampled(plain, cells, v, k)) for (f, v), k in zip(planes(way, x), keys))  # noqa: B905


@every_encoding
def test_noise_at_the_output_is_that_of_sampled_weights(encoding, key):
    drawn, reference = moments_of_kernel_and_samples(encoding, "one pass", DAC(bits=5), key)
    assert_same_moments(drawn, reference)


@pytest.mark.parametrize(
    ("way", "name"),
    [("two passes", "single"), ("two passes", "reference"), ("bit by bit", "reference"), ("bit by bit", "sliced pairs"),
     ("bits and signs", "single")],
)  # fmt: skip
def test_noise_of_every_pass_is_that_of_weights_sampled_for_it(way, name, key):
    drawn, reference = moments_of_kernel_and_samples(encodings()[name], way, DAC(bits=5), key)
    assert_same_moments(drawn, reference)


def test_noise_follows_the_current_of_a_curve(key):
    options = dict(curve=CubicCurve(V_c=0.15))
    drawn, reference = moments_of_kernel_and_samples(Differential(**WINDOW), "one pass", DAC(), key, **options)
    assert_same_moments(drawn, reference)


@pytest.mark.parametrize("subtracted", ["analog", "digital"])
def test_the_noise_of_a_reference_column_is_common_to_all_outputs(subtracted, key):
    encoding = encodings()["reference" if subtracted == "analog" else "reference, digital"]
    cells = noisy_cells(encoding, W)
    kernel = make(encoding, exact_variance=True)
    y = np.asarray(product(kernel, cells, jnp.broadcast_to(X[1], (READS, ROWS)), key), np.float64)
    variance = (X[1] ** 2 @ np.asarray(cells.sigma, np.float64) ** 2) / float(encoding.gain) ** 2
    expected = np.diag(variance[:-1]) + variance[-1]
    allowed = 5 * np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / READS)
    assert np.all(np.abs(np.cov(y.T) - expected) < allowed)


def test_the_noise_of_a_line_s_driver_reaches_every_output(key):
    # v_i = q_i + sigma N_i for all outputs alike: covariance sigma^2 W'W, the reference column's part included
    encoding = encodings()["reference"]
    kernel, cells = make(encoding, dac=DAC(bits=5, sigma=0.05)), Cells(noisy_cells(encoding, W).G)
    y = np.asarray(product(kernel, cells, jnp.broadcast_to(X[1], (READS, ROWS)), key), np.float64)
    expected = 0.05**2 * W.T @ W
    allowed = 5 * np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / READS)
    assert np.all(np.abs(np.cov(y.T) - expected) < allowed)
    assert np.all(np.abs(y.mean(0) - X[1] @ W) < 5 * np.sqrt(np.diag(expected) / READS))


def test_the_noise_of_converters_counts_once_for_each_pass(key):
    # four bits with factors 8, 4, 2, 1 over 15: sigma^2 (64 + 16 + 4 + 1)/225
    encoding, (way, dac) = Differential(**WINDOW), inputs()["bit by bit"]
    kernel = make(encoding, dac=dac, inputs=way, adc=ADC(range=1e6, sigma=0.7))
    y = product(kernel, Cells(encoding.targets(jnp.asarray(W))), jnp.zeros((READS, ROWS)), key)
    expected = (0.7 / (float(encoding.gain) * V_READ)) ** 2 * 85 / 225
    np.testing.assert_allclose(np.var(np.asarray(y), axis=0), expected, rtol=5 * np.sqrt(2 / READS))


def test_variances_in_bfloat16_cost_less_than_four_thousandths_of_a_deviation(key):
    # bfloat16 rounds to 2^-8 at worst: 1 + 2^-8 in both squares is the worst case, 2^-8 of the deviation
    encoding = SingleEnded(**WINDOW)
    worst = np.sqrt(1 + 2.0**-8)
    for sigma, x in (
        (noisy_cells(encoding, W).sigma, X),
        (jnp.full((ROWS, OUTPUTS), worst), jnp.full((5, ROWS), worst)),
    ):
        cells = Cells(encoding.targets(jnp.asarray(W)), sigma)

        def noise(exact, cells=cells, x=x):
            # the sum of the products is the same, so that the difference is the noise alone
            kernel = make(encoding, dac=DAC(range=1.0 if x is X else worst), exact_variance=exact)
            return np.asarray(product(kernel, cells, x, key)) - np.asarray(product(kernel, cells, x))

        ratio = noise(False) / noise(True)
        assert 1e-5 < np.abs(ratio - 1).max() < 2.0**-8 + 2e-4  # the rest: the subtraction's rounding


def test_a_read_without_a_key_or_without_noise_is_not_noisy(key):
    encoding = Differential(**WINDOW)
    cells, kernel = noisy_cells(encoding, W), make(encoding, adc=ADC(range=1e6, sigma=1.0), dac=DAC(sigma=0.1))
    silent = product(make(encoding), cells, X)
    np.testing.assert_array_equal(product(kernel, cells, X), silent)
    np.testing.assert_array_equal(product(make(encoding), Cells(cells.G), X, key), silent)
    assert np.all(np.asarray(product(make(encoding), cells, X, key)) != silent)


# ------------------------------------------------------------------------------------ the transposed product

D = grid(4, 5, OUTPUTS)


@every_encoding
def test_the_transposed_product_is_that_of_the_same_weights(encoding):
    cells = noisy_cells(encoding, W)
    np.testing.assert_allclose(transposed(make(encoding), cells, D), D @ W.T, atol=3e-5)
    scaled = 1e-3 * D * np.arange(1, 6)[:, None]  # each vector is scaled to the converter
    kernel = make(encoding, dac=DAC(bits=5))
    np.testing.assert_allclose(transposed(kernel, cells, scaled)[0] / 1e-3, (D @ W.T)[0], atol=3e-5)
    np.testing.assert_array_equal(transposed(make(encoding), cells, 0 * D), 0.0)


@pytest.mark.parametrize("name", ["single", "reference", "pair, even", "pair, first", "sliced pairs"])
def test_the_noise_of_the_transposed_product_is_that_of_sampled_weights(name, key):
    # slices are read one after another, each with devices of its own: one draw of all devices is the same
    encoding = encodings()[name]
    cells, kernel = noisy_cells(encoding, W), make(encoding)
    d = D[1] / np.abs(D[1]).max()

    @jax.jit
    def samples(key):
        draws = jax.random.normal(key, (READS, *cells.G.shape))
        return jax.vmap(lambda n: kernel.transposed(Cells(cells.G + cells.sigma * n), d))(draws)

    drawn = transposed(kernel, cells, jnp.broadcast_to(d, (READS, OUTPUTS)), key)
    assert_same_moments(drawn, samples(jax.random.key(98)))


def test_the_way_back_has_converters_of_its_own(key):
    encoding = Differential(**WINDOW)
    cells = noisy_cells(encoding, W)
    kernel = make(encoding, backward_dac=DAC(bits=3), backward_adc=ADC(bits=4, range=200.0))
    codes = np.rint(D / np.abs(D).max(1, keepdims=True) * 3) / 3
    step = 200.0 / 7 / (float(encoding.gain) * V_READ)
    expected = np.rint(codes @ W.T / step) * step * np.abs(D).max(1, keepdims=True)
    np.testing.assert_allclose(transposed(kernel, cells, D), expected, atol=1e-4)
    np.testing.assert_allclose(product(kernel, cells, X), X @ W, atol=3e-5)  # the way forward keeps its own


# ------------------------------------------------------------------------------------------- refusals


def test_wrong_arguments_are_refused_by_name(key):
    encoding = Differential(**WINDOW)
    kernel, cells = make(encoding), noisy_cells(encoding, W)
    for argument, call in {
        "x": lambda: kernel(cells, np.ones((2, ROWS + 1))),
        "cells.G": lambda: kernel(Cells(cells.G[None]), X),
        "key": lambda: kernel(cells, X, jax.random.PRNGKey(0)),
        "backward": lambda: make(encoding, backward="chip"),
        "Kernel.V_read": lambda: make(encoding).__class__(encoding, DAC(), ADC(range=1.0), -1.0),
    }.items():
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.argument == argument


def test_two_passes_read_positive_and_negative_parts_of_their_own(key):
    # an offset of the converter is in both passes and cancels; in one pass it does not
    encoding = Differential(**WINDOW)
    cells = Cells(encoding.targets(jnp.asarray(W)))
    adc = ADC(range=1e6, offset=3.0, gain=1.1)
    two = product(make(encoding, adc=adc, inputs=TwoPasses()), cells, X)
    np.testing.assert_allclose(two, 1.1 * X @ W, atol=5e-5)
    one = product(make(encoding, adc=adc), cells, X)
    np.testing.assert_allclose(one, 1.1 * X @ W + 3.0 / (float(encoding.gain) * V_READ), atol=5e-5)


def test_what_comes_back_needs_converters_of_both_signs_and_its_own_widths():
    encoding = SingleEnded(**WINDOW)
    cells = noisy_cells(encoding, W)
    delta = grid(2, 3, OUTPUTS)
    one_sign = make(encoding, dac=DAC(bits=LAST, signed=False), inputs=TwoPasses())
    with pytest.raises(InputError, match="`backward_dac` must be a signed converter"):
        one_sign.transposed(cells, delta)
    columns = make(encoding, adc=ADC(range=np.linspace(50.0, 60.0, OUTPUTS)))
    with pytest.raises(InputError, match="`backward_adc` must be given where each column"):
        columns.transposed(cells, delta)
    with pytest.raises(InputError, match=f"`delta` must have {OUTPUTS} features"):
        make(encoding).transposed(cells, grid(2, 3, OUTPUTS + 1))
    with pytest.raises(InputError, match="typed key"):
        make(encoding).transposed(cells, delta, jax.random.PRNGKey(0))
