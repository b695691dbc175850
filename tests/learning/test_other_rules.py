"""Tiki-Taka v1, mixed precision, one-sided pairs, scales, reads of rows, and what all rules share.

Ideal devices make the rules' identities exact to rounding; each is compared with numpy or with a closed form.
"""

import os
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import flax.nnx as nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hfsim
from hfsim.circuits.converters import ADC, DAC
from hfsim.crossbar.encoding import SingleEnded
from hfsim.crossbar.kernel import Kernel
from hfsim.devices.pulsed import AdditiveNoise, ConstantStep, PiecewiseStep, SoftBounds, StepTable, WeightDecay
from hfsim.devices.retention import CMORetention
from hfsim.draws import address, stream
from hfsim.errors import InputError
from hfsim.learning import (
    AGAD,
    AutoScale,
    DeterministicTrain,
    Factors,
    FixedScale,
    MeanCount,
    MixedPrecision,
    OneSided,
    PulsedSGD,
    PulsedSynapse,
    RowRead,
    TikiTaka,
)
from hfsim.learning.factors import factors_of
from hfsim.learning.rows import row_of, with_row

INPUTS, OUTPUTS = 5, 4
DW = 2.0**-9
WIDE = {"w_min": -8.0, "w_max": 8.0, "G_0": 1000.0, "g": 100.0}
WINDOW = {"w_min": -1.0, "w_max": 1.0, "G_0": 48.6, "g": 39.6}
QUIET = AdditiveNoise(0.0)
IDEAL = PulsedSynapse(ConstantStep(dw_min=DW, up_down=0.0, **WIDE, noise=QUIET))
CMO = PulsedSynapse(SoftBounds(dw_min=0.0956, up_down=-0.22, **WINDOW, noise=AdditiveNoise(0.86), w_ref=-0.22))
KEY = jax.random.key(5)


def factors(samples, seed=0, drift=0.0, inputs=INPUTS, outputs=OUTPUTS):
    rng = np.random.default_rng(seed)
    x, delta = rng.normal(size=(samples, inputs)) + drift, 0.5 * rng.normal(size=(samples, outputs)) + drift
    return Factors(jnp.asarray(x, jnp.float32), jnp.asarray(delta, jnp.float32))


@eqx.filter_jit
def started(rule, w):
    return rule.init((w,))


@eqx.filter_jit
def updated(rule, state, params, given):
    change, state = rule.update(None, state, params, factors=[given])
    return jax.tree.map(jnp.add, params, change), state


@eqx.filter_jit
def learned(rule, state, given, batch):
    """(state, weights after each batch) of all factors."""
    parts = jax.tree.map(lambda f: f.reshape(-1, batch, f.shape[-1]), given)

    def one(carry, part):
        state, params = carry
        change, state = rule.update(None, state, params, factors=[part])
        params = jax.tree.map(jnp.add, params, change)
        return (state, params), params[0]

    (state, _), weights = jax.lax.scan(one, (state, (rule.weight(state.arrays[0]),)), parts)
    return state, weights


def zeros(value=0.0):
    return jnp.full((INPUTS, OUTPUTS), value, jnp.float32)


def gradients(given, batch=1):
    """Cumulative sums of outer products after each batch, float64."""
    x, delta = (np.asarray(side, np.float64).reshape(-1, batch, side.shape[-1]) for side in given)
    return np.cumsum(np.einsum("bni,bnj->bij", x, delta), axis=0)


# ----------------------------------------------------------------------------------------- mixed precision


def test_mixed_precision_is_sgd_to_a_granule_and_loses_nothing():
    # 500 batches on an ideal device: w + X is floating-point SGD, and X stays below a granule
    rule = MixedPrecision(IDEAL, key=KEY, learning_rate=0.003, most_pulses=100)
    given = factors(2000)
    state, weights = learned(rule, started(rule, zeros(0.25)), given, 4)
    exact = 0.25 - 0.003 * gradients(given, 4)
    assert np.abs(np.asarray(weights) - exact).max() < DW * 1.001
    array = state.arrays[0]
    np.testing.assert_allclose(array.accumulator + array.array.devices.device.w, exact[-1], atol=2e-5)
    assert np.abs(array.accumulator).max() < DW
    assert np.abs(exact[-1] - 0.25).max() > 50 * DW
    moved = np.abs(np.diff(np.asarray(weights), axis=0, prepend=0.25)).sum(axis=0) / DW
    np.testing.assert_allclose(array.array.pulses, moved, atol=1e-3)


