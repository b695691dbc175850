"""Bit errors of words: closed forms, the circuit beneath, patterns bit by bit, and the pulsed array."""

import dataclasses
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import hfsim
from hfsim import InputError
from hfsim.circuits import ArrayRead, FloatingLine, SenseAmplifier, read_array
from hfsim.devices import Pulse
from hfsim.hybrid import CircuitCells, HybridArray, SensedCells, Sensing, WindowCells, sense
from hfsim.hybrid.cells import AbstractCells, woken_capacitor
from hfsim.hybrid.sensing import EVERY, LEADING, CellErrors, bit_errors
from hfsim.hybrid.words import word_bits, words_of_bits
from tests.hybrid_memories import SHAPES, absorb, make, normal, start, words

CELLS_OF_BITS = (1, 4, 2, 1, 1, 1, 1, 1, 1, 1)


@pytest.fixture(scope="module")
def card():
    return hfsim.load_card("cea-leti-2025-hybrid")


@pytest.fixture(scope="module")
def amplifier(card):
    return card.build(SenseAmplifier, "sense_amplifier")


@pytest.mark.parametrize(("window", "sigma", "off"), [(120.0, 31.0, 0.0), (90.0, 20.0, 0.02), (360.0, 31.0, 0.15)])
def test_the_rate_of_errors_is_that_of_gaussian_states(amplifier, window, sigma, off):
    sensing = Sensing(WindowCells(window=window, sigma=sigma, V_mid=float(amplifier.V_ref) + off), amplifier)
    errors = jax.jit(lambda s: s.cell_errors((40_000,), jax.random.key(0)))(sensing)
    total = np.sqrt(sigma**2 + 10.0**2 + 2.0**2)
    miss, false = norm.cdf((-window / 2 - 1e3 * off) / total), norm.cdf((-window / 2 + 1e3 * off) / total)
    # 5,000 latches are shared by 112 cells each
    assert float(jnp.mean(errors.miss)) == pytest.approx(miss, rel=0.05, abs=1e-5)
    assert float(jnp.mean(errors.false)) == pytest.approx(false, rel=0.05, abs=1e-5)
    assert float(errors.rate) == pytest.approx((miss + false) / 2, rel=0.05, abs=1e-5)


def test_cells_of_the_circuit_are_those_of_the_array_read(card):
    cells = CircuitCells.from_card(card, P_r_spread=0.3, cycles=1e8, temperature=358.0)
    found = cells.voltages(cells.charges((50,), jax.random.key(3)), jax.random.key(0))
    own = dataclasses.replace(woken_capacitor(card), P_r_spread=0.3).sample((50,), jax.random.key(3))
    line, pulse = card.build(FloatingLine, "bit_line", steps=8), card.build(Pulse, "write_pulse")
    seen = jax.jit(lambda c: read_array(line, c, pulse, pulse, cycles=1e8, temperature=358.0))(own)
    np.testing.assert_allclose(found.one, seen.one, atol=2e-4)
    np.testing.assert_allclose(found.zero, seen.zero, atol=2e-4)
    fresh, worn = (CircuitCells.from_card(card, cycles=n).voltages(jnp.ones(1), jax.random.key(0)) for n in (0.0, 1e8))
    # the card's fatigue halves P_r at 1e9 cycles with the exponent 0.7
    assert float(worn.windows[0] / fresh.windows[0]) == pytest.approx(1 / (1 + 0.1**0.7), abs=5e-3)
    assert float(fresh.zero[0]) == pytest.approx(0.144, abs=2e-3)  # its dielectric's share: 9.5/197.5 of 3 V


def test_independent_states_make_the_published_worst_window(amplifier):
    cells = WindowCells(window=360.0, sigma=42.7, V_mid=0.32)
    windows = jax.jit(lambda k: cells.voltages(jnp.ones((20, 16_384)), k).windows)(jax.random.key(0))
    # 20 worst cells scatter by 15 mV each
    assert 1e3 * float(jnp.mean(jnp.min(windows, axis=1))) == pytest.approx(120, abs=4 * 15 / np.sqrt(20))
    assert 1e3 * float(jnp.median(windows)) == pytest.approx(360, abs=1)


