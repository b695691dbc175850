"""Passes of signs and bits, scalings, and the search for a scale at which nothing saturates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.crossbar import (
    ADC,
    DAC,
    AverageInput,
    BitSerial,
    Differential,
    IterativeBound,
    LargestInput,
    OnePass,
    TwoPasses,
    Unscaled,
)
from hfsim.errors import InputError
from tests.crossbar_kernels import LAST, OUTPUTS, ROWS, V_READ, WINDOW, grid, inputs, make, noisy_cells, product

X = grid(1, 5, ROWS)
every_input = pytest.mark.parametrize(("way", "dac"), inputs().values(), ids=inputs().keys())
ENCODING = Differential(**WINDOW)
W = grid(0, ROWS, OUTPUTS)
UNIT = float(ENCODING.gain) * V_READ  # current [uA] of an output of 1


# --------------------------------------------------------------------------------------------- passes


@every_input
def test_passes_with_their_factors_add_up_to_the_vector(way, dac):
    passes = way(dac, jnp.asarray(X), None, 0)
    np.testing.assert_allclose(jnp.tensordot(passes.factor, passes.code, 1), X, atol=1e-6)
    np.testing.assert_array_equal(passes.drive, passes.code)
    if type(way) is not OnePass and not (isinstance(way, BitSerial) and way.signs):
        assert np.all(np.asarray(passes.code) >= 0)  # drivers of one sign are enough


def test_the_passes_of_a_vector_by_hand():
    x = jnp.asarray([[11 / 15, -6 / 15, 0.0]])
    two = TwoPasses().codes(DAC(bits=5), x)[1]
    np.testing.assert_allclose(two, [[[11 / 15, 0, 0]], [[0, 6 / 15, 0]]], rtol=1e-6)
    factor, plane = BitSerial().codes(DAC(bits=5), x)  # 1011 and 0110
    np.testing.assert_allclose(factor, np.array([8, 4, 2, 1]) / 15, rtol=1e-6)
    np.testing.assert_array_equal(plane[:, 0], [[1, 0, 0], [0, -1, 0], [1, -1, 0], [1, 0, 0]])
    factor, plane = BitSerial(signs=False).codes(DAC(bits=5), x)
    np.testing.assert_allclose(factor, np.array([8, 4, 2, 1, -8, -4, -2, -1]) / 15, rtol=1e-6)
    np.testing.assert_array_equal(plane[:4, 0], [[1, 0, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(plane[4:, 0], [[0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]])


def test_a_bit_is_at_full_scale_whatever_the_converter_bends():
    # one-bit drivers: the non-linearity of a line is a gain, 1 + c, of every bit alike
    kernel = make(ENCODING, dac=DAC(bits=5, cubic=0.1), inputs=BitSerial())
    np.testing.assert_allclose(product(kernel, noisy_cells(ENCODING, W), X), 1.1 * X @ W, atol=5e-5)


@every_input
def test_the_gradient_of_the_passes_is_that_of_the_vector(way, dac):
    def total(x):
        passes = way(dac, x, None, 0)
        return jnp.sum(jnp.tensordot(passes.factor, passes.drive, 1) * jnp.arange(ROWS))

    x = jnp.asarray([[0.31, -0.22, 0.0, 0.77, -1.4, 1.4]])
    slope = [0.0, 1.0, 2.0, 3.0, 0.0, 0.0]  # the last two lie beyond the range
    np.testing.assert_allclose(jax.grad(total)(x)[0], slope, rtol=1e-5, atol=1e-6)


@every_input
def test_the_driver_s_noise_is_another_in_every_pass(way, dac, key):
    noisy = DAC(bits=dac.bits, signed=dac.signed, sigma=0.1)
    passes = way(noisy, jnp.asarray(X), key, 0)
    noise = np.asarray(passes.drive - passes.code)
    assert len(np.unique(noise)) == noise.size
    later = way(noisy, jnp.asarray(X[2:]), key, 2)
    np.testing.assert_array_equal(later.drive, passes.drive[:, 2:])


def test_bits_of_a_converter_that_has_none_are_refused():
    for dac in (DAC(), DAC(bits=4, signed=False)):
        with pytest.raises(InputError) as caught:
            BitSerial()(dac, jnp.asarray(X), None, 0)
        assert caught.value.argument == "dac"


# --------------------------------------------------------------------------------------------- scaling


def test_the_scale_of_each_vector():
    x = jnp.asarray([[0.5, -2.0, 0.0, 1.5], [0.0, 0.0, 0.0, 0.0], [1e-3, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(Unscaled().scale(x), [[1.0], [1.0], [1.0]])
    np.testing.assert_allclose(LargestInput().scale(x), [[2.0], [1.0], [1e-3]], rtol=1e-6)
    np.testing.assert_allclose(LargestInput(range=4.0).scale(x), [[0.5], [1.0], [2.5e-4]], rtol=1e-6)
    # over what is not zero: lines that pad a tile have no say
    np.testing.assert_allclose(AverageInput(factor=3.0).scale(x), [[4.0], [1.0], [3e-3]], rtol=1e-6)


@pytest.mark.parametrize("scaling", [LargestInput(), AverageInput(factor=4.0)])
def test_scaled_vectors_use_the_codes_at_any_magnitude(scaling):
    kernel, cells = make(ENCODING, dac=DAC(bits=8), scaling=scaling), noisy_cells(ENCODING, W)
    y = np.asarray(product(kernel, cells, X))
    assert 1e-5 < np.abs(y - X @ W).max() < (np.abs(W).sum(0) * np.asarray(scaling.scale(X)) / (2 * 127)).max()
    for magnitude in (2.0**-20, 2.0**12):  # powers of two change no digit
        np.testing.assert_array_equal(product(kernel, cells, magnitude * X), magnitude * y)
    assert np.all(np.asarray(product(make(ENCODING, dac=DAC(bits=8)), cells, 2.0**-20 * X)) == 0)  # all rounded away


def test_outliers_are_clipped_at_a_multiple_of_the_mean():
    x = np.array([[0.1, 0.1, 0.1, 0.1, 0.1, 5.5]])
    kernel = make(ENCODING, scaling=AverageInput(factor=2.0))
    clipped = np.minimum(x, 2.0)  # the mean is 1
    np.testing.assert_allclose(product(kernel, noisy_cells(ENCODING, W), x), clipped @ W, atol=3e-5)


# ---------------------------------------------------------------------------------------------- bounds

BOUND = 0.5  # of the converter, in outputs
ADC_OF_BOUND = ADC(bits=9, range=BOUND * UNIT)


@jax.jit
def scaled(kernel, cells, x, key):
    """By how much the vectors were scaled, and whether they saturate at that scale."""
    factor = kernel._doubled(cells, x, key, 0)
    return factor, kernel._read(cells, x / factor, key, 0)[1]


def test_nothing_saturates_at_the_scale_that_is_found(key):
    kernel, cells = make(ENCODING, adc=ADC_OF_BOUND, bound=IterativeBound(10)), noisy_cells(ENCODING, W)
    factor, saturates = scaled(kernel, cells, jnp.asarray(X), key)
    assert not np.any(saturates) and np.all(np.log2(factor) % 1 == 0)
    # no doubling too many: half of it saturates
    half = jax.jit(lambda x: kernel._read(cells, x, key, 0)[1])(jnp.asarray(X) / (factor / 2))
    np.testing.assert_array_equal(np.asarray(half)[np.asarray(factor[:, 0]) > 1], True)
    assert np.max(factor) >= 8 and np.min(factor) <= 4
    y = product(kernel, cells, X, key)
    step = np.asarray(factor) * BOUND / 255
    sigma = np.sqrt(np.square(X) @ np.square(np.asarray(cells.sigma))).max() / float(ENCODING.gain) * 2
    assert np.all(np.abs(y - X @ W) < step + 5 * sigma * np.asarray(factor))


def test_doublings_are_limited():
    cells = noisy_cells(ENCODING, W)
    kernel = make(ENCODING, adc=ADC(bits=9, range=1e-3 * UNIT), bound=IterativeBound(3))
    factor, saturates = scaled(kernel, cells, jnp.asarray(X), None)
    np.testing.assert_array_equal(np.asarray(factor)[np.asarray(saturates)], 8.0)
    assert np.any(saturates)
    assert np.all(np.abs(product(kernel, cells, X)) <= 8e-3 * (1 + 1e-5))


def test_the_scale_of_a_vector_does_not_depend_on_the_others(key):
    kernel, cells = make(ENCODING, adc=ADC_OF_BOUND, bound=IterativeBound(8)), noisy_cells(ENCODING, W)
    one = product(kernel, cells, X, key)
    wild = product(kernel, cells, np.concatenate([X[:3], 0 * X[3:4], 30 * X[4:]]), key)
    np.testing.assert_array_equal(one[:3], wild[:3])


def test_a_vector_that_fits_is_left_as_it_is(key):
    cells, wide = noisy_cells(ENCODING, W), ADC(bits=9, range=ROWS * UNIT)
    bounded = product(make(ENCODING, adc=wide, bound=IterativeBound()), cells, X, key)
    np.testing.assert_array_equal(bounded, product(make(ENCODING, adc=wide), cells, X, key))


def test_gradients_pass_the_bound_in_either_mode(key):
    kernel = make(ENCODING, adc=ADC_OF_BOUND, bound=IterativeBound(8))
    cells = noisy_cells(ENCODING, W)
    d = grid(5, 5, OUTPUTS)
    dx = jax.jit(jax.grad(lambda x: jnp.sum(d * kernel(cells, x))))(jnp.asarray(X))
    np.testing.assert_allclose(dx, d @ W.T, atol=1e-4)  # nothing clipped any more: all of it comes through
    t = jnp.asarray(grid(6, *X.shape))
    moved = jax.jit(lambda x, t: jax.jvp(lambda x: kernel(cells, x), (x,), (t,))[1])(jnp.asarray(X), t)
    np.testing.assert_allclose(moved, t @ W, atol=1e-4)


@pytest.mark.parametrize("most", [0, 21, 2.0])
def test_an_impossible_number_of_doublings_is_refused(most):
    with pytest.raises(InputError, match="`IterativeBound.most` must be an integer from 1 to 20"):
        IterativeBound(most)


def test_the_grid_of_these_tests_is_that_of_the_converter():
    assert DAC(bits=5).codes == (-LAST, LAST)