def test_mixed_precision_sends_in_its_turn_and_no_more_than_it_may():
    given = factors(64, drift=0.5)
    rule = MixedPrecision(IDEAL, key=KEY, learning_rate=0.05, transfer_every=3, most_pulses=2)
    state, weights = learned(rule, started(rule, zeros()), given, 4)
    steps = np.diff(np.asarray(weights), axis=0, prepend=0.0) / DW
    turns = (np.arange(1, 17) % 3) == 0
    assert not np.any(steps[~turns]) and np.all(np.abs(steps[turns]) <= 2) and np.abs(steps[turns]).max() == 2
    array = state.arrays[0]
    np.testing.assert_allclose(
        array.accumulator + array.array.devices.device.w, -0.05 * gradients(given)[-1], rtol=1e-5
    )
    assert int(array.batches) == 16


def test_devices_rest_until_mixed_precision_pulses_them():
    retention = CMORetention.from_card(hfsim.load_card("cmo-hfox-2025"), clip=False)
    synapse = PulsedSynapse(CMO.device, retention)
    rule = MixedPrecision(synapse, key=KEY, learning_rate=0.1, transfer_every=2)
    state = started(rule, zeros(0.3))
    params, state = eqx.filter_jit(lambda s: rule.wait((zeros(),), s, 100.0))(state)
    same, state = updated(rule, state, params, factors(1))
    assert float(state.arrays[0].array.devices.rest.clock.seconds) == 100.0
    np.testing.assert_allclose(same[0], params[0], atol=3e-7)
    _, state = updated(rule, state, same, factors(1))
    assert float(state.arrays[0].array.devices.rest.clock.seconds) == 0.0


# -------------------------------------------------------------------------------------------- Tiki-Taka v1


