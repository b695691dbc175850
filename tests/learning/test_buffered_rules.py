"""Tiki-Taka v2, its chopped form and AGAD against numpy loops written from their equations, and their identities.

Devices without noise and deterministic trains make everything a function of the factors, so that hundreds of steps are
compared number by number. Weights are sums of steps of a power of two: float32 holds them exactly, and a threshold is
never missed by a rounding.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.devices.pulsed import AdditiveNoise, ConstantStep, LinearStep, SoftBounds
from hfsim.draws import address, stream
from hfsim.errors import InputError
from hfsim.learning import (
    AGAD,
    AutoScale,
    ChoppedTikiTaka,
    DeterministicTrain,
    Factors,
    FixedScale,
    MeanCount,
    PulsedSynapse,
    RowRead,
    TikiTakaV2,
)

INPUTS, OUTPUTS, STEPS, BATCH = 5, 4, 400, 8
DW_A, DW_C = 2.0**-8, 2.0**-9
TRAIN = DeterministicTrain(bits=31, balanced=False, adaptive=False)
WIDE = {"w_min": -8.0, "w_max": 8.0, "G_0": 1000.0, "g": 100.0}
QUIET = AdditiveNoise(0.0)
SLOW = PulsedSynapse(ConstantStep(dw_min=DW_C, up_down=0.0, **WIDE, noise=QUIET))
LASTING = PulsedSynapse(ConstantStep(dw_min=DW_A, up_down=0.0, **WIDE, noise=QUIET))  # holds all that it gets
# loses 0.4 % of its distance to 0 with each pulse of either sign
LEAKY = PulsedSynapse(LinearStep(dw_min=DW_A, up_down=0.0, **WIDE, noise=QUIET, slope_up=1.0, slope_down=1.0))


def factors(steps=STEPS, seed=0, drift=0.4):
    rng = np.random.default_rng(seed)
    x, delta = rng.normal(size=(steps, INPUTS)) + drift, 0.5 * rng.normal(size=(steps, OUTPUTS)) + drift
    return Factors(jnp.asarray(x, jnp.float32), jnp.asarray(delta, jnp.float32))


@eqx.filter_jit
def started(rule, w):
    return rule.init((w,))


@eqx.filter_jit
def learned(rule, state, given, rate=jnp.float32(1.0)):
    """(state, weights after each batch) of all factors, in batches of BATCH."""
    params = (rule.weight(state.arrays[0]),)

    def batch(carry, part):
        state, params = carry
        change, state = rule.update(None, state, params, factors=[part], rate=rate)
        params = jax.tree.map(jnp.add, params, change)
        return (state, params), params[0]

    parts = jax.tree.map(lambda f: f.reshape(-1, BATCH, f.shape[-1]), given)
    (state, _), weights = jax.lax.scan(batch, (state, params), parts)
    return state, weights


def zeros(value=0.0):
    return jnp.full((INPUTS, OUTPUTS), value, jnp.float32)


# --------------------------------------------------------------------------------------- the equations


def counts_by_hand(x, delta, strength, bits=31):
    """Signed numbers of pulses of a deterministic train, up positive."""
    share = np.float32(np.sqrt(np.float32(strength) / np.float32(bits)))
    n = [np.round(np.minimum(np.abs(v) * share, 1.0) * bits).astype(int) for v in (x, delta)]
    together = (2 * n[0][:, None] * n[1] + bits) // (2 * bits)
    return -np.sign(x[:, None] * delta).astype(int) * together


def signs_by_key(rule, row, number):
    """Whether the random chopper of a row turns after its read at sample `number`."""
    keys = address(stream(rule.key, "arrays"), 0)
    return bool(jax.random.bernoulli(address(stream(keys, "choppers"), number), rule.probability))


def by_hand(kind, rule, given, strength, offset=0.0, slope=0.0, reads_per_period=None, rate=1.0):
    """A, C, H and choppers after all samples, in float64; the read of A is off by `offset`."""
    x, delta = (np.asarray(side) for side in given)
    A, C, H = (np.zeros((INPUTS, OUTPUTS)) for _ in range(3))
    mean, reference = np.zeros((INPUTS, OUTPUTS)), np.zeros((INPUTS, OUTPUTS))
    chop, reads, turns = np.ones(INPUTS), np.zeros(INPUTS, int), np.zeros(INPUTS, int)
    interval = rule.transfer_every * INPUTS
    most = float(rule.ceiling) * strength / np.sqrt(100 + np.arange(1, x.shape[0] + 1) / interval)
    r = rate * np.minimum(float(rule.learning_rate), most) / (DW_A * DW_C * strength)
    read = 0
    for b in range(x.shape[0]):
        n = counts_by_hand(chop * x[b], delta[b], strength)
        for _ in range(np.abs(n).max()):
            now = np.sign(n) * (np.abs(n) > 0)
            A = A + DW_A * (now - slope * np.abs(now) * A)
            n = n - now
        if (b + 1) % rule.transfer_every:
            continue
        i, read = read % INPUTS, read + 1
        v = A[i] + offset
        if kind == "agad":
            if reads[i] == 0:
                reference[i] = mean[i]
            signal = chop[i] * (v - reference[i]) if turns[i] else 0 * v
            b_mean = min(5 / reads_per_period, 1.0)
            mean[i] = (1 - b_mean) * mean[i] + b_mean * v
        else:
            signal = chop[i] * v
        H[i] += r[b] * signal
        pulses = np.clip(np.trunc(H[i]), -rule.most_pulses, rule.most_pulses)
        C[i] += DW_C * pulses
        H[i] -= pulses
        if kind == "agad":
            reads[i] += 1
            if reads[i] == reads_per_period:
                chop[i], reads[i], turns[i] = -chop[i], 0, turns[i] + 1
        elif kind == "chopped" and signs_by_key(rule, i, b):
            chop[i] = -chop[i]
    return A, C, H, chop


RULES = {
    "v2": lambda fast, **options: TikiTakaV2(fast, SLOW, **options),
    "chopped": lambda fast, **options: ChoppedTikiTaka(fast, SLOW, probability=0.3, **options),
    "agad": lambda fast, **options: AGAD(fast, SLOW, reads_per_period=7, **options),
}


def made(kind, fast, strength, **options):
    defaults = {
        "key": jax.random.key(5),
        "learning_rate": 2.0**-14,
        "scale": FixedScale(strength * DW_A),
        "train": TRAIN,
        "transfer_every": 2,
        "ceiling": 1e6,
    }
    return RULES[kind](fast, **(defaults | options))


@pytest.mark.parametrize(("fast", "slope"), [(LASTING, 0.0), (LEAKY, 1.0)], ids=["lasting", "leaky"])
@pytest.mark.parametrize("kind", RULES)
def test_the_rule_is_its_equations(kind, fast, slope):
    rate = 2.0**-14 if (kind, slope) == ("v2", 0.0) else 2.0**-11
    rule, given = made(kind, fast, 8.0, learning_rate=rate), factors()
    state, weights = learned(rule, started(rule, zeros()), given)
    A, C, H, chop = by_hand(kind, rule, given, 8.0, slope=slope, reads_per_period=7)
    array = state.arrays[0]
    np.testing.assert_allclose(fast.weight(array.fast.devices), A, atol=3e-5 if slope else 0)
    np.testing.assert_allclose(array.slow.devices.device.w, C, atol=DW_C if slope else 0)
    # H and C hold together what the reads gave: nothing is lost between them
    collected = np.asarray(array.memory.held + array.slow.devices.device.w / DW_C)
    np.testing.assert_allclose(collected, H + C / DW_C, rtol=1e-5, atol=2e-3 if slope else 1e-4)
    np.testing.assert_array_equal(weights[-1], array.slow.devices.device.w)
    if kind != "v2":
        np.testing.assert_array_equal(array.chopper.sign if kind == "agad" else array.chopper, chop)
        assert np.any(chop < 0)
    assert np.abs(C).max() > 20 * DW_C
    assert np.all(np.asarray(array.slow.pulses) >= np.abs(C) / DW_C)


def test_most_pulses_bounds_a_transfer_and_keeps_the_rest():
    rule, given = made("v2", LASTING, 8.0, learning_rate=2.0**-8, most_pulses=3), factors()
    state, weights = learned(rule, started(rule, zeros()), given)
    A, C, H, _ = by_hand("v2", rule, given, 8.0)
    np.testing.assert_array_equal(weights[-1], C)
    np.testing.assert_allclose(state.arrays[0].memory.held, H, rtol=1e-5)
    assert np.abs(H).max() > 100  # 3 at a time are far too few here


def test_one_pass_moves_the_slow_array_down_the_gradient_that_the_fast_one_holds():
    # r = lr/(dw_C dw_A s): rows are read in turn, each once; C moves by -lr times the sum of x delta, to a step
    rate = 2.0**-9
    rule = made("v2", LASTING, 4.0, learning_rate=rate, transfer_every=1, most_pulses=10_000, train=MeanCount())
    given = factors(32, drift=1.0)
    quiet = eqx.tree_at(lambda r: r.learning_rate, rule, jnp.float32(0.0))
    state, _ = learned(quiet, started(rule, zeros()), given)
    held = LASTING.weight(state.arrays[0].fast.devices)
    nothing = jax.tree.map(lambda f: 0 * f[:INPUTS], given)
    change, after = eqx.filter_jit(lambda s: rule.update(None, s, (zeros(),), factors=[nothing]))(state)
    np.testing.assert_allclose(change[0], rate * np.asarray(held) / (DW_A * 4.0), atol=DW_C)
    # A itself holds -dw_A s times the gradient, but for the rounding of counts: at most 1/4 in variance for a sample
    gradient = np.asarray(given.x, np.float64).T @ np.asarray(given.delta, np.float64)
    np.testing.assert_allclose(held, -DW_A * 4.0 * gradient, atol=4 * np.sqrt(32 / 4) * DW_A)
    assert np.corrcoef(np.asarray(change[0]).ravel(), -gradient.ravel())[0, 1] > 0.99
    assert float(jnp.abs(change[0]).max()) > 8 * DW_C
    np.testing.assert_array_equal(after.arrays[0].fast.devices.device.w, state.arrays[0].fast.devices.device.w)


def test_the_rate_of_a_schedule_multiplies_the_learning_rate():
    given = factors()
    one, two = made("v2", LASTING, 8.0), made("v2", LASTING, 8.0, learning_rate=2.0**-13)
    _, scheduled = learned(one, started(one, zeros()), given, jnp.float32(2.0))
    np.testing.assert_array_equal(scheduled, learned(two, started(two, zeros()), given)[1])


def test_no_learning_rate_does_more_than_the_ceiling():
    # a schedule's factor multiplies the ceiling too
    given, ends = factors(), []
    for rate in (2.0**-6, 1.0, 2.0**10):
        rule = made("v2", LASTING, 8.0, learning_rate=rate, ceiling=2.0**-10)
        state, weights = learned(rule, started(rule, zeros()), given, jnp.float32(0.5))
        ends.append((weights[-1], state.arrays[0].memory.held))
        assert rate > 2.0**-10 * 8.0 / np.sqrt(100)
    _, C, H, _ = by_hand("v2", rule, given, 8.0, rate=0.5)
    for weights, held in ends:
        np.testing.assert_array_equal(weights, C)
        np.testing.assert_allclose(held, H, atol=1e-4)  # what is left of sums of some ten pulses, in float32
    assert np.abs(C).max() > 20 * DW_C


def test_the_ceiling_bounds_the_walk_of_the_slow_array():
    # gradients that double, then shrink: what the buffer gets is compared with the scale's own strengths, read by read
    size = np.concatenate([np.full(60, 0.5), np.full(60, 1.0), np.full(60, 0.25)]).astype(np.float32)
    given = factors(180)
    given = Factors(given.x, given.delta * size[:, None])
    scale, ceiling = AutoScale(pulses=4.0, memory=20.0), 0.01
    rule = made("v2", LASTING, 8.0, scale=scale, ceiling=ceiling, learning_rate=1e3, transfer_every=1, most_pulses=1)
    strengths = scale.strengths(scale.start(), given, DW_A, INPUTS)[1]
    now = np.asarray(strengths.now, np.float64)
    walk = np.cumsum(1 / now**2) / INPUTS
    np.testing.assert_allclose(strengths.walk, walk, rtol=1e-5)
    most = ceiling / np.sqrt(100 / now**2 + walk)
    np.testing.assert_allclose(rule.rate_now(strengths), most, rtol=1e-5)
    assert now[119] < now[59] / 1.5 and now[179] > 2 * now[119] and most[179] > 2 * most[119]

    # one read of a row after another: H + C/dw_C grows by r v, with r of the sample after which it is read
    held = np.zeros((INPUTS, OUTPUTS))
    state, params = started(rule, zeros()), (zeros(),)
    step = jax.jit(lambda s, f: rule.update(None, s, params, factors=[f])[1])
    for number in range(180):
        state = step(state, jax.tree.map(lambda f, i=number: f[i : i + 1], given))
        row, array = number % INPUTS, state.arrays[0]
        v = np.asarray(LASTING.weight(array.fast.devices), np.float64)[row]
        held[row] += most[number] / (DW_A * DW_C * now[number]) * v
    found = np.asarray(array.memory.held) + np.asarray(array.slow.devices.device.w) / DW_C
    np.testing.assert_allclose(found, held, rtol=1e-4, atol=1e-3)
    assert np.abs(held).max() > 3


# ------------------------------------------------------------------------------ what a wrong reference does

OFFSET = 0.5


def off(kind, **options):
    """A rule whose fast array is read against a reference that is wrong by OFFSET, and gets no gradient."""
    fast = eqx.tree_at(lambda s: s.device.w_ref, LASTING, jnp.float32(-OFFSET))
    rule = made(kind, fast, 8.0, learning_rate=2.0**-12, **options)
    state = started(rule, zeros())
    # devices sit where their steps balance (0), and read OFFSET
    lost = eqx.tree_at(lambda s: s.arrays[0].fast.devices.device.w, state, zeros())
    nothing = jax.tree.map(jnp.zeros_like, factors(STEPS))
    return np.asarray(learned(rule, lost, nothing)[1])


def test_a_wrong_reference_drives_tiki_taka_v2_for_ever():
    moved = off("v2")
    r = 2.0**-12 / (DW_A * DW_C * 8.0)
    reads = STEPS // 2 // INPUTS
    np.testing.assert_allclose(moved[-1], DW_C * np.trunc(r * OFFSET * reads), atol=DW_C)
    assert np.all(moved[-1] > 20 * DW_C)


def test_a_wrong_reference_averages_out_under_a_chopper():
    # c walks between +-1 with probability 0.3: the sum of c over n reads has variance near n (1 - p)/p
    moved, steady = off("chopped"), off("v2")
    reads = STEPS // 2 // INPUTS
    bound = 4 * np.sqrt(reads * 0.7 / 0.3) / reads
    assert np.all(np.abs(moved[-1]) < bound * steady[-1] + DW_C) and bound < 1.0
    # a row's devices share the chopper, and so the walk
    assert np.all(moved[-1] == moved[-1][:, :1])


def test_a_wrong_reference_does_not_move_the_slow_array_of_agad():
    # the first period finds mu: 1 - (1 - b)^n of the offset, b = 5/n; what is left of it decays with the periods
    moved = off("agad")
    assert not np.any(moved[: 7 * INPUTS * 2 // BATCH])
    left = (1 - 5 / 7) ** 7
    r = 2.0**-12 / (DW_A * DW_C * 8.0)
    assert np.abs(moved[-1]).max() <= DW_C * np.ceil(r * OFFSET * left * 7)
    assert np.abs(moved[-1]).max() < 0.01 * off("v2")[-1].min()


def test_agad_learns_the_same_whatever_its_reference():
    # exactly the same C but for the first turn's reference: A's reads differ by the offset throughout
    given = factors()
    plain = made("agad", LEAKY, 8.0, learning_rate=2.0**-11)
    shifted = eqx.tree_at(lambda r: r.fast.device.w_ref, plain, jnp.float32(-OFFSET))
    state = started(shifted, zeros())
    state = eqx.tree_at(lambda s: s.arrays[0].fast.devices.device.w, state, zeros())
    ours, theirs = learned(plain, started(plain, zeros()), given)[1][-1], learned(shifted, state, given)[1][-1]
    r, left = float(plain.learning_rate) / (DW_A * DW_C * 8.0), (1 - 5 / 7) ** 7
    np.testing.assert_allclose(ours, theirs, atol=DW_C * (2 + r * OFFSET * left * 7))
    assert float(jnp.abs(ours).max()) > 20 * DW_C


def test_agad_writes_nothing_in_a_row_s_first_period():
    rule, given = made("agad", LASTING, 8.0, learning_rate=2.0**-11), factors()
    state, weights = learned(rule, started(rule, zeros()), given)
    first = 7 * INPUTS * 2 // BATCH  # batches in which no row has turned
    assert not np.any(np.asarray(weights)[:first]) and np.all(np.any(np.asarray(weights)[-1] != 0, axis=1))
    reads = STEPS // 2 // INPUTS
    np.testing.assert_array_equal(state.arrays[0].chopper.turns, reads // 7)
    np.testing.assert_array_equal(state.arrays[0].chopper.reads, reads % 7)


def test_the_chopper_turns_with_its_probability():
    for probability, bounds in ((0.0, (0, 0)), (0.2, (720, 880)), (1.0, (4000, 4000))):
        rule = ChoppedTikiTaka(LASTING, SLOW, key=jax.random.key(0), learning_rate=0.1, probability=probability)
        keys = jax.random.split(jax.random.key(2), 4000)
        after = jax.vmap(lambda k, r=rule: r.turned(jnp.float32(1.0), k))(keys)
        assert bounds[0] <= int(jnp.sum(after < 0)) <= bounds[1]


# -------------------------------------------------------------------------------------------- reproducible

CMO = PulsedSynapse(
    SoftBounds(
        dw_min=0.0956, up_down=-0.22, w_min=-1.0, w_max=1.0, G_0=48.6, g=39.6, noise=AdditiveNoise(0.86), w_ref=-0.22
    )
)
NOISY = eqx.tree_at(lambda s: s.device.sigma_write, CMO, jnp.float32(0.1))


@pytest.fixture(scope="module")
def noisy_rule():
    return AGAD(
        NOISY,
        NOISY,
        key=jax.random.key(1),
        learning_rate=0.3,
        scale=AutoScale(pulses=3.0, memory=20.0),
        reads_per_period=2,
        ceiling=1.0,
        row_read=RowRead(sigma=0.02),
    )


def test_a_split_batch_gives_the_same_to_the_bit(noisy_rule):
    # all that is drawn: trains, steps, writes, reads. The choppers' draws are in the equations above
    given, params = factors(24), (zeros(0.1),)
    state = started(noisy_rule, params[0])
    learn = jax.jit(lambda s, f: noisy_rule.update(None, s, params, factors=[f])[1])
    whole, parts = learn(state, given), state
    for first in range(0, 24, 6):
        parts = learn(parts, jax.tree.map(lambda f, a=first: f[a : a + 6], given))
    leaves = [jax.tree.leaves((s.arrays, s.samples)) for s in (whole, parts)]
    for one, two in zip(*leaves, strict=True):
        if not jnp.issubdtype(one.dtype, jax.dtypes.prng_key):
            np.testing.assert_array_equal(one, two)
    assert int(whole.arrays[0].slow.pulses.sum()) > 5


def test_matrices_of_a_group_are_matrices_of_their_own(noisy_rule):
    # a leaf with a leading axis: each array with its own key and factors; the first array's key is its address 0
    rule, given = noisy_rule, factors(24)
    both = jax.tree.map(lambda f: jnp.stack([f, f[::-1]], axis=1), given)
    params = (jnp.stack([zeros(0.1), zeros(-0.2)]),)
    group = jax.jit(lambda p: rule.update(None, rule.init(p), p, factors=[both])[1].arrays[0])(params)

    @jax.jit
    def alone(w, number, f):
        key = address(address(stream(rule.key, "arrays"), 0), number)
        return rule.learn(rule.start(w, key), f, jnp.float32(1.0), key, jnp.int32(0))

    for number, (w, f) in enumerate(((zeros(0.1), given), (zeros(-0.2), jax.tree.map(lambda s: s[::-1], given)))):
        single = alone(w, number, f)
        np.testing.assert_array_equal(group.slow.pulses[number], single.slow.pulses)
        np.testing.assert_array_equal(group.fast.pulses[number], single.fast.pulses)
        np.testing.assert_allclose(group.slow.devices.device.w[number], single.slow.devices.device.w, atol=1e-6)
    assert not np.array_equal(group.fast.pulses[0], group.fast.pulses[1])


# ----------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("name", ["transfer_every", "most_pulses", "reads_per_period"])
@pytest.mark.parametrize("value", [0, 1.5, True])
def test_whole_numbers_are_whole(name, value):
    with pytest.raises(InputError, match=f"`{name}` must be an integer >= 1"):
        AGAD(LASTING, SLOW, key=jax.random.key(0), learning_rate=0.1, **{name: value})
