"""A matrix on tiles: any shape, padding without influence, draws of each tile, scales of columns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.crossbar import (
    ADC,
    DAC,
    AverageInput,
    Cells,
    Differential,
    LargestInput,
    Mapping,
    ReferenceColumn,
    SingleEnded,
    multiply,
    multiply_transposed,
)
from hfsim.errors import InputError
from tests.crossbar_kernels import WINDOW, encodings, make, product

SHAPES = [((5, 3), (5, 3)), ((7, 5), (3, 2)), ((6, 4), (3, 2)), ((3, 4), (8, 8)), ((9, 1), (2, 1)), ((1, 6), (1, 4))]
times = jax.jit(lambda kernel, cells, scale, x, key=None, first=0: multiply(kernel, cells, scale, x, key, first=first))


def matrix(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def cells_of(placed, noise=0.0):
    return Cells(placed.targets, noise * placed.targets)


@jax.jit
def everything(mapping, kernel, W, x, d):
    """Placed, the product, the transposed one, and the weights that the conductances hold."""
    placed = mapping.place(W)
    cells = Cells(placed.targets)
    y = multiply(kernel, cells, placed.scale, x)
    back = multiply_transposed(kernel, cells, placed.scale, d, inputs=len(W))
    return placed, y, back, mapping.weights(placed.targets, placed.scale, len(W))


@pytest.mark.parametrize(("shape", "tile"), SHAPES)
def test_any_shape_on_any_tiles_is_the_product(shape, tile):
    encoding = ReferenceColumn(**WINDOW)
    W, x, d = matrix(shape), matrix((4, shape[0]), 1), matrix((4, shape[1]), 2)
    mapping, kernel = Mapping(encoding, tile), make(encoding, scaling=LargestInput())
    placed, y, back, held = everything(mapping, kernel, W, x, d)
    counts = tuple(-(-n // t) for n, t in zip(shape, tile, strict=True))
    assert placed.targets.shape == (*counts, tile[0], tile[1] + 1)
    np.testing.assert_allclose(y, x @ W, atol=1e-4)
    np.testing.assert_allclose(back, d @ W.T, atol=1e-4)
    np.testing.assert_allclose(held, W, atol=1e-5)


@pytest.mark.parametrize("encoding", encodings().values(), ids=encodings().keys())
def test_every_encoding_may_be_tiled(encoding):
    W = np.random.default_rng(0).integers(-15, 16, (7, 5)) / 15.0
    W[0] = 1.0  # each column keeps its grid of digits
    x, d = matrix((4, 7), 1), matrix((4, 5), 2)
    mapping, kernel = Mapping(encoding, (3, 2)), make(encoding, scaling=LargestInput())
    _, y, back, _ = everything(mapping, kernel, W, x, d)
    np.testing.assert_allclose(y, x @ W, atol=2e-4)
    np.testing.assert_allclose(back, d @ W.T, atol=2e-4)


def test_split_and_join_undo_each_other_and_keep_places():
    w = jnp.arange(35.0).reshape(7, 5)
    mapping = Mapping(SingleEnded(**WINDOW), (3, 2))
    tiles = mapping.split(w)
    assert tiles.shape == (3, 3, 3, 2)
    np.testing.assert_array_equal(tiles[1, 2], [[19.0, 0.0], [24.0, 0.0], [29.0, 0.0]])
    np.testing.assert_array_equal(mapping.join(tiles, (7, 5)), w)
    np.testing.assert_array_equal(Mapping(SingleEnded(**WINDOW)).split(w)[0, 0], w)


# -------------------------------------------------------------------------------------------- scales


def test_weights_of_each_column_fill_the_window():
    W = jnp.asarray(matrix((6, 3)) * np.array([1e-3, 1.0, 0.0]))
    for per_column in (True, False):
        placed = Mapping(SingleEnded(**WINDOW), None, per_column).place(W)
        spread = np.abs(np.asarray(placed.targets[0, 0]) - 48.6).max(axis=0)
        expected = (
            [39.6, 39.6, 0.0] if per_column else [39.6 * float(jnp.abs(W[:, 0]).max() / jnp.abs(W).max()), 39.6, 0]
        )
        np.testing.assert_allclose(spread, expected, atol=1e-4)
        assert np.all(np.isfinite(placed.scale)) and float(placed.scale[2]) == (1.0 if per_column else placed.scale[1])


def test_gradients_reach_the_matrix_through_its_scale():
    # the scale cancels: d(x W)/dW is x, the largest weight of each column included
    W, x = jnp.asarray(matrix((6, 3))), jnp.asarray(matrix((1, 6), 1))
    mapping, kernel = Mapping(Differential(**WINDOW), (4, 2)), make(Differential(**WINDOW), scaling=LargestInput())

    def total(W):
        placed = mapping.place(W)
        return jnp.sum(multiply(kernel, Cells(placed.targets), placed.scale, x) * jnp.arange(1.0, 4.0))

    np.testing.assert_allclose(jax.jit(jax.grad(total))(W), x.T * np.arange(1.0, 4.0), atol=1e-4)


# ------------------------------------------------------------------------------------------ padding


@pytest.mark.parametrize("scaling", [LargestInput(), AverageInput(factor=2.0)])
def test_lines_that_pad_a_tile_have_no_influence(scaling):
    # a tile of just the matrix's size against a larger one, converters and all; noise without padding's draws
    W, x = matrix((5, 3)), matrix((4, 5), 1)
    encoding = Differential(**WINDOW)
    kernel = make(encoding, dac=DAC(bits=5), adc=ADC(bits=8, range=30.0), scaling=scaling)
    small, large = (Mapping(encoding, tile).place(jnp.asarray(W)) for tile in ((5, 3), (8, 7)))
    np.testing.assert_allclose(
        times(kernel, cells_of(small), small.scale, x), times(kernel, cells_of(large), large.scale, x), atol=1e-5
    )
    # nor has what their devices are
    padded = large.targets.at[..., 5:, :].set(77.0).at[..., 6:].set(55.0)
    np.testing.assert_array_equal(
        times(kernel, Cells(padded), large.scale, x), times(kernel, cells_of(large), large.scale, x)
    )


# -------------------------------------------------------------------------------------------- draws


def test_tiles_draw_for_themselves(key):
    # the same weights and inputs on every tile: outputs of tile columns differ by their draws alone
    encoding = SingleEnded(**WINDOW)
    W, x = np.tile(matrix((3, 2)), (1, 3)), matrix((5, 3), 1)
    placed = Mapping(encoding, (3, 2)).place(jnp.asarray(W))
    kernel = make(encoding, scaling=LargestInput())
    y = np.asarray(times(kernel, cells_of(placed, 0.01), placed.scale, x, key)).reshape(5, 3, 2)
    assert np.abs(y[:, 0] - y[:, 1]).min() > 1e-5 and np.abs(y[:, 1] - y[:, 2]).min() > 1e-5
    assert np.abs(y[:, 0] - y[:, 1]).max() > 1e-2
    # and the first tile draws as it does alone
    first = Mapping(encoding, (3, 2)).place(jnp.asarray(W[:, :2]))
    alone = times(kernel, cells_of(first, 0.01), first.scale, x, key)
    np.testing.assert_allclose(y[:, 0], alone, atol=1e-5)


def test_rows_of_tiles_draw_for_themselves(key):
    # two tiles of the same weights and inputs below each other: noise of one draw each has twice the variance, not four
    encoding, n = SingleEnded(**WINDOW), 20_000
    W, x = np.tile(matrix((3, 1)), (2, 1)), np.broadcast_to(np.tile([0.3, -0.8, 1.0], 2), (n, 6))
    placed = Mapping(encoding, (3, 1)).place(jnp.asarray(W))
    y = np.asarray(times(make(encoding), cells_of(placed, 0.01), placed.scale, x, key), np.float64)
    sigma = 0.01 * np.asarray(placed.targets[:, 0, :, 0], np.float64).ravel()
    variance = np.sum((sigma * x[0]) ** 2) * (float(placed.scale[0]) / float(encoding.gain)) ** 2
    assert y.var() == pytest.approx(variance, rel=5 * np.sqrt(2 / n) + 0.004)


def test_a_batch_on_tiles_may_be_split(key):
    encoding = Differential(**WINDOW)
    placed = Mapping(encoding, (3, 2)).place(jnp.asarray(matrix((7, 5))))
    kernel, x = make(encoding, adc=ADC(range=1e6, sigma=0.5)), matrix((6, 7), 1)
    whole = times(kernel, cells_of(placed, 0.01), placed.scale, x, key)
    part = times(kernel, cells_of(placed, 0.01), placed.scale, x[4:], key, 4)
    np.testing.assert_allclose(whole[4:], part, atol=1e-5)
    assert np.abs(np.asarray(times(kernel, cells_of(placed, 0.01), placed.scale, x[4:], key) - part)).max() > 1e-3


def test_one_tile_is_the_kernel_itself_at_its_address(key):
    encoding = Differential(**WINDOW)
    placed = Mapping(encoding).place(jnp.asarray(matrix((4, 3))))
    kernel, x = make(encoding), matrix((5, 4), 1)
    inner = jax.random.fold_in(jax.random.fold_in(key, 0), 0)
    cells = cells_of(placed, 0.01)
    expected = product(kernel, Cells(cells.G[0, 0], cells.sigma[0, 0]), x, inner) * placed.scale
    np.testing.assert_allclose(times(kernel, cells, placed.scale, x, key), expected, atol=1e-6)


# ------------------------------------------------------------------------------------------ refusals


def test_what_does_not_fit_is_refused_by_name():
    encoding = Differential(**WINDOW)
    kernel, placed = make(encoding), Mapping(encoding, (3, 2)).place(jnp.asarray(matrix((7, 5))))
    cells = cells_of(placed)
    for argument, call in {
        "tile": lambda: Mapping(encoding, (3, 0)),
        "W": lambda: Mapping(encoding).place(jnp.zeros((0, 3))),
        "x": lambda: multiply(kernel, cells, placed.scale, matrix((4, 10))),
        "delta": lambda: multiply_transposed(kernel, cells, placed.scale, matrix((4, 6)), inputs=7),
        "cells.G": lambda: multiply(kernel, Cells(cells.G[0]), placed.scale, matrix((4, 7))),
    }.items():
        with pytest.raises(InputError) as caught:
            call()
        assert caught.value.argument == argument
    with pytest.raises(InputError):
        multiply(kernel, cells, placed.scale, matrix((4, 6)))  # two rows of tiles were enough for it