def test_tiki_taka_is_its_equations():
    # deterministic trains: C gets round(31 p 31 q/31) pulses towards v, with the rate r = lr/(dw_C dw_A s)
    dw_a, strength, gamma = 2.0**-8, 8.0, 0.375
    fast = PulsedSynapse(ConstantStep(dw_min=dw_a, up_down=0.0, **WIDE, noise=QUIET))
    train = DeterministicTrain(bits=31, balanced=False, adaptive=False)
    rule = TikiTaka(
        fast, IDEAL, key=KEY, learning_rate=2.0**-11, scale=FixedScale(strength * dw_a), train=train, gamma=gamma
    )
    given = factors(300, drift=0.2)
    state, weights = learned(rule, started(rule, zeros(0.5)), given, 10)

    def counts(x, delta, s):
        n = [np.round(np.minimum(np.abs(v) * np.float32(np.sqrt(s / 31)), 1.0) * 31).astype(int) for v in (x, delta)]
        return -np.sign(x[:, None] * delta) * ((2 * n[0][:, None] * n[1] + 31) // 62)

    A, C = np.zeros((INPUTS, OUTPUTS)), np.full((INPUTS, OUTPUTS), 0.5)
    rate = 2.0**-11 / (dw_a * DW * strength)
    x, delta = (np.asarray(side) for side in given)
    for b in range(300):
        A += dw_a * counts(x[b], delta[b], np.float32(strength))
        row = b % INPUTS
        C[row] += DW * np.clip(counts(np.ones(1), -A[row], np.float32(rate))[0], -10, 10)
    array = state.arrays[0]
    np.testing.assert_array_equal(array.fast.devices.device.w, A)
    np.testing.assert_array_equal(array.slow.devices.device.w, C)
    np.testing.assert_allclose(weights[-1], C + gamma * A, rtol=1e-6)
    assert np.abs(C - 0.5).max() > 20 * DW and np.abs(gamma * A).max() > 0.1


def test_a_rest_ages_both_arrays():
    decay = WeightDecay(tau=100.0, w_0=0.0, D=0.0, E_a=0.0)
    slow = PulsedSynapse(ConstantStep(dw_min=DW, up_down=0.0, **WIDE, noise=QUIET, decay=decay))
    fast = PulsedSynapse(
        ConstantStep(
            dw_min=DW, up_down=0.0, **WIDE, noise=QUIET, decay=eqx.tree_at(lambda d: d.tau, decay, jnp.float32(50.0))
        )
    )
    rule = TikiTaka(fast, slow, key=KEY, learning_rate=0.01, gamma=1.0, train=MeanCount())
    state, _ = learned(rule, started(rule, zeros(0.5)), factors(30, drift=0.5), 10)
    A, C = fast.weight(state.arrays[0].fast.devices), slow.weight(state.arrays[0].slow.devices)
    aged, _ = eqx.filter_jit(lambda s: rule.wait((zeros(),), s, 25.0))(state)
    np.testing.assert_allclose(aged[0], C * np.exp(-0.25) + A * np.exp(-0.5), rtol=2e-6)
    assert float(jnp.abs(A).max()) > 0.05


# ------------------------------------------------------------------------------------------ one-sided pairs


def pair_of(rule, plus, minus):
    """A state whose devices read `plus` and `minus`, next batch due."""
    state = started(rule, jnp.zeros_like(plus))

    def put(side, w):
        return side._replace(devices=rule.synapse.place(side.devices, w))

    pair = state.arrays[0]
    pair = pair._replace(plus=put(pair.plus, plus), minus=put(pair.minus, minus))
    return state._replace(arrays=(pair,))


def test_a_pair_only_goes_up_and_is_the_difference():
    rule = OneSided(IDEAL, key=KEY, learning_rate=0.02, full=1.0, train=MeanCount())
    state, weights = learned(rule, started(rule, zeros(0.25)), factors(64), 4)
    pair = state.arrays[0]
    plus, minus = (IDEAL.weight(side.devices) for side in (pair.plus, pair.minus))
    np.testing.assert_allclose(plus, -8 + 0.25 + DW * np.asarray(pair.plus.pulses), atol=1e-5)
    np.testing.assert_allclose(minus, -8 + DW * np.asarray(pair.minus.pulses), atol=1e-5)
    np.testing.assert_allclose(weights[-1], plus - minus, atol=1e-6)
    # the mean of SGD, to the rounding of mean counts: at most 1/4 of a pulse squared a sample
    np.testing.assert_allclose(weights[-1], 0.25 - 0.02 * gradients(factors(64))[-1], atol=4 * np.sqrt(64 / 4) * DW)
    assert np.all(np.asarray(pair.plus.pulses) > 0) and np.all(np.asarray(pair.minus.pulses) > 0)
    np.testing.assert_array_equal(pair.refreshes, 0)


@pytest.mark.parametrize(
    ("device", "below", "above"),
    [
        (ConstantStep(dw_min=0.01, up_down=0.0, **WINDOW, noise=QUIET), 1.0, 0.0),
        # a step is up to twice dw_min at the lower bound and vanishes at the upper one
        (SoftBounds(dw_min=0.02, up_down=0.0, **WINDOW, noise=QUIET), 1.0, 1.0),
        (SoftBounds(dw_min=0.02, up_down=0.5, **WINDOW, noise=QUIET), 1.0, 2.0),
    ],
    ids=["constant", "soft bounds", "steep"],
)
def test_a_refresh_keeps_the_difference_and_lowers_both(device, below, above):
    rng = np.random.default_rng(0)
    shape = (20, 25)
    plus, minus = (jnp.asarray(rng.uniform(-0.9, 0.3, shape), jnp.float32) for _ in range(2))
    synapse = PulsedSynapse(device)
    rule = OneSided(synapse, key=KEY, learning_rate=0.1, full=0.5, rounds=12)
    nothing = Factors(jnp.zeros((1, 20)), jnp.zeros((1, 25)))
    state = pair_of(rule, plus, minus)
    before = rule.weight(state.arrays[0])
    (after,), state = updated(rule, state, (before,), nothing)
    pair, due = state.arrays[0], np.maximum(plus, minus) > 0.0
    np.testing.assert_array_equal(pair.refreshes, due.astype(int))
    assert 0.2 < due.mean() < 0.6
    off = np.asarray((after - before) * jnp.sign(before) / device.dw_min)[due]
    assert off.min() > -below - 1e-3 and off.max() < above + 1e-3
    lower, higher = (
        f(*(np.asarray(synapse.weight(side.devices)) for side in pair[:2])) for f in (np.minimum, np.maximum)
    )
    np.testing.assert_allclose(lower[due], -1.0, atol=1e-6)
    assert np.all(higher[due] <= np.maximum(plus, minus)[due] + 2 * 0.03)
    # the others are left alone, to the bit
    for side, w in ((pair.plus, plus), (pair.minus, minus)):
        np.testing.assert_array_equal(np.asarray(synapse.weight(side.devices))[~due], np.asarray(w)[~due])


def test_a_refresh_in_its_turn_leaves_the_write_noise_of_others_alone():
    synapse = eqx.tree_at(
        lambda s: s.device.sigma_write,
        PulsedSynapse(SoftBounds(dw_min=0.02, up_down=0.0, **WINDOW, noise=QUIET)),
        jnp.float32(0.05),
    )
    rule = OneSided(synapse, key=KEY, learning_rate=0.3, full=0.6, refresh_every=4, train=MeanCount())
    state, weights = learned(rule, started(rule, zeros(-0.1)), factors(15), 1)
    kept = state.arrays[0]
    assert np.all(np.asarray(kept.refreshes) <= 3) and np.any(np.asarray(kept.plus.devices.device.error))
    # batch 16 is due; nothing is pulsed, so what is not refreshed stays as it was, error and all
    nothing = jax.tree.map(lambda f: 0 * f[:1], factors(15))
    _, after = updated(rule, state, (weights[-1],), nothing)
    same = np.asarray(after.arrays[0].refreshes == kept.refreshes)
    assert 0.1 < same.mean() < 1.0
    for one, two in ((kept.plus, after.arrays[0].plus), (kept.minus, after.arrays[0].minus)):
        np.testing.assert_array_equal(one.devices.device.w[same], two.devices.device.w[same])
        np.testing.assert_array_equal(one.devices.device.error[same], two.devices.device.error[same])


# ----------------------------------------------------------------------------------------- reads and devices


def test_reads_are_counted_by_samples():
    given = factors(13)
    for rule, rows in (
        (PulsedSGD(IDEAL, key=KEY, learning_rate=0.1), 0),
        (TikiTaka(IDEAL, IDEAL, key=KEY, learning_rate=0.1, transfer_every=3), 4),
    ):
        state, _ = learned(rule, started(rule, zeros()), given, 13)
        assert [tuple(map(int, reads)) for reads in rule.reads(state)] == [(26, rows)]


FOUR_DEVICES = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec as P
import hfsim
from hfsim.learning import AGAD, Factors, PulsedSynapse

assert jax.device_count() == 4
mesh = jax.make_mesh((4,), ("chips",), axis_types=(jax.sharding.AxisType.Auto,))
devices = PulsedSynapse.from_card(hfsim.load_card("cmo-hfox-2025-pulsed"))
rule = AGAD(devices, devices, key=jax.random.key(0), learning_rate=0.5, reads_per_period=2)
weights = jnp.zeros((8, 6, 4))  # eight chips
x, delta = jax.random.normal(jax.random.key(1), (40, 8, 6)), jax.random.normal(jax.random.key(2), (40, 8, 4))
run = jax.jit(lambda w, x, delta: rule.update(None, rule.init([w]), [w], factors=[Factors(x, delta)])[0][0])
one = np.asarray(run(weights, x, delta))
place = NamedSharding(mesh, P("chips"))
factors = [jax.device_put(side, NamedSharding(mesh, P(None, "chips"))) for side in (x, delta)]
many = run(jax.device_put(weights, place), *factors)
np.testing.assert_array_equal(np.asarray(many), one)
assert np.abs(one).max() > 0 and len({part.tobytes() for part in one}) == 8
few = run(weights[:2], x[:, :2], delta[:, :2])
np.testing.assert_array_equal(np.asarray(few), one[:2])
print("equal", len(many.sharding.device_set))
"""


def test_chips_learn_the_same_to_the_bit_on_any_number_of_devices():
    root = Path(__file__).parents[2]
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    environment = {**os.environ, "XLA_FLAGS": flags.strip(), "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", FOUR_DEVICES], cwd=root, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.startswith("equal"), done.stderr


# -------------------------------------------------------------------------------------------------- scales


def test_a_fixed_scale_is_a_learning_rate_over_the_granularity():
    memory, strength = FixedScale(0.3).strengths(FixedScale(0.3).start(), factors(7), 0.02, 10)
    np.testing.assert_allclose(strength.now, np.full(7, 15.0), rtol=1e-6)
    np.testing.assert_allclose(strength.walk, np.arange(1, 8) / 10 / 15.0**2, rtol=1e-5)
    assert memory[0] == strength.walk[-1]


def test_an_auto_scale_gives_its_pulses_between_two_reads():
    scale, given = AutoScale(pulses=4.0, memory=6.0), factors(30)
    memory, strength = jax.jit(lambda f: scale.strengths(scale.start(), f, 0.02, 8))(given)
    total, wanted = np.zeros(3), []
    for x, delta in zip(*map(np.asarray, given), strict=True):
        total = total * (1 - 1 / 6) + [1.0, np.abs(x).mean(), np.abs(delta).mean()]
        wanted.append(4.0 / (8 * total[1] / total[0] * total[2] / total[0]))
    np.testing.assert_allclose(strength.now, wanted, rtol=1e-5)
    np.testing.assert_allclose(memory[:3], total, rtol=1e-5)
    # a memory of one sample: each gives a half of a pulse in the mean over devices, from the first on, at any size
    for size in (1e-4, 1.0, 1e3):
        sized = jax.tree.map(lambda f, s=size: s * f, given)
        own = AutoScale(pulses=4.0, memory=1.0).strengths(scale.start(), sized, 1.0, 8)[1].now
        product = np.abs(sized.x).mean(axis=1) * np.abs(sized.delta).mean(axis=1)
        np.testing.assert_allclose(own * product, 0.5, rtol=1e-4)


def test_a_rule_pulses_its_fast_array_as_often_as_its_scale_says():
    # n pulses for a device from one read of its row to the next, transfers being every second sample
    rule = TikiTaka(
        IDEAL, IDEAL, key=KEY, learning_rate=0.0, scale=AutoScale(pulses=6.0), train=MeanCount(), transfer_every=2
    )
    state, _ = learned(rule, started(rule, zeros()), factors(200), 10)
    reads = 200 / 2 / INPUTS
    assert float(jnp.mean(state.arrays[0].fast.pulses)) == pytest.approx(6.0 * reads, rel=0.03)


def test_a_scale_does_not_depend_on_the_split_of_a_batch():
    scale, given = AutoScale(memory=5.0), factors(12)
    run = jax.jit(lambda m, f: scale.strengths(m, f, 1.0, 5))
    memory, whole = run(scale.start(), given)
    parts, kept = [], scale.start()
    for first in range(0, 12, 3):
        kept, part = run(kept, jax.tree.map(lambda f, a=first: f[a : a + 3], given))
        parts.append(part)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    np.testing.assert_array_equal(kept, memory)


def test_a_scale_survives_samples_without_a_gradient():
    scale, none = AutoScale(), Factors(jnp.ones((2, 3)), jnp.zeros((2, 4)))
    memory, strength = scale.strengths(scale.start(), none, 1.0, 5)
    assert np.all(np.isfinite(strength)) and np.all(np.isfinite(strength.now)) and np.all(np.isfinite(memory))

    def walk(pulses):
        own = AutoScale(pulses=pulses, memory=scale.memory)
        return own.strengths(scale.start(), none, 1.0, 5)[1].walk

    assert np.all(jax.jvp(walk, (jnp.asarray(5.0),), (jnp.asarray(1.0),))[1] == 0)


@pytest.mark.parametrize("broken", [jnp.inf, jnp.nan])
def test_a_sample_that_is_not_finite_is_left_out_of_a_scale(broken):
    scale, given = AutoScale(memory=5.0), factors(12)
    spoilt = given._replace(delta=given.delta.at[6, 2].set(broken))
    memory, strength = scale.strengths(scale.start(), spoilt, 1.0, 5)
    assert np.all(np.isfinite(memory)) and np.all(np.isfinite(strength))
    np.testing.assert_array_equal(strength.inverse[:6], scale.strengths(scale.start(), given, 1.0, 5)[1].inverse[:6])
    assert strength.inverse[6] == pytest.approx(float(strength.inverse[5]), rel=1e-6)


def test_no_sample_is_too_small_for_the_walk():
    # a hundredth of what a float32 of this size resolves, a hundred thousand times
    scale, interval = FixedScale(1.0), 10
    begun = jnp.asarray([1.0, 0.0])
    share = np.float32(6e-10)
    given = Factors(jnp.ones((100_000, 1)), jnp.ones((100_000, 1)))
    memory, strength = jax.jit(lambda m, f: scale.strengths(m, f, np.sqrt(share * interval), interval))(begun, given)
    assert float(memory[0]) - 1 == pytest.approx(6e-5, rel=1e-2)
    assert np.all(np.diff(strength.walk) >= 0)


# -------------------------------------------------------------------------------------------- reads of rows


def test_a_read_of_a_row_has_its_noise_and_its_converter():
    w = jnp.linspace(-0.91, 0.87, 7)
    np.testing.assert_array_equal(RowRead()(w, KEY), w)
    noisy = np.asarray(jax.vmap(lambda k: RowRead(sigma=0.07)(w, k))(jax.random.split(KEY, 4000)) - w, np.float64)
    assert noisy.std() == pytest.approx(0.07, rel=4 / np.sqrt(2 * noisy.size))
    assert abs(noisy.mean()) < 4 * 0.07 / np.sqrt(noisy.size)
    # full scale is 39.6 uS x 0.2 V = 7.92 uA; 5 bits have 15 codes on either side
    kernel = Kernel(SingleEnded(9.0, 88.2), DAC(bits=None), ADC(bits=None, range=7.92), V_read=0.2)
    np.testing.assert_allclose(RowRead(kernel=kernel)(w, KEY), w, atol=2e-6)
    coarse = Kernel(SingleEnded(9.0, 88.2), DAC(bits=None), ADC(bits=5, range=7.92), V_read=0.2)
    np.testing.assert_allclose(RowRead(kernel=coarse)(w, KEY), np.round(15 * np.asarray(w)) / 15, atol=1e-6)


def test_a_row_is_cut_from_all_that_is_of_the_devices():
    # also where a table has its nodes first, and as many of them as the array has inputs
    shape = (3, 3)
    place = jnp.arange(9.0).reshape(shape)
    tree = {
        "w": place,
        "table": jnp.stack([place, 10 + place, 20 + place]),
        "scalar": jnp.float32(7.0),
        "list": jnp.ones(3),
    }
    part = row_of(tree, shape, jnp.int32(1))
    np.testing.assert_array_equal(part["w"], place[1:2])
    np.testing.assert_array_equal(part["table"][:, 0], jnp.stack([place[1], 10 + place[1], 20 + place[1]]))
    assert part["table"].shape == (3, 1, 3) and part["scalar"] == 7.0 and part["list"].shape == (3,)
    back = with_row(
        tree,
        {"w": -part["w"], "table": -part["table"], "scalar": jnp.float32(8.0), "list": 2 * jnp.ones(3)},
        shape,
        jnp.int32(1),
    )
    np.testing.assert_array_equal(back["w"], place.at[1].multiply(-1))
    np.testing.assert_array_equal(back["table"], tree["table"].at[:, 1].multiply(-1))
    assert back["scalar"] == 8.0


def test_devices_of_a_row_are_their_own_where_parameters_are_spread():
    # a step table and a granularity of each device: a transfer pulses row i with the parameters of row i
    rng = np.random.default_rng(0)
    shape = (3, 4)
    up, down = (jnp.asarray(rng.uniform(0.5, 1.5, (2, *shape)), jnp.float32) for _ in range(2))
    granules = jnp.asarray(rng.uniform(0.01, 0.03, shape), jnp.float32)
    slow = PulsedSynapse(PiecewiseStep(dw_min=granules, up_down=0.0, **WINDOW, noise=QUIET, table=StepTable(up, down)))
    rule = AGAD(IDEAL, slow, key=KEY, learning_rate=0.5, train=MeanCount(), reads_per_period=1, ceiling=1e6)
    given = factors(24, drift=0.5, inputs=3)
    state, _ = learned(rule, started(rule, jnp.zeros(shape)), given, 8)
    pulses = np.asarray(state.arrays[0].slow.pulses)
    assert np.all(pulses > 0)
    assert np.all(np.isfinite(state.arrays[0].slow.devices.device.w))
    # devices that got one pulse moved by their own step at w = 0, where the table's nodes at -1 and 1 have equal parts
    once = pulses == 1
    moved = np.asarray(state.arrays[0].slow.devices.device.w)
    steps = granules * jnp.where(moved > 0, up.mean(axis=0), down.mean(axis=0))
    if once.any():
        np.testing.assert_allclose(np.abs(moved)[once], steps[once], rtol=1e-5)
    single = TikiTaka(IDEAL, slow, key=KEY, learning_rate=1.0, most_pulses=1, train=DeterministicTrain())
    state, _ = learned(single, started(single, jnp.zeros(shape)), factors(4, drift=0.8, inputs=3)._replace(), 4)
    pulses, moved = (np.asarray(a) for a in (state.arrays[0].slow.pulses, state.arrays[0].slow.devices.device.w))
    steps = np.asarray(granules * jnp.where(moved > 0, up.mean(axis=0), down.mean(axis=0)))
    assert np.sum(pulses == 1) >= 4
    np.testing.assert_allclose(np.abs(moved)[pulses == 1], steps[pulses == 1], rtol=1e-5)


# ----------------------------------------------------------------------------------------- what rules share


def test_factors_are_those_of_the_leaves():
    leaves = [jnp.zeros((5, 4)), jnp.zeros((2, 3, 4))]
    one, group = factors(6), Factors(jnp.ones((7, 6, 2, 3)), jnp.ones((7, 6, 2, 4)))
    found = factors_of({"a": one, "b": group}, leaves)
    assert found[0].x.shape == (6, 5) and found[1].x.shape == (42, 2, 3) and found[1].delta.shape == (42, 2, 4)
    for wrong, message in (
        ([one], "`factors` must hold one Factors for each of 2"),
        ([one, group.x], "`factors` must hold one Factors"),
        ([one, Factors(group.x[..., 0, :], group.delta)], "`factors.x` must have shape"),
        ([Factors(one.x, one.delta[:, :3]), group], "`factors.delta` must have shape"),
        ([Factors(one.x[0], one.delta[0]), group], "`factors.x` must have shape"),
    ):
        with pytest.raises(InputError, match=message):
            factors_of(wrong, leaves)


def test_updates_without_what_they_need_are_refused():
    rule = PulsedSGD(synapse=IDEAL, key=KEY, learning_rate=0.1)
    state = started(rule, zeros())
    with pytest.raises(InputError, match="`params` must be given"):
        rule.update(None, state)
    with pytest.raises(InputError, match="`factors` must be given: pulses come from x and delta"):
        rule.update(None, state, (zeros(),))
    for params in ((), (jnp.zeros(3),), (jnp.zeros((2, 2), int),)):
        with pytest.raises(InputError, match="`params` must be a tree of matrices of floats"):
            rule.init(params)
    with pytest.raises(InputError, match="`key` must be a typed key"):
        PulsedSGD(synapse=IDEAL, key=jax.random.PRNGKey(0), learning_rate=0.1).init((zeros(),))
    for kind, names in (
        (MixedPrecision, ("transfer_every", "most_pulses")),
        (OneSided, ("refresh_every", "rounds", "most_pulses")),
    ):
        for name in names:
            for value in (0, 2.0, True):
                with pytest.raises(InputError, match=f"`{name}` must be an integer >= 1"):
                    kind(IDEAL, key=KEY, learning_rate=0.1, **{name: value})


def test_arrays_of_several_leaves_and_of_a_group_have_streams_of_their_own():
    # the same factors for all: a matrix, and a leaf of 2 x 1 matrices
    rule, one = PulsedSGD(synapse=CMO, key=KEY, learning_rate=0.1), factors(6)
    group = jax.tree.map(lambda f: jnp.broadcast_to(f[:, None, None], (6, 2, 1, f.shape[-1])), one)
    params = {"a": zeros(0.1), "b": jnp.broadcast_to(zeros(0.1), (2, 1, INPUTS, OUTPUTS))}
    change, state = eqx.filter_jit(lambda p: rule.update(None, rule.init(p), p, factors={"a": one, "b": group}))(params)
    assert [int(n) for n in state.samples] == [6, 6]
    alone = eqx.filter_jit(
        lambda key: rule.learn(rule.start(zeros(0.1), key), one, jnp.float32(1.0), key, jnp.int32(0))
    )
    single, several = (address(stream(KEY, "arrays"), leaf) for leaf in (0, 1))
    places = [(state.arrays[0], change["a"], single)]
    places += [
        (jax.tree.map(lambda leaf, n=n: leaf[n, 0], state.arrays[1]), change["b"][n, 0], address(several, n))
        for n in (0, 1)
    ]
    for array, moved, key in places:
        expected = alone(key)
        np.testing.assert_array_equal(array.pulses, expected.pulses)
        np.testing.assert_allclose(0.1 + moved, rule.weight(expected), atol=1e-6)
    assert len({np.asarray(array.pulses).tobytes() for array, _, _ in places}) == 3


def test_a_chain_with_a_digital_optimiser():
    # optax.partition: analogue leaves to the rule, others to SGD, and optax.apply_updates gives what devices read
    rule = PulsedSGD(synapse=CMO, key=KEY, learning_rate=0.1)
    params = {"analog": 0.2 + zeros(), "bias": jnp.ones(3)}
    tx = optax.partition({"chip": rule.transformation(), "float": optax.sgd(0.5)}, {"analog": "chip", "bias": "float"})
    gradient = {"analog": zeros(), "bias": jnp.full(3, 2.0)}

    @jax.jit
    def step(params, state):
        change, state = tx.update(gradient, state, params, factors=[factors(6)])
        return optax.apply_updates(params, change), state

    state = jax.jit(tx.init)(params)
    after, state = step(params, state)
    np.testing.assert_array_equal(after["bias"], 0.0)
    array = state.inner_states["chip"].inner_state.arrays[0]
    np.testing.assert_allclose(after["analog"], CMO.weight(array.devices), atol=1e-6)
    assert int(array.pulses.sum()) > 10


def test_an_nnx_optimiser_learns_by_pulses():
    class Analog(nnx.Param):
        pass

    class Net(nnx.Module):
        def __init__(self):
            self.w = Analog(0.1 + zeros())
            self.bias = nnx.Param(jnp.zeros(OUTPUTS))

    rule, model = PulsedSGD(synapse=CMO, key=KEY, learning_rate=0.1), Net()
    optimizer = nnx.Optimizer(model, rule.transformation(), wrt=Analog)

    @nnx.jit
    def step(model, optimizer, given):
        optimizer.update(model, nnx.state(model, Analog), factors=[given])

    expected, state = (0.1 + zeros(),), started(rule, 0.1 + zeros())
    for seed in range(2):
        step(model, optimizer, factors(6, seed))
        expected, state = updated(rule, state, expected, factors(6, seed))
    np.testing.assert_allclose(model.w.get_value(), expected[0], atol=1e-6)
    np.testing.assert_array_equal(model.bias.get_value(), 0.0)
