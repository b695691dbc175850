"""Gradients of the kernel: true ones against differences, both modes, the ways back, zeros without NaN."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from hfsim.circuits.read_curve import CubicCurve, SinhCurve
from hfsim.crossbar import (
    ADC,
    DAC,
    AverageInput,
    BitSliced,
    Cells,
    Differential,
    Kernel,
    LargestInput,
    ReferenceColumn,
    Rounding,
    SingleEnded,
    TwoPasses,
)
from hfsim.draws import stream
from hfsim.estimators import Soft
from hfsim.parameters import parameter
from tests.crossbar_kernels import OUTPUTS, ROWS, V_READ, WINDOW, encodings, grid, make, noisy_cells, transposed
from tests.finite_differences import check_parameter_gradients

W = grid(0, ROWS, OUTPUTS)
X = np.random.default_rng(1).uniform(-0.9, 0.9, (3, ROWS))
D = np.random.default_rng(4).uniform(-1, 1, (3, OUTPUTS))
PARTS = ("dac", "adc", "V_read", "encoding", "scaling", "curve")


class Chip(eqx.Module):
    """A kernel with its cells and inputs as declared parameters, so that each is checked."""

    G: Float[Array, "..."] = parameter(unit="uS", doc="conductances")
    sigma: Float[Array, "..."] = parameter(unit="uS", doc="deviations of a read")
    x: Float[Array, "..."] = parameter(unit="1", doc="inputs")
    kernel: Kernel

    def read(self, key):
        return self.kernel(Cells(self.G, self.sigma), self.x, key)


def soft(width=0.4):
    return Rounding(Soft(width=width))


def chips():
    """Encodings, ways to apply a vector, curves and scalings, each at least once, every converter's number in use."""
    dac = DAC(bits=3, range=1.3, cubic=0.06, sigma=0.03, quantiser=soft())
    adc = ADC(bits=5, range=60.0, gain=1.1, offset=-2.0, sigma=0.8, quantiser=soft())
    several = ADC(
        bits=5, range=[50.0, 60.0, 40.0, 45.0], gain=1.1, offset=[1.0, -1.0, 2.0, 0.5], sigma=0.8, quantiser=soft()
    )
    return {
        "single": make(SingleEnded(**WINDOW), dac=dac, adc=adc, curve=CubicCurve(V_c=0.3)),
        "reference": make(ReferenceColumn(**WINDOW), dac=dac, adc=several, scaling=LargestInput(range=1.1)),
        "pair": make(Differential(**WINDOW), dac=dac, adc=adc, scaling=AverageInput(), curve=SinhCurve(V_0=0.1)),
        "two passes": make(
            SingleEnded(**WINDOW, subtracted="digital"),
            dac=dac,
            adc=ADC(bits=5, range=90.0, offset=1.0, sigma=0.8, quantiser=soft()),
            inputs=TwoPasses(),
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", chips())
def test_true_gradients_agree_with_differences(name, x64, key):
    kernel = chips()[name]
    cells = noisy_cells(kernel.encoding, W)
    chip = Chip(cells.G, cells.sigma, jnp.asarray(X), kernel)
    weight = jnp.asarray(np.random.default_rng(8).normal(size=(3, OUTPUTS)))
    gradients = check_parameter_gradients(chip, lambda c: jnp.sum(weight * c.read(key)), tolerance=1e-6, step=2e-5)
    assert all(np.all(np.isfinite(g)) for g in gradients)


def test_gradients_of_bit_slices_are_those_of_their_conductances(x64, key):
    kernel = make(BitSliced(Differential(**WINDOW), 2, 2), adc=ADC(range=1e6, sigma=0.5))
    cells = noisy_cells(kernel.encoding, W)
    chip = Chip(cells.G, cells.sigma, jnp.asarray(X), kernel)
    blind = tuple(f"kernel.{c}.quantiser.estimator.width" for c in ("dac", "adc"))  # nothing is rounded
    # no current reaches the converter's range, and the digits were taken before
    insensitive = (*blind, "kernel.adc.range", "kernel.encoding.estimator.width")

    weight = jnp.asarray(D)

    def scalar(chip):
        return jnp.sum(weight * chip.read(key))

    check_parameter_gradients(chip, scalar, tolerance=1e-6, step=1e-4, insensitive=insensitive)


def scalar_of(kernel, key):
    weight = jnp.asarray(D)

    def scalar(leaves):
        kernel_, cells, x = leaves
        return jnp.sum(weight * kernel_(cells, x, key))

    return scalar, (kernel, noisy_cells(kernel.encoding, W), jnp.asarray(X))


@pytest.mark.parametrize("name", ["reference"])
def test_both_modes_of_differentiation_agree(name, x64, key):
    scalar, primals = scalar_of(chips()[name], key)
    rng = np.random.default_rng(3)
    tangents = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), primals)
    _, forward = jax.jit(lambda p, t: jax.jvp(scalar, (p,), (t,)))(primals, tangents)
    gradient = jax.jit(jax.grad(scalar))(primals)
    reverse = sum(float(jnp.vdot(g, t)) for g, t in zip(*map(jax.tree.leaves, (gradient, tangents)), strict=True))
    assert float(forward) == pytest.approx(reverse, rel=1e-10)


