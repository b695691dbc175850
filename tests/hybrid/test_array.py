"""The array, pulse by pulse: words in and out, transfers, counts; and against the strategy object."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim import InputError, hybrid
from hfsim.hybrid import CELLS, WORD_MAX, HybridArray, count_network
from hfsim.hybrid.ledger import MSB_TRANSFER, SENSE_AND_WRITE, SIGN_TRANSFER, TARGET_TRANSFER, TWIN_TRANSFER
from tests.compiled_array import LINES, conductances, init, sense, transfer, update, wait, write

pytestmark = pytest.mark.optimised

MONTH = 30 * 86400.0  # s


def noise_free(array):
    """The same array with every spread and noise at its least."""
    return eqx.tree_at(
        lambda a: (
            a.capacitor.P_r_spread,
            a.transistor.A_VT,
            a.amplifier.sigma_os,
            a.amplifier.sigma_n,
            a.line.memristor.sigma_set,
            a.line.memristor.sigma_reset,
        ),
        array,
        (
            jnp.float32(0.0),
            jnp.float32(0.0),
            jnp.float32(0.0),
            jnp.float32(1e-3),
            jnp.float32(0.0),
            jnp.float32(0.0),
        ),
    )


@pytest.fixture(scope="module")
def design():
    return HybridArray.from_card(hfsim.load_card("cea-leti-2025-hybrid"), lines=LINES)


@pytest.fixture(scope="module")
def array(design):
    """One fabricated array with the card's mismatch and noise."""
    return design.sample(jax.random.key(1))


@pytest.fixture(scope="module")
def quiet(design):
    """The same without mismatch and noise; sampled too, so that both compile to one function."""
    return noise_free(design).sample(jax.random.key(1))


@pytest.fixture(scope="module")
def key():
    return jax.random.key(0)


@pytest.fixture(scope="module")
def words():
    """Random words of every code and sign, among them both zeros and both ends."""
    rng = np.random.default_rng(0)
    values = (64 * np.repeat(np.arange(8), 4) + rng.integers(0, 64, 32)) * np.tile([1.0, -1.0], 16)
    values[[0, 1, -2, -1]] = 0.0, -0.0, WORD_MAX, -WORD_MAX
    return jnp.asarray(values.reshape(8, LINES).T, jnp.float32)


def assert_same_words(read, written):
    np.testing.assert_array_equal(read, written)
    np.testing.assert_array_equal(np.signbit(read), np.signbit(written))


# Geometry


def test_the_array_has_the_published_number_of_devices():
    array = HybridArray.from_card(hfsim.load_card("cea-leti-2025-hybrid"))
    assert array.devices == 18_432
    assert array.synapses == 1_024
    assert CELLS == 14


def test_a_network_of_33_800_weights_takes_34_arrays():
    array = HybridArray.from_card(hfsim.load_card("cea-leti-2025-hybrid"))
    assert array.arrays_for(33_800) == 34
    assert [array.arrays_for(n) for n in (0, 1, 1024, 1025)] == [0, 1, 1, 2]


@pytest.mark.parametrize(
    ("name", "size"),
    [("lines", 0), ("lines", 2.5), ("fecaps_per_line", CELLS - 1), ("memristors_per_line", 1)],
)
def test_sizes_without_room_for_a_synapse_are_refused(name, size):
    with pytest.raises(InputError, match="lines|fecaps_per_line"):
        HybridArray.from_card(hfsim.load_card("cea-leti-2025-hybrid"), **{name: size})


# Words


@pytest.mark.parametrize("chip", ["quiet", "array"])
def test_sensing_returns_what_was_written(chip, words, key, request):
    chip = request.getfixturevalue(chip)
    _, read = sense(chip, write(chip, init(chip, key), words), key)
    assert_same_words(read, words)


def test_an_array_holds_every_word(array, key):
    everything = jnp.asarray(hybrid.unpack(np.arange(1024, dtype=np.uint16)).reshape(-1, LINES, 8))
    state = init(array, key)
    for event, words in enumerate(everything):
        state, read = sense(array, write(array, state, words), jax.random.fold_in(key, event))
        assert_same_words(read, words)