@pytest.mark.parametrize("kind", ["linear", "measured", "circuit"])
def test_what_a_cell_lacks_in_charge_its_level_lacks(card, amplifier, kind):
    # half of the cells are dead: the code on the line is that of the cells that are left
    sensing = Sensing(CircuitCells.from_card(card, P_r_spread=0.0), amplifier, dead=0.5)
    cells = eqx.filter_jit(lambda s: s.fabricate((300,), jax.random.key(0)))(sensing)
    left = np.asarray(cells.charge * jnp.array([[4.0], [2.0], [1.0]]))
    np.testing.assert_allclose(left, np.round(left), atol=1e-5)
    assert len(np.unique(np.round(left[0]))) == 5
    transfer = hfsim.hybrid.transfer(card, kind)

    @jax.jit
    def levels(words):
        devices = transfer.fabricate(words.shape, jax.random.key(1), cells.charge)
        return transfer.target(jnp.full(words.shape, 7.0), jnp.zeros(words.shape, bool), devices, jax.random.key(2))

    mean = np.asarray(transfer.levels())[np.round(left.sum(axis=0)).astype(int)]
    off = np.asarray(levels(jnp.zeros(300))) - mean
    spread = 0.0 if kind == "linear" else 8.7
    assert np.abs(off.mean()) < 4 * spread / np.sqrt(300) + 0.05
    assert off.std() == pytest.approx(spread, rel=0.2, abs=0.05)


def test_a_bit_of_many_cells_reads_what_half_of_them_say():
    rng = np.random.default_rng(0)
    miss, false = rng.uniform(0, 1, (2, 14))
    found = bit_errors(CellErrors(jnp.asarray(miss), jnp.asarray(false)))
    place = 0
    for bit, number in enumerate(CELLS_OF_BITS):
        expected = {}
        for name, one in (("miss", 1 - miss[place : place + number]), ("false", false[place : place + number])):
            expected[name] = sum(
                np.prod(np.where(says, one, 1 - one))
                for says in itertools.product((0, 1), repeat=number)
                if 2 * sum(says) >= number
            )
        assert float(found.miss[bit]) == pytest.approx(1 - expected["miss"], abs=1e-6)
        assert float(found.false[bit]) == pytest.approx(expected["false"], abs=1e-6)
        place += number


def _patterns(ones=0, zeros=0, doubtful=0, miss=0.0, false=0.0, shape=(1023,)):
    whole = (jnp.full(shape, x, jnp.int32) for x in (ones, zeros, doubtful))
    return SensedCells(*whole, jnp.full(shape, miss), jnp.full(shape, false), jnp.ones((3, *shape)), jnp.asarray(0.0))


def _every_word():
    positive = jnp.arange(512.0)
    return jnp.concatenate([positive, -positive])[: 2 * 512 - 1]


@pytest.mark.parametrize("bits", [EVERY, LEADING])
def test_masks_act_bit_by_bit(bits):
    stored = _every_word()
    read = sense(stored, _patterns(ones=0b1000100001, zeros=0b0010000010), jnp.zeros(stored.shape), bits)
    expected = np.asarray(word_bits(stored)).copy()
    for bit, value in ((0, 1), (4, 1), (9, 1), (2, 0), (8, 0)):
        if bits == EVERY or bit < 4:
            expected[:, bit] = value
    expected = np.asarray(words_of_bits(jnp.asarray(expected)))
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_array_equal(np.signbit(read), np.signbit(expected))


def test_what_a_soft_mask_leaves_between_two_words_is_kept():
    stored = jnp.asarray([3.7, -3.7, 0.25, -0.25])
    np.testing.assert_array_equal(sense(stored, _patterns(shape=(4,)), jnp.zeros(4)), stored)
    np.testing.assert_allclose(
        sense(stored, _patterns(zeros=0b10, shape=(4,)), jnp.zeros(4)), [1.7, -1.7, 0.25, -0.25], atol=1e-6
    )


def test_the_bit_in_doubt_errs_as_often_as_its_cell():
    stored = jnp.concatenate([jnp.full(50_000, 5.0), jnp.full(50_000, 1.0)])
    uniform = jax.random.uniform(jax.random.key(0), stored.shape)
    read = sense(stored, _patterns(doubtful=4, miss=0.3, false=0.1, shape=stored.shape), uniform)
    assert float(jnp.mean(read[:50_000] == 1.0)) == pytest.approx(0.3, abs=0.01)
    assert float(jnp.mean(read[50_000:] == 5.0)) == pytest.approx(0.1, abs=0.01)
    assert set(np.unique(read)) == {1.0, 5.0}


def test_what_was_fabricated_says_what_its_cells_do(amplifier):
    # a window of 120 mV: most words have a bit in doubt, many a stuck one
    sensing = Sensing(WindowCells(window=120.0, sigma=31.0, V_mid=float(amplifier.V_ref)), amplifier, dead=0.02)
    shape, key = (200,), jax.random.key(1)
    errors, cells = bit_errors(sensing.cell_errors(shape, key)), sensing.fabricate(shape, key)
    reads = 2000
    uniform = jax.random.uniform(jax.random.key(2), (reads, *shape))
    for stored, chance in ((0.0, errors.false), (-511.0, 1 - errors.miss)):
        found = jax.vmap(lambda u, w=stored: word_bits(sense(jnp.full(shape, w), cells, u)))(uniform)
        ones = np.mean(found, axis=0)
        # only the bit most in doubt is drawn; others are cut to 0 or 1, and 'neglected' is their mean doubt
        off = np.abs(ones - np.asarray(chance))
        assert np.mean(off) < 2 * float(cells.neglected) + 4 * 0.5 / np.sqrt(reads)
    assert 0 < float(cells.neglected) < 2e-3