# --------------------------------------------------------------------------------- straight-through


@pytest.mark.parametrize("name", encodings())
def test_straight_through_gradients_are_those_of_the_clipped_product(name):
    # dx = 1[|x| <= range] (d 1[|y| <= bound]) W^T, dG = 1/(g V) (voltages)^T (the same d), in the encoding's columns
    encoding = encodings()[name]
    cells = Cells(encoding.targets(jnp.asarray(W)))
    unit = float(encoding.gain) * V_READ
    x, bound = 1.4 * X, 1.2
    kernel = make(encoding, dac=DAC(bits=5), adc=ADC(bits=8, range=bound * unit))
    if "digital" in name or "sliced" in name:  # whose converters see other currents: let nothing be clipped
        bound = 1e3
        kernel = make(encoding, dac=DAC(bits=5), adc=ADC(bits=8, range=1e3 * unit))
    weight = jnp.asarray(D)
    gradient = jax.jit(jax.grad(lambda x, G: jnp.sum(weight * kernel(Cells(G), x)), (0, 1)))
    dx, dG = gradient(jnp.asarray(x), cells.G)
    code = np.rint(np.clip(x, -1, 1) * 15) / 15
    d = D * (np.abs(code @ W) <= bound)
    assert 0 < np.sum(d != 0) < d.size + (bound > 2) and np.any(np.abs(x) > 1)
    np.testing.assert_allclose(dx, (np.abs(x) <= 1) * (d @ W.T), atol=1e-4)
    _, pull = jax.vjp(encoding.weights, cells.G)
    np.testing.assert_allclose(dG, pull(jnp.asarray(code.T @ d, dG.dtype))[0], atol=1e-5)


# --------------------------------------------------------------------------------- the ways back


@pytest.mark.parametrize(("name", "backward"), [("reference", "analog"), ("pair", "ideal")])
def test_the_way_back_changes_the_gradient_of_the_inputs_alone(name, backward, key):
    true, primals = scalar_of(chips()[name], key)
    expected = jax.jit(jax.grad(true))(primals)
    kernel, cells, x = primals
    fields = {field: getattr(kernel, field) for field in kernel.__dataclass_fields__}
    converters = dict(backward_dac=DAC(bits=4, sigma=0.02), backward_adc=ADC(bits=7, range=80.0, sigma=0.5))
    back = Kernel(**{**fields, **converters, "backward": backward})
    np.testing.assert_array_equal(back(cells, x, key), primals[0](cells, x, key))
    dk, dc, dx = jax.jit(jax.grad(true))((back, cells, x))
    for got, wanted in [(dc, expected[1]), *((getattr(dk, part), getattr(expected[0], part)) for part in PARTS)]:
        for one, two in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)
    if backward == "ideal":
        np.testing.assert_allclose(dx, D @ np.asarray(kernel.weights(cells)).T, atol=1e-4)
        return
    np.testing.assert_allclose(dx, transposed(back, cells, jnp.asarray(D), stream(key, "return")), atol=1e-5)
    silent = transposed(back, cells, jnp.asarray(D))
    assert 1e-3 < np.abs(dx - silent).max() < 1.5  # with the noise of the chip, another than on the way forward


def test_the_way_back_without_a_key_is_silent_and_handles_parts_of_a_batch(key):
    encoding = Differential(**WINDOW)
    cells, kernel = noisy_cells(encoding, W), make(encoding, backward="analog")

    @jax.jit
    def dx(x, d, key, first):
        return jax.grad(lambda x: jnp.sum(d * kernel(cells, x, key, first=first)))(x)

    np.testing.assert_allclose(dx(jnp.asarray(X), jnp.asarray(D), None, 0), D @ W.T, atol=1e-4)
    whole, part = (dx(jnp.asarray(X[n:]), jnp.asarray(D[n:]), key, n) for n in (0, 1))
    np.testing.assert_allclose(whole[1:], part, atol=1e-5)


def test_ideal_and_analog_returns_have_no_forward_mode():
    kernel = make(Differential(**WINDOW), backward="ideal")
    cells = noisy_cells(kernel.encoding, W)
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda x: kernel(cells, x), (jnp.asarray(X),), (jnp.asarray(X),))


# --------------------------------------------------------------------------------- zeros


@pytest.mark.parametrize(("scaling", "backward"), [(LargestInput(), "true"), (AverageInput(), "analog")])
def test_no_gradient_is_nan_where_everything_is_zero(scaling, backward, key):
    encoding = ReferenceColumn(**WINDOW) if backward == "true" else Differential(**WINDOW)
    kernel = make(
        encoding,
        dac=DAC(bits=5, sigma=0.0),
        adc=ADC(bits=6, range=50.0, sigma=0.0),
        scaling=scaling,
        curve=SinhCurve(V_0=0.1),
        backward=backward,
    )
    x = jnp.asarray(np.concatenate([0 * X[:2], X[2:]]))
    for noise in (0.0, 0.5):
        G = encoding.targets(jnp.asarray(W, float))
        primals = (kernel, Cells(G, jnp.full(G.shape, noise)), x)
        value, gradient = jax.jit(jax.value_and_grad(lambda p: jnp.sum(p[0](*p[1:], key) ** 2)))(primals)
        assert np.isfinite(value) and all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradient))