def test_sensing_is_destructive(array, words, key):
    erased, _ = sense(array, write(array, init(array, key), words), key)
    _, read = sense(array, erased, key)
    assert_same_words(read, jnp.zeros_like(words))


def test_a_new_array_holds_plus_zero(array, words, key):
    _, read = sense(array, init(array, key), key)
    assert_same_words(read, jnp.zeros_like(words))


def test_writing_replaces_the_old_word(array, words, key):
    state = write(array, write(array, init(array, key), words), -words[::-1])
    assert_same_words(sense(array, state, key)[1], -words[::-1])


def test_an_update_adds_and_saturates(array, words, key):
    rng = np.random.default_rng(1)
    step = jnp.asarray(rng.integers(-300, 301, words.shape), jnp.float32)
    state = update(array, write(array, init(array, key), words), step, key)
    expected = np.clip(np.asarray(words) + np.asarray(step), -WORD_MAX, WORD_MAX)
    assert np.any(np.abs(words + step) > WORD_MAX)
    np.testing.assert_array_equal(sense(array, state, key)[1], expected)


def with_dead_cells(array, cells):
    """The array whose given cells of each synapse have lost their polarisation."""
    alive = jnp.ones(CELLS).at[jnp.asarray(cells)].set(0.0)
    return eqx.tree_at(lambda a: a.capacitor.P_r, array, array.capacitor.P_r * alive)


def test_the_cells_of_a_bit_vote(quiet, key):
    # cells 1..4 are the first MSB: two dead ones leave a half that says 1, three do not
    words = jnp.full((LINES, 8), 511.0)
    for dead, expected in ((0, 511), (2, 511), (3, 255)):
        chip = with_dead_cells(quiet, range(1, 1 + dead)) if dead else quiet
        _, read = sense(chip, write(chip, init(chip, key), words), key)
        np.testing.assert_array_equal(read, expected)


def test_an_amplifier_far_off_spoils_only_its_own_line(array, words, key):
    offset = array.amplifier.V_os.at[2].set(1.0)
    spoiled = eqx.tree_at(lambda a: a.amplifier.V_os, array, offset)
    _, read = sense(spoiled, write(spoiled, init(spoiled, key), words), key)
    expected = np.where(np.arange(LINES)[:, None] == 2, 0.0, words)
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("shape", [(), (8,), (8, LINES), (LINES, 8, 1)])
def test_words_and_steps_of_another_shape_are_refused(array, key, shape):
    state = init(array, key)
    with pytest.raises(InputError, match=rf"`words` must have shape \({LINES}, 8\)"):
        array.write(state, jnp.zeros(shape))
    with pytest.raises(InputError, match=rf"`step` must have shape \({LINES}, 8\)"):
        array.update(state, jnp.zeros(shape), key)


def test_raw_keys_are_refused(design, array, key):
    raw = jax.random.key_data(key)
    for attempt in (design.sample, design.init, lambda k: array.sense(init(array, key), k)):
        with pytest.raises(InputError, match="typed key"):
            attempt(raw)


# Transfers


def programmed(array, state):
    """(target, twin) conductances, given the words' signs of the `words` fixture."""
    pair = np.asarray(conductances(array, state))
    return lambda words: (
        np.where(np.signbit(words), pair[..., 1], pair[..., 0]),
        np.where(np.signbit(words), pair[..., 0], pair[..., 1]),
    )


def test_without_noise_each_code_lands_on_the_circuits_level(quiet, words, key):
    # the physical array (seven cells written, sensed, rewritten, pulsed) against the strategy's one merged
    # capacitor; a SET never lands below what RESET left, so code 0 reads at least G_reset
    state = transfer(quiet, write(quiet, init(quiet, key), words), key)
    target, twin = programmed(quiet, state)(words)
    levels = np.asarray(eqx.filter_jit(hybrid.CircuitTransfer.from_line)(quiet.line).levels())
    codes = np.abs(np.asarray(hybrid.truncate(words))).astype(int)
    np.testing.assert_allclose(target, np.maximum(levels, quiet.line.memristor.G_reset)[codes], rtol=0, atol=0.1)
    np.testing.assert_allclose(twin, quiet.line.memristor.G_reset, rtol=1e-5)


