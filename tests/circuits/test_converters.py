"""Converters: every code, ties, clipping, gradients, and what is analogue about them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.crossbar import ADC, DAC, LearnedStepSize, Rounding
from hfsim.errors import InputError
from hfsim.estimators import Exact, Soft, StraightThrough

every_width = pytest.mark.parametrize("bits", [2, 3, 4])
signs = pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])


def ends(bits, signed):
    return (-(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def sweep(low, high):
    """Numbers in units of a step: between and on the codes, on all ties, beyond both ends. All are exact in binary."""
    return np.arange(low - 2, high + 2, 0.125)


# --------------------------------------------------------------------------------------------- every code


@every_width
@signs
def test_the_adc_gives_the_nearest_code_and_no_other(bits, signed):
    low, high = ends(bits, signed)
    adc = ADC(bits=bits, signed=signed, range=0.5 * high)  # a step of 1/2, exact in binary
    u = sweep(low, high)
    assert adc.codes == (low, high)
    found = np.asarray(adc(jnp.asarray(u * 0.5, jnp.float32)))
    np.testing.assert_array_equal(found, 0.5 * np.clip(np.rint(u), low, high))  # ties go to the even code
    np.testing.assert_array_equal(np.unique(found), 0.5 * np.arange(low, high + 1))  # no missing codes
    assert 0.0 in found


@every_width
@signs
def test_the_dac_gives_codes_over_the_last_one(bits, signed):
    low, high = ends(bits, signed)
    dac = DAC(bits=bits, signed=signed, range=4.0 * high)
    u = sweep(low, high)
    found = np.asarray(dac.code(jnp.asarray(u * 4.0, jnp.float32)))
    np.testing.assert_allclose(found, np.clip(np.rint(u), low, high) / high, rtol=1e-6)
    np.testing.assert_array_equal(dac.drive(found), found)


@signs
def test_without_bits_the_range_remains(signed):
    x = np.linspace(-3, 3, 13)
    low = -2.0 if signed else 0.0
    np.testing.assert_allclose(ADC(range=2.0, signed=signed)(jnp.asarray(x)), np.clip(x, low, 2.0))
    np.testing.assert_allclose(DAC(range=2.0, signed=signed).code(jnp.asarray(x)), np.clip(x, low, 2.0) / 2)


@every_width
@signs
def test_saturation_begins_beyond_the_codes(bits, signed):
    low, high = ends(bits, signed)
    u = sweep(low, high)
    adc = ADC(bits=bits, signed=signed, range=0.5 * high)
    # below 0 a converter of one sign reads 0, which no larger range would change
    np.testing.assert_array_equal(adc.saturates(jnp.asarray(0.5 * u)), (u > high) | (signed & (u < low)))


# ------------------------------------------------------------------------------------------ gradients


@every_width
@signs
def test_straight_through_gradients_of_the_adc(bits, signed):
    # y = s clip(round(x/s)), s = range/high. Inside dy/dx = 1, dy/ds = round(u) - u; beyond 0 and the last code
    low, high = ends(bits, signed)
    u = sweep(low, high)

    def converted(x, range):
        return ADC(bits=bits, signed=signed, range=range)(x)

    dx, dr = jax.vmap(jax.grad(converted, (0, 1)), (0, None))(jnp.asarray(0.5 * u), 0.5 * high)
    inside = (u >= low) & (u <= high)  # the bounds included
    np.testing.assert_allclose(dx, inside.astype(float), atol=1e-6)
    np.testing.assert_allclose(dr, np.where(inside, np.rint(u) - u, np.where(u > high, high, low)) / high, atol=1e-6)


@every_width
def test_straight_through_gradients_of_the_dac(bits):
    low, high = ends(bits, True)
    u = sweep(low, high)
    dx = jax.vmap(jax.grad(lambda x: DAC(bits=bits, range=4.0 * high).code(x)))(jnp.asarray(4.0 * u))
    np.testing.assert_allclose(dx, ((u >= low) & (u <= high)) / (4.0 * high), atol=1e-7)


def test_exact_rounding_has_no_gradient_but_that_of_its_step():
    adc = ADC(bits=4, range=7.0, quantiser=Rounding(Exact()))
    u = jnp.asarray([-9.0, -2.3, 0.0, 1.5, 4.4, 9.0])
    np.testing.assert_array_equal(jax.vmap(jax.grad(adc))(u), 0.0)
    dr = jax.grad(lambda r: jnp.sum(ADC(bits=4, range=r, quantiser=Rounding(Exact()))(u)))(7.0)
    assert float(dr) == pytest.approx((-7 - 2 + 0 + 2 + 4 + 7) / 7, rel=1e-6)


def test_soft_rounding_becomes_exact_as_its_width_goes_to_zero():
    u = jnp.asarray(np.setdiff1d(np.arange(-9, 9, 0.125), np.arange(-9.5, 9)), jnp.float32)  # a tie has no limit
    exact = ADC(bits=4, range=7.0)(u)
    errors = []
    for width in (0.3, 0.1, 0.03, 0.004):
        adc = ADC(bits=4, range=7.0, quantiser=Rounding(Soft(width=width)))
        errors.append(float(jnp.max(jnp.abs(adc(u) - exact))))
    assert errors[0] > errors[1] > errors[2] > errors[3] and errors[3] < 1e-6
    # its slope is that of the logistic, not a stand-in: 1/(4 width) at a tie
    steep = jax.grad(ADC(bits=4, range=7.0, quantiser=Rounding(Soft(width=0.05))))(jnp.float32(2.5))
    assert float(steep) == pytest.approx(1 / (4 * 0.05), rel=1e-5)


@pytest.mark.parametrize("batch", [1, 5])
def test_learned_step_size_follows_the_published_rule(batch):
    """Esser et al., eqs. 1 to 3 by hand, and the scale 1/sqrt(N Q_P) with N values of a vector for each step."""
    bits, features = 4, 12
    v = np.random.default_rng(0).normal(0, 4, (batch, features))
    s, last = 0.8, 7
    weight = np.random.default_rng(1).normal(size=v.shape)

    def loss(v, step):
        return jnp.sum(weight * ADC(bits=bits, range=last * step, quantiser=LearnedStepSize())(v))

    value = ADC(bits=bits, range=last * s, quantiser=LearnedStepSize())(jnp.asarray(v))
    np.testing.assert_allclose(value, s * np.clip(np.rint(v / s), -last, last), rtol=1e-5)
    dv, ds = jax.grad(loss, (0, 1))(jnp.asarray(v), s)
    inside = np.abs(v / s) < last
    published = np.where(inside, np.rint(v / s) - v / s, np.sign(v) * last)
    np.testing.assert_allclose(dv, weight * inside, rtol=1e-6)
    assert float(ds) == pytest.approx((weight * published).sum() / np.sqrt(features * last), rel=1e-4)


def test_a_step_of_each_column_has_a_scale_of_its_own():
    # N = 1 value of a vector for each step
    v = jnp.asarray(np.random.default_rng(0).normal(0, 4, (3, 5)))
    steps = jnp.linspace(0.5, 1.5, 5)

    def loss(quantiser, steps):
        return jnp.sum(ADC(bits=4, range=7 * steps, quantiser=quantiser)(v))

    learned, plain = (jax.grad(lambda s, q=q: loss(q, s))(steps) for q in (LearnedStepSize(), Rounding()))
    np.testing.assert_allclose(learned, plain / np.sqrt(7), rtol=1e-5)


# ----------------------------------------------------------------------------------- what is analogue


def test_the_dac_bends_by_its_cubic_and_keeps_zero():
    dac = DAC(bits=4, cubic=0.07)
    q = np.arange(-7, 8) / 7
    np.testing.assert_allclose(dac.drive(dac.code(jnp.asarray(q))), q + 0.07 * q**3, rtol=1e-6, atol=1e-7)


def test_the_noise_of_a_line_driver(key):
    dac, code = DAC(bits=4, sigma=0.02), jnp.full((5000, 8), 3 / 7)
    v = np.asarray(dac.drive(code, key))
    assert abs(v.mean() - 3 / 7) < 4 * 0.02 / np.sqrt(v.size)
    assert v.std() == pytest.approx(0.02, rel=4 / np.sqrt(2 * v.size))
    np.testing.assert_array_equal(dac.drive(code), code)
    np.testing.assert_array_equal(DAC(bits=4).drive(code, key), code)
    np.testing.assert_array_equal(dac.drive(code[3:], key, 3), v[3:])


def test_the_input_stage_of_the_adc():
    adc = ADC(range=100.0, gain=1.2, offset=-3.0, sigma=0.5)
    current, variance = adc.amplified(jnp.asarray([10.0, -20.0]), jnp.asarray([4.0, 0.0]))
    np.testing.assert_allclose(current, [9.0, -27.0], rtol=1e-6)
    np.testing.assert_allclose(variance, [1.44 * 4 + 0.25, 0.25], rtol=1e-6)
    assert adc.amplified(current)[1] == pytest.approx(0.25)
    assert ADC(range=1.0).amplified(current)[1] is None


def test_each_column_may_have_a_converter_of_its_own():
    adc = ADC(bits=3, range=[3.0, 6.0], gain=[1.0, 2.0], offset=[0.5, 0.0])
    np.testing.assert_allclose(adc(adc.amplified(jnp.asarray([[1.2, 1.2], [9.0, -9.0]]))[0]), [[2.0, 2.0], [3.0, -6.0]])


# ------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("argument", "build"),
    [
        ("DAC.bits", lambda: DAC(bits=1)),
        ("DAC.bits", lambda: DAC(bits=0, signed=False)),
        ("DAC.bits", lambda: DAC(bits=6.0)),
        ("ADC.bits", lambda: ADC(bits=25, range=1.0)),
        ("ADC.range", lambda: ADC(range=-1.0)),
        ("DAC.range", lambda: DAC(range=0.0)),
        ("DAC.sigma", lambda: DAC(sigma=-0.1)),
        ("ADC.sigma", lambda: ADC(range=1.0, sigma=np.nan)),
        ("ADC.gain", lambda: ADC(range=1.0, gain=None)),
    ],
)
def test_impossible_converters_are_refused_by_name(argument, build):
    with pytest.raises(InputError) as caught:
        build()
    assert caught.value.argument == argument


def test_converters_go_through_jit_as_arguments():
    adc = ADC(bits=4, range=7.0, quantiser=Rounding(StraightThrough()))
    converted = eqx.filter_jit(lambda a, x: a(x))(adc, jnp.arange(9.0))
    np.testing.assert_array_equal(converted, np.minimum(np.arange(9), 7))
