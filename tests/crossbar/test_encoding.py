"""Encodings: conductances inside the window, weights and currents back, both layouts, digits, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.crossbar import BitSliced, Differential, ReferenceColumn, SingleEnded
from hfsim.errors import InputError
from hfsim.estimators import Exact
from tests.crossbar_kernels import LAST, WINDOW, encodings, grid

every_encoding = pytest.mark.parametrize("encoding", encodings().values(), ids=encodings().keys())
W = jnp.asarray(grid(0, 5, 3))
LOW, HIGH = 9.0, 88.2
MIDDLE, HALF = (HIGH + LOW) / 2, (HIGH - LOW) / 2


@every_encoding
def test_conductances_stay_in_the_window_and_hold_the_weights(encoding):
    G = np.asarray(encoding.targets(W))
    assert G.min() >= LOW - 1e-5 and G.max() <= HIGH + 1e-5
    assert G.max() == pytest.approx(HIGH) and G.min() == pytest.approx(LOW)  # the whole of it: weights are 1 and -1
    np.testing.assert_allclose(encoding.weights(jnp.asarray(G)), W, atol=1e-6)


@every_encoding
def test_stacks_of_arrays_are_encoded_alike(encoding):
    stack = jnp.stack([W, -W, 0.2 * W])
    G = encoding.targets(stack)
    for one, w in zip(G, stack, strict=True):
        np.testing.assert_array_equal(one, encoding.targets(w))
    np.testing.assert_array_equal(encoding.weights(G)[1], encoding.weights(G[1]))


def test_one_device_per_weight():
    np.testing.assert_allclose(SingleEnded(**WINDOW).targets(W), MIDDLE + HALF * W, rtol=1e-6)
    G = ReferenceColumn(**WINDOW).targets(W)
    assert G.shape == (5, 4)
    np.testing.assert_allclose(G[:, :3], MIDDLE + HALF * W, rtol=1e-6)
    np.testing.assert_allclose(G[:, 3], MIDDLE, rtol=1e-6)


def test_the_two_layouts_of_a_pair():
    plus, minus = LOW + 2 * HALF * np.maximum(W, 0), LOW + 2 * HALF * np.maximum(-W, 0)
    even, first = (np.asarray(Differential(**WINDOW, positive=p).targets(W)) for p in ("even", "first"))
    np.testing.assert_allclose(even[:, 0::2], plus, rtol=1e-6)
    np.testing.assert_allclose(even[:, 1::2], minus, rtol=1e-6)
    np.testing.assert_allclose(first, np.concatenate([plus, minus], axis=1), rtol=1e-6)


def test_a_shift_of_all_conductances_is_removed_by_a_pair_and_a_reference_alone():
    for name, encoding in encodings().items():
        left = np.abs(np.asarray(encoding.weights(encoding.targets(W) + 2.0) - W)).max()
        assert left == pytest.approx(2.0 / HALF if "single" in name else 0.0, abs=1e-5), name


@every_encoding
def test_the_gradient_of_a_weight_is_one_through_its_devices(encoding):
    # at weight 0 too, where a pair has a kink in each device but none in the difference
    w = W.at[1, 1].set(0.0)
    back = jax.grad(lambda w: jnp.sum(encoding.weights(encoding.targets(w)) * jnp.arange(15.0).reshape(5, 3)))(w)
    np.testing.assert_allclose(back, np.arange(15.0).reshape(5, 3), rtol=1e-5)


# ------------------------------------------------------------------------------------------- bit slices


@pytest.mark.parametrize(("slices", "bits"), [(1, 2), (2, 1), (2, 2), (4, 1), (3, 2), (2, 4)])
def test_digits_of_every_code(slices, bits):
    last = 2 ** (slices * bits) - 1
    encoding = BitSliced(Differential(**WINDOW), slices, bits)
    codes = np.arange(-last, last + 1)
    digits = np.asarray(encoding.digits(jnp.asarray(codes / last, jnp.float32)))
    base = 2**bits
    for k in range(slices):  # the most significant first
        expected = np.abs(codes) // base ** (slices - 1 - k) % base
        np.testing.assert_allclose(digits[k], np.sign(codes) * expected / (base - 1), rtol=1e-6)
    np.testing.assert_allclose(np.tensordot(encoding.beta, digits, 1), codes / last, atol=1e-6)
    assert sum(encoding.beta) == pytest.approx(1.0)


def test_weights_between_codes_take_the_nearest():
    encoding = BitSliced(Differential(**WINDOW), 2, 2)
    w = np.linspace(-0.99, 0.99, 100)[:, None]  # no ties
    found = encoding.weights(encoding.targets(jnp.asarray(w)))
    np.testing.assert_allclose(found, np.rint(w * LAST) / LAST, atol=1e-6)


def test_slices_lie_side_by_side():
    inner = SingleEnded(**WINDOW)
    encoding = BitSliced(inner, 2, 2)
    G = np.asarray(encoding.targets(W))
    for k, digit in enumerate(encoding.digits(W)):
        np.testing.assert_array_equal(G[:, 3 * k : 3 * k + 3], inner.targets(digit))


def test_the_gradient_of_the_digits_is_the_estimator_s():
    w = jnp.asarray([0.31, -0.77])
    for estimator, slope in ((None, 1.0), (Exact(), 0.0)):
        options = {} if estimator is None else {"estimator": estimator}
        encoding = BitSliced(Differential(**WINDOW), 3, 1, **options)
        beta = encoding.beta
        found = jax.jacobian(lambda w, e=encoding: jnp.stack(e.digits(w)))(w)
        for k, b in enumerate(beta):
            np.testing.assert_allclose(found[k], slope * b / sum(c**2 for c in beta) * np.eye(2), rtol=1e-5)


# ------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("argument", "build"),
    [
        ("G_min", lambda: SingleEnded(G_min=5.0, G_max=5.0)),
        ("G_min", lambda: Differential(G_min=9.0, G_max=5.0)),
        ("SingleEnded.G_min", lambda: SingleEnded(G_min=-1.0, G_max=5.0)),
        ("subtracted", lambda: ReferenceColumn(**WINDOW, subtracted="later")),
        ("positive", lambda: Differential(**WINDOW, positive="odd")),
        ("BitSliced.inner", lambda: BitSliced(ReferenceColumn(**WINDOW), 2, 2)),
        ("BitSliced.inner", lambda: BitSliced(BitSliced(SingleEnded(**WINDOW), 2, 2), 2, 2)),
        ("BitSliced.slices", lambda: BitSliced(SingleEnded(**WINDOW), 0, 2)),
        ("BitSliced.bits", lambda: BitSliced(SingleEnded(**WINDOW), 2, 2.0)),
        ("BitSliced.slices, bits", lambda: BitSliced(SingleEnded(**WINDOW), 6, 4)),
    ],
)
def test_impossible_encodings_are_refused_by_name(argument, build):
    with pytest.raises(InputError) as caught:
        build()
    assert caught.value.argument == argument
