"""The analogue convolution beside flax's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hfsim import InputError
from hfsim.nn import AnalogConv, AnalogWeight
from tests.layer_peripheries import coarse

KEY = jax.random.key(5)
CASES = {
    "one axis": ((8,), dict(kernel_size=3, padding="VALID")),
    "strides, dilation, groups": (
        (7, 9),
        dict(kernel_size=(3, 2), strides=(2, 1), kernel_dilation=(1, 2), feature_group_count=2),
    ),
    "three axes, zeros at will": ((3, 4, 5), dict(kernel_size=(2, 3, 2), padding=((1, 0), (0, 2), (1, 1)), strides=2)),
    "each channel by itself": ((4, 5), dict(kernel_size=(2, 2), feature_group_count=4, padding="VALID")),
}


def pair(options, **others):
    """An analogue layer and flax's own of the same kernel and bias."""
    options = dict(options)
    size = options.pop("kernel_size")
    theirs = nnx.Conv(
        4, 8, (size,) if isinstance(size, int) else size, **options, precision="highest", rngs=nnx.Rngs(0)
    )
    ours = AnalogConv(4, 8, size, **options, **others, rngs=nnx.Rngs(1))
    assert ours.bias is not None and theirs.bias is not None
    theirs.bias.set_value(jnp.arange(8.0))
    ours.bias.set_value(jnp.arange(8.0))
    ours.hold(theirs.kernel.get_value())
    return ours, theirs


@pytest.mark.parametrize("case", CASES)
def test_it_computes_what_flax_computes(case):
    space, options = CASES[case]
    ours, theirs = pair(options)
    np.testing.assert_allclose(ours.kernel, theirs.kernel.get_value(), rtol=1e-6)
    x = jax.random.normal(KEY, (2, 3, *space, 4))
    y, expected = jax.jit(lambda v: (ours(v), theirs(v)))(x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(jax.jit(ours)(x[0, 0]), y[0, 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_factors_are_those_of_every_position(case):
    space, options = CASES[case]
    ours, theirs = pair(options)
    x = jax.random.normal(KEY, (3, *space, 4))
    graph, weights, rest = nnx.split(ours, AnalogWeight, ...)

    @jax.jit
    def both(weights, taps):
        loss = lambda w, t: jnp.sum(jnp.sin(nnx.merge(graph, w, rest)(x, t)))  # noqa: E731
        return jax.grad(loss, argnums=(0, 1))(weights, taps)

    dense, factors = both(weights, ours.zero_taps(x))
    groups = ours.groups > 1
    places = jax.eval_shape(theirs, x).shape[1:-1]
    assert factors.x.shape[:-1] == (3, *places, *((ours.groups,) if groups else ()))
    samples = jax.tree.map(lambda f: f.reshape(3 * int(np.prod(places)), *f.shape[1 + len(places) :]), factors)
    outer = jnp.einsum("s...i,s...o->...io", samples.x, samples.delta)
    np.testing.assert_allclose(outer, dense["array"]["weight"].get_value(), rtol=1e-4, atol=1e-5)


def test_positions_are_samples_in_order_by_image_then_by_place():
    ours, _ = pair(dict(kernel_size=(2, 2), padding="VALID", strides=2))
    x = jnp.arange(2 * 4 * 6 * 4.0).reshape(2, 4, 6, 4)
    factors = jax.grad(lambda t: jnp.sum(ours(x, t)))(ours.zero_taps(x))
    assert factors.x.shape == (2, 2, 3, 16)
    # the patch of image 1, row 1, column 2: channel by channel, the window's last axis fastest
    expected = np.asarray(x)[1, 2:4, 4:6].transpose(2, 0, 1).ravel()
    np.testing.assert_array_equal(factors.x[1, 1, 2], expected)


def test_a_split_batch_draws_the_same():
    ours = AnalogConv(4, 6, (2, 2), feature_group_count=2, periphery=coarse(), rngs=nnx.Rngs(0))
    x = jax.random.normal(KEY, (4, 2, 3, 3, 4))
    read = jax.jit(lambda v, first: ours(v, key=KEY, first=first))
    whole = read(x, 0)
    np.testing.assert_allclose(jnp.concatenate([read(x[:2], 0), read(x[2:], 2)]), whole, rtol=1e-5, atol=1e-5)
    assert np.any(np.abs(read(x[2:], 0) - whole[2:]) > 1e-3)
    assert np.any(np.abs(whole - jax.jit(ours)(x)) > 1e-3)


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("feature_group_count", dict(feature_group_count=3)),
        ("kernel_size", dict(kernel_size=(1, 1, 1, 1))),
        (r"kernel_size\[1\]", dict(kernel_size=(1, 0))),
        ("strides", dict(strides=(1, 2, 3))),
        (r"kernel_dilation\[0\]", dict(kernel_dilation=0)),
    ],
)
def test_options_that_make_no_convolution_are_refused(argument, options):
    with pytest.raises(InputError, match=f"`{argument}`"):
        AnalogConv(**{"in_features": 4, "out_features": 8, "kernel_size": (2, 2), "rngs": nnx.Rngs(0), **options})


def test_images_and_kernels_that_do_not_fit_are_refused():
    ours = AnalogConv(4, 8, (2, 2), rngs=nnx.Rngs(0))
    for shape in ((5, 5, 3), (5, 4)):
        with pytest.raises(InputError, match="`x` must have 2 axes of space and 4 channels"):
            ours(jnp.ones(shape))
    with pytest.raises(InputError, match=r"`kernel` must have shape \(2, 2, 4, 8\)"):
        ours.hold(jnp.ones((2, 2, 8, 4)))
