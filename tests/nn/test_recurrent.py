"""Analogue LSTM and GRU beside flax's, and their factors through time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hfsim import InputError
from hfsim.draws import address, stream
from hfsim.nn import AnalogGRUCell, AnalogLSTMCell, AnalogWeight, GRUTaps, scan_cell
from tests.layer_peripheries import coarse

KEY = jax.random.key(5)
TIME, BATCH, INPUTS, HIDDEN = 6, 4, 3, 5


@pytest.fixture
def x():
    return jax.random.normal(jax.random.key(1), (TIME, BATCH, INPUTS))


def lstms():
    """Ours and flax's, of the same weights."""
    theirs, ours = (
        nnx.OptimizedLSTMCell(INPUTS, HIDDEN, rngs=nnx.Rngs(0)),
        AnalogLSTMCell(INPUTS, HIDDEN, rngs=nnx.Rngs(1)),
    )
    ours.array.hold(jnp.concatenate([theirs.dense_i.kernel.get_value(), theirs.dense_h.kernel.get_value()]))
    bias = jax.random.normal(KEY, (4 * HIDDEN,))
    theirs.dense_h.bias.set_value(bias)
    ours.bias.set_value(bias)
    return ours, theirs


def grus():
    """Ours and flax's, of the same weights."""
    theirs, ours = nnx.GRUCell(INPUTS, HIDDEN, rngs=nnx.Rngs(0)), AnalogGRUCell(INPUTS, HIDDEN, rngs=nnx.Rngs(1))
    ours.inputs.hold(theirs.dense_i.kernel.get_value())
    ours.hidden.hold(theirs.dense_h.kernel.get_value())
    bias = jax.random.normal(KEY, (3 * HIDDEN,))
    theirs.dense_i.bias.set_value(bias)
    ours.bias.set_value(bias)
    return ours, theirs


CELLS = {"lstm": lstms, "gru": grus}


def noisy(name, **options):
    kind = AnalogLSTMCell if name == "lstm" else AnalogGRUCell
    return kind(INPUTS, HIDDEN, periphery=coarse(**options), rngs=nnx.Rngs(0))


def start(cell, batch=BATCH):
    return cell.initialize_carry((batch, INPUTS))


@pytest.mark.parametrize("name", CELLS)
def test_cells_compute_what_flax_computes(name, x):
    ours, theirs = CELLS[name]()
    sequence = jnp.moveaxis(x, 0, 1)
    expected, as_flax = nnx.RNN(theirs)(sequence), nnx.RNN(ours)(sequence)
    carry, y = jax.jit(lambda v: scan_cell(ours, start(ours), v))(x)
    np.testing.assert_allclose(jnp.moveaxis(y, 0, 1), expected, rtol=0, atol=2e-6)
    np.testing.assert_allclose(as_flax, expected, rtol=0, atol=2e-6)
    np.testing.assert_allclose(carry[1] if name == "lstm" else carry, expected[:, -1], rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", CELLS)
def test_factors_through_time_are_the_dense_gradient(name, x):
    ours, _ = CELLS[name]()
    graph, weights, rest = nnx.split(ours, AnalogWeight, ...)

    @jax.jit
    def both(weights, taps):
        def loss(weights, taps):
            cell = nnx.merge(graph, weights, rest)
            return jnp.sum(jnp.sin(3 * scan_cell(cell, start(cell), x, taps)[1]))

        return jax.grad(loss, argnums=(0, 1))(weights, taps)

    dense, taps = both(weights, ours.zero_taps(x))
    pairs = (
        [(taps.inputs, dense["inputs"]), (taps.hidden, dense["hidden"])] if name == "gru" else [(taps, dense["array"])]
    )
    for factors, gradient in pairs:
        assert factors.x.shape[:2] == factors.delta.shape[:2] == (TIME, BATCH)
        outer = jnp.einsum("tbi,tbo->io", factors.x, factors.delta)
        np.testing.assert_allclose(outer, gradient["weight"].get_value(), rtol=1e-4, atol=1e-5)


def test_an_lstms_array_is_driven_by_inputs_and_hidden_state(x):
    ours, _ = lstms()

    @jax.jit
    def both(taps):
        def loss(taps):
            y = scan_cell(ours, start(ours), x, taps)[1]
            return jnp.sum(y), y

        return jax.grad(loss, has_aux=True)(taps)

    factors, y = both(ours.zero_taps(x))
    np.testing.assert_array_equal(factors.x[..., :INPUTS], x)
    np.testing.assert_allclose(factors.x[1:, :, INPUTS:], y[:-1], rtol=1e-6)
    # one step, one tap
    assert ours.zero_taps(x[0]).x.shape == (BATCH, INPUTS + HIDDEN)
    assert isinstance(grus()[0].zero_taps(x[0]), GRUTaps)


@pytest.mark.parametrize("name", CELLS)
def test_every_step_reads_anew_wherever_a_sequence_is_cut(name):
    cell = noisy(name)
    # large steps of time and batch alike, and an input that stays the same
    x = jnp.broadcast_to(jax.random.normal(KEY, (BATCH, INPUTS)), (TIME, BATCH, INPUTS))
    run = jax.jit(lambda carry, v, first, start: scan_cell(cell, carry, v, None, KEY, first=first, start=start))
    carry, whole = run(start(cell), x, 0, 0)
    half, early = run(start(cell), x[:3], 0, 0)
    end, late = run(half, x[3:], 0, 3)
    np.testing.assert_allclose(jnp.concatenate([early, late]), whole, rtol=1e-5, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), end, carry)
    parts = [run(start(cell, 2), x[:, i : i + 2], i, 0)[1] for i in (0, 2)]
    np.testing.assert_allclose(jnp.concatenate(parts, axis=1), whole, rtol=1e-5, atol=1e-5)
    assert np.any(np.abs(run(start(cell, 2), x[:, 2:], 0, 0)[1] - parts[1]) > 1e-3)
    assert np.any(np.abs(run(half, x[3:], 0, 0)[1] - late) > 1e-3)


