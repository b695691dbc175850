"""Convolutions through patches against jax.lax, in one to three dimensions, and through a noisy array's mean."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.crossbar import Cells, Differential, LargestInput, Mapping, kernel_of, matrix_of, multiply, patches
from hfsim.errors import InputError
from tests.crossbar_kernels import WINDOW, make

CASES = [
    ((9,), (3,), {}),
    ((9,), (4,), dict(strides=2, padding="SAME")),
    ((6, 7), (2, 3), {}),
    ((6, 7), (2, 3), dict(strides=(2, 1), padding="SAME")),
    ((6, 7), (3, 2), dict(padding=((1, 0), (2, 1)), dilation=(1, 3))),
    ((7, 8), (3, 3), dict(strides=(3, 2), padding="SAME", dilation=2)),
    ((4, 5, 3), (2, 3, 2), dict(strides=(1, 2, 1), padding="SAME")),
]
INPUTS, OUTPUTS = 3, 4


def image_and_kernel(space, window):
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(size=(2, *space, INPUTS))), jnp.asarray(rng.normal(size=(*window, INPUTS, OUTPUTS)))


def reference(image, kernel, strides=1, padding="VALID", dilation=1):
    axes = image.ndim - 2
    letters = "DHW"[3 - axes :]
    strides, dilation = ((n,) * axes if isinstance(n, int) else n for n in (strides, dilation))
    return jax.lax.conv_general_dilated(
        image, kernel, strides, padding, rhs_dilation=dilation, precision="highest",
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
    )  # fmt: skip


@pytest.mark.parametrize(("space", "window", "options"), CASES)
def test_patches_times_the_matrix_is_the_convolution(space, window, options):
    image, kernel = image_and_kernel(space, window)
    found = jnp.matmul(patches(image, window, **options), matrix_of(kernel), precision="highest")
    np.testing.assert_allclose(found, reference(image, kernel, **options), atol=1e-4)
    np.testing.assert_array_equal(kernel_of(matrix_of(kernel), window), kernel)


def test_a_patch_by_hand():
    # channel by channel, the window's last axis fastest
    image = jnp.arange(2 * 3 * 2.0).reshape(1, 2, 3, 2)
    expected = [[0, 2, 6, 8, 1, 3, 7, 9], [2, 4, 8, 10, 3, 5, 9, 11]]
    np.testing.assert_array_equal(patches(image, (2, 2))[0, 0], expected)


def test_a_convolution_through_noisy_tiles_has_the_convolution_as_its_mean(key):
    # every reading of an image is another: the mean of n is within 5 sigma/sqrt(n)
    options = dict(strides=(2, 1), padding="SAME")
    image, weights = image_and_kernel((6, 7), (2, 3))
    encoding, n = Differential(**WINDOW), 200
    placed = Mapping(encoding, (8, 3)).place(matrix_of(weights))
    cells, kernel = Cells(placed.targets, 0.02 * placed.targets), make(encoding, scaling=LargestInput())
    columns = patches(image, (2, 3), **options)

    @jax.jit
    def reads(keys):
        return jax.vmap(lambda k: multiply(kernel, cells, placed.scale, columns, k))(keys)

    y = np.asarray(reads(jax.random.split(key, n)), np.float64)
    expected = np.asarray(reference(image, weights, **options))
    assert y.shape[1:] == expected.shape and np.all(y.std(0) > 0)
    assert np.all(np.abs(y.mean(0) - expected) < 5 * y.std(0) / np.sqrt(n) + 1e-5)


def test_gradients_reach_image_and_kernel():
    image, kernel = image_and_kernel((6, 7), (2, 3))

    def through_patches(image, kernel):
        columns = patches(image, (2, 3), padding="SAME")
        return jnp.sum(jnp.sin(jnp.matmul(columns, matrix_of(kernel), precision="highest")))

    def direct(image, kernel):
        return jnp.sum(jnp.sin(reference(image, kernel, padding="SAME")))

    for one, two in zip(*(jax.jit(jax.grad(f, (0, 1)))(image, kernel) for f in (through_patches, direct)), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


def test_windows_that_do_not_fit_are_refused():
    image, kernel = image_and_kernel((6, 7), (2, 3))
    for argument, call in {
        "window": lambda: patches(image, (2, 3, 2)),
        "window ": lambda: kernel_of(matrix_of(kernel), (4, 3)),
        "image": lambda: patches(jnp.zeros((2, 3)), ()),
        "image ": lambda: patches(jnp.zeros((1, 3, 3, 3, 3, 1)), (2, 2, 2, 2)),
    }.items():
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.argument == argument.strip()