def test_errors_have_no_gradient_and_leave_that_of_the_word():
    cells = _patterns(ones=1, shape=(4,))
    stored = jnp.asarray([2.0, -8.0, 3.0, 0.0])
    slope = jax.grad(lambda w: jnp.sum(sense(w, cells, jnp.zeros(4)) * jnp.arange(4.0)))(stored)
    np.testing.assert_array_equal(slope, np.arange(4.0))


class _Seen(AbstractCells):
    """Voltages as they are given."""

    seen: ArrayRead

    def charges(self, shape, key):
        return jnp.ones(shape)

    def voltages(self, charges, key):
        return jax.tree.map(lambda v: v.reshape(charges.shape), self.seen)


def test_words_are_sensed_as_by_the_pulsed_array(card):
    # cells of very different remanence: some of them cannot reach the reference
    array = HybridArray.from_card(card, lines=4)
    array = eqx.tree_at(lambda a: a.capacitor.P_r_spread, array, jnp.asarray(0.4)).sample(jax.random.key(5))
    quiet = eqx.tree_at(lambda a: (a.sigma_os, a.sigma_n), array.amplifier, (jnp.asarray(0.0), jnp.asarray(1e-3)))
    array = dataclasses.replace(array, amplifier=eqx.tree_at(lambda a: a.V_os, quiet, jnp.asarray(0.0)))
    shape = (array.lines, array.synapses_per_line)
    stored = jnp.asarray(np.random.default_rng(0).integers(-511, 512, shape), float)

    @jax.jit
    def pulsed(words):
        state = array.write(array.init(jax.random.key(0)), words)
        return array.sense(state, jax.random.key(1))[1]

    flat = eqx.tree_at(lambda c: c.P_r, array.capacitor, array.capacitor.P_r.reshape(-1))
    seen = jax.jit(lambda c: read_array(array.bit_line, c, array.write_pulse, array.write_pulse))(flat)
    cells = Sensing(_Seen(seen), array.amplifier).fabricate(shape, jax.random.key(0))
    read = sense(stored, cells, jnp.full(shape, 0.5))
    np.testing.assert_array_equal(read, pulsed(stored))
    assert float(jnp.mean(read != stored)) > 0.2


def _sensing(amplifier, window, **changes):
    return Sensing(WindowCells(window=window, sigma=31.0, V_mid=float(amplifier.V_ref)), amplifier, **changes)


def test_a_memory_that_reads_well_is_the_memory_without_errors(amplifier):
    params = normal(0, SHAPES, 0.3)
    plain, sensed = make("linear"), make("linear", sensing=_sensing(amplifier, 1000.0))
    rng = np.random.default_rng(1)
    factors = tuple(
        hfsim.learning.Factors(*(jnp.asarray(rng.normal(size=(30, n)), float) for n in shape))
        for shape in SHAPES.values()
    )
    ends = [absorb(m, start(m, params)[1], factors, jnp.ones(30, bool)) for m in (plain, sensed)]
    for a, b in zip(*(words(end) for end in ends), strict=True):
        np.testing.assert_array_equal(a, b)


def test_updates_and_transfers_write_back_what_they_read(amplifier):
    # every cell dead: a word reads +0 where it is updated, and its leading bits read +0 at a transfer
    memory = make("linear", sensing=_sensing(amplifier, 360.0, dead=1.0), probability=0.5)
    params = {name: jnp.full(shape, 300.0 / 512) for name, shape in SHAPES.items()}
    read_out, state = start(memory, params)
    assert all(float(jnp.max(jnp.abs(leaf))) == 0 for leaf in read_out.values())
    for stored in words(state):
        np.testing.assert_array_equal(stored, 300 % 64)  # the transfer does not sense the LSBs
    zero = tuple(hfsim.learning.Factors(jnp.zeros((1, a)), jnp.zeros((1, b))) for a, b in SHAPES.values())
    moved = absorb(memory, state, zero, jnp.ones(1, bool))
    for stored, memory_of in zip(words(moved), moved.weights, strict=True):
        np.testing.assert_array_equal(stored, np.where(np.asarray(memory_of.updates) == 1, 0, 300 % 64))


@pytest.mark.parametrize(("name", "value"), [("cycles", -1.0), ("temperature", -5.0), ("temperature", float("nan"))])
def test_cells_of_impossible_conditions_are_refused(card, name, value):
    with pytest.raises(InputError, match=name):
        CircuitCells.from_card(card, **{name: value})


def test_what_is_no_sensing_is_refused():
    with pytest.raises(InputError, match="sensing.*be a Sensing or None"):
        make("linear", sensing=0.1)