@pytest.mark.parametrize("name", CELLS)
def test_draws_of_a_step_are_its_own(name):
    cell, x = noisy(name), jnp.ones((1, INPUTS))

    def same_carry(carry, *rest, **options):
        return carry, cell(carry, *rest, **options)[1]

    each = jax.jit(jax.vmap(lambda t: cell(start(cell, 1), x, None, address(KEY, t))[1]))(jnp.arange(3))
    scanned = jax.jit(lambda: scan_cell(same_carry, start(cell, 1), x[None].repeat(3, 0), None, KEY)[1])()
    np.testing.assert_allclose(scanned, each, rtol=1e-5, atol=1e-6)
    assert all(np.any(np.abs(each[i] - each[i - 1]) > 1e-3) for i in range(3))


def test_a_grus_arrays_draw_apart():
    cell = AnalogGRUCell(HIDDEN, HIDDEN, periphery=coarse(), scale=None, rngs=nnx.Rngs(0))
    cell.hidden.hold(cell.inputs.matrix, None)
    x = jax.random.normal(KEY, (BATCH, HIDDEN))
    one, other, y = jax.jit(
        lambda: (
            cell.inputs(x, key=stream(KEY, "inputs")),
            cell.hidden(x, key=stream(KEY, "hidden")),
            cell(x, x, None, KEY)[0],
        )
    )()
    assert np.any(np.abs(one - other) > 1e-2)  # driven alike, of the same weights
    (r_x, z_x, n_x), (r_h, z_h, n_h) = np.split(one, 3, axis=-1), np.split(other, 3, axis=-1)
    r, z = 1 / (1 + np.exp(-r_x - r_h)), 1 / (1 + np.exp(-z_x - z_h))
    np.testing.assert_allclose(y, (1 - z) * np.tanh(n_x + r * n_h) + z * x, rtol=0, atol=1e-5)


def test_initial_weights_are_those_that_flax_takes():
    cell = AnalogLSTMCell(200, 30, rngs=nnx.Rngs(0))
    W = np.asarray(cell.array.matrix)
    np.testing.assert_allclose(np.std(W[:200]), 1 / np.sqrt(200), rtol=5 / np.sqrt(2 * 200 * 120))
    np.testing.assert_allclose(W[200:] @ W[200:].T, np.eye(30), atol=1e-5)
    hidden = np.asarray(AnalogGRUCell(20, 30, rngs=nnx.Rngs(0)).hidden.matrix)
    np.testing.assert_allclose(hidden @ hidden.T, np.eye(30), atol=1e-5)


@pytest.mark.parametrize("kind", [AnalogLSTMCell, AnalogGRUCell])
@pytest.mark.parametrize("sizes", [(0, 3), (3, 2.0)])
def test_sizes_that_are_no_counts_are_refused(kind, sizes):
    with pytest.raises(InputError, match="`(in|hidden)_features` must be an integer >= 1"):
        kind(*sizes, rngs=nnx.Rngs(0))