def test_the_idle_twin_is_what_a_reset_leaves(array, words, key):
    before = write(array, init(array, key), words)
    after = transfer(array, before, key)
    expected = array.line.memristor.reset(before.memristors).programmed
    idle = np.stack([np.signbit(words), ~np.signbit(words)], axis=-1)
    np.testing.assert_allclose(np.asarray(after.memristors.programmed)[idle], np.asarray(expected)[idle], rtol=1e-6)
    assert not np.any(np.asarray(after.memristors.programmed)[~idle] == np.asarray(expected)[~idle])


def test_words_survive_transfers(array, words, key):
    state = write(array, init(array, key), words)
    for event in range(3):
        state = transfer(array, state, jax.random.fold_in(key, event))
    assert_same_words(sense(array, state, key)[1], words)


def test_each_transfer_has_its_own_noise(array, words, key):
    state = transfer(array, write(array, init(array, key), words), key)
    again = transfer(array, state, key)
    a, b = (programmed(array, s)(words)[0] for s in (state, again))
    spread = np.std(b - a)
    # two independent draws of 8.7 uS each; the device's own part drops out of the difference
    np.testing.assert_allclose(spread, 8.7 * np.sqrt(2), rtol=4 / np.sqrt(2 * a.size))


# Counts and time


def test_an_update_and_a_transfer_count_what_the_ledger_says(array, words, key):
    words = jnp.where(words == 0, 1.0, words)  # +0 and a step of -0.0 would make +0
    updated = update(array, init(array, key), words, key)
    np.testing.assert_array_equal(updated.fecap_operations, SENSE_AND_WRITE)
    np.testing.assert_array_equal(updated.memristor_operations, 0)
    moved = transfer(array, updated, key)
    added = np.asarray(moved.fecap_operations - updated.fecap_operations)
    np.testing.assert_array_equal(added[..., 0], SIGN_TRANSFER)
    np.testing.assert_array_equal(added[..., 1:8], MSB_TRANSFER)
    np.testing.assert_array_equal(added[..., 8:], 0)
    target = np.stack([~np.signbit(words), np.signbit(words)], axis=-1)
    np.testing.assert_array_equal(moved.memristor_operations, np.where(target, TARGET_TRANSFER, TWIN_TRANSFER))
    assert (SENSE_AND_WRITE, SIGN_TRANSFER, MSB_TRANSFER, TARGET_TRANSFER, TWIN_TRANSFER) == (2, 2, 4, 2, 1)


def test_the_devices_counts_sum_to_the_networks(array, key):
    state = init(array, key)
    transfers, updates = 2, 3
    for event in range(updates):
        state = update(array, state, jnp.full((LINES, 8), 100.0), jax.random.fold_in(key, event))
        if event < transfers:
            state = transfer(array, state, jax.random.fold_in(key, event))
    network = count_network([np.full((LINES, 8), updates)], transfers)
    assert int(state.fecap_operations.sum()) == network.fecap_operations
    assert int(state.memristor_operations.sum()) == network.memristor_operations
    assert int(state.fecap_operations.max()) == network.worst_fecap_operations
    assert int(state.memristor_operations.max()) == network.worst_memristor_operations


def test_waiting_ages_memristors_and_keeps_words(array, words, key):
    state = transfer(array, write(array, init(array, key), words), key)
    aged = wait(array, state, MONTH)
    moved = np.asarray(conductances(array, aged) - conductances(array, state))
    # sigma_u sqrt(ln(1 + t/t_0)): 1 uS in a month, beside 3 % of loss
    assert 0.5 < np.std(moved) < 2.0
    assert_same_words(sense(array, aged, key)[1], words)
    np.testing.assert_array_equal(aged.fecap_operations, state.fecap_operations)
    np.testing.assert_array_equal(conductances(array, wait(array, state, 0.0)), conductances(array, state))
