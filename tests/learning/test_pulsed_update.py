"""Batches of pulses against loops written from the equations, moments of pulses against closed forms.

Samples of 1e5 devices; tolerances are standard errors with the fourth moment of the noise, or those of a numpy
simulation with normal numbers of as many devices. Keys are fixed.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.devices.pulsed import (
    AdditiveNoise,
    ConstantStep,
    LinearStep,
    PowerStep,
    ProportionalNoise,
    SoftBounds,
    from_one_sided,
    pulsed_metrics,
)
from hfsim.draws import event_hash, hashed_normals
from hfsim.errors import InputError
from hfsim.learning import DeterministicTrain, Factors, MeanCount, PulsedSGD, PulsedSynapse, StochasticTrain
from hfsim.learning.pulse_trains import Lines
from hfsim.learning.pulsed_update import PulsedArray, half_selected, make_trains, pulsed_update

pytestmark = pytest.mark.optimised  # to the bit is what users get

WINDOW = {"w_min": -1.0, "w_max": 1.0, "G_0": 48.6, "g": 39.6}
DW, UP_DOWN = 0.0956, -0.22
CMO = SoftBounds(dw_min=DW, up_down=UP_DOWN, **WINDOW, noise=AdditiveNoise(0.86))
WRITTEN = SoftBounds(dw_min=DW, up_down=0.1, **WINDOW, noise=AdditiveNoise(0.5), sigma_write=0.2)
SHAPE = (400, 250)  # 1e5 devices


def some_factors(samples, inputs, outputs, seed=0):
    rng = np.random.default_rng(seed)
    return Factors(*(jnp.asarray(rng.normal(size=(samples, n)), jnp.float32) for n in (inputs, outputs)))


def started(synapse, w, seed=1):
    w = jnp.asarray(w, jnp.float32)
    return PulsedArray(synapse.place(synapse.init(w.shape, jax.random.key(seed)), w), jnp.zeros(w.shape, jnp.int32))


# ---------------------------------------------------------------------------------- in order, pulse by pulse


def by_hand(device, w, trains, counts, one_by_one):
    """Persistent weights, write errors and numbers of pulses after every pulse of every sample, in float64.

    Where not `one_by_one` the pulses of a sample on a device are a normal number of their unclipped mean and variance,
    clipped once.
    """
    scale = {1: float(device.dw_min * (1 + device.up_down)), -1: float(device.dw_min * (1 - device.up_down))}
    w, error, pulses = np.array(w, np.float64), np.zeros(w.shape), np.zeros(w.shape, int)
    deviation = float(device.noise.sigma * device.dw_min)
    for b in range(counts.shape[0]):
        event = jax.tree.map(lambda leaf, b=b: leaf[b], trains.event)
        noise = [np.asarray(hashed_normals(event, k)) for k in range(int(np.abs(counts[b]).max(initial=0)))]
        written = np.asarray(hashed_normals(event, -2))
        for i, j in np.ndindex(w.shape):
            n = int(counts[b, i, j])
            sign, variance = int(np.sign(n)), 0.0
            for k in range(abs(n)):
                step = scale[sign] * (1 - sign * w[i, j])
                if one_by_one:
                    w[i, j] = np.clip(w[i, j] + sign * (step + deviation * noise[k][i, j]), -1.0, 1.0)
                else:
                    w[i, j] += sign * step
                    variance = (1 - scale[sign]) ** 2 * variance + deviation**2
            if n and not one_by_one:
                w[i, j] = np.clip(w[i, j] + sign * np.sqrt(variance) * noise[0][i, j], -1.0, 1.0)
            pulses[i, j] += abs(n)
            if n:
                error[i, j] = float(device.sigma_write) * written[i, j]
    return w, error, pulses


@pytest.mark.parametrize(
    ("train", "one_by_one"),
    [(StochasticTrain(), True), (StochasticTrain(), False), (DeterministicTrain(bits=16), True), (MeanCount(), False)],
    ids=repr,
)
def test_a_batch_is_its_samples_one_after_the_other(train, one_by_one, key):
    factors, synapse = some_factors(7, 6, 5), PulsedSynapse(WRITTEN, one_by_one=one_by_one)
    start = np.random.default_rng(2).uniform(-0.9, 0.9, (6, 5))

    @jax.jit
    def run(array, factors):
        trains = make_trains(train, factors, 1.5, key, 40)
        counts = jax.vmap(train.counts)(trains.rows, trains.columns, trains.event)
        return pulsed_update(synapse, train, array, trains, key)[0], trains, counts

    after, trains, counts = run(started(synapse, start), factors)
    w, error, pulses = by_hand(WRITTEN, start, trains, np.asarray(counts), one_by_one)
    assert 60 < pulses.sum() and np.abs(counts).max() > 3  # several a sample, and many samples
    np.testing.assert_array_equal(trains.number, np.arange(40, 47))
    np.testing.assert_array_equal(after.pulses, pulses)
    np.testing.assert_allclose(after.devices.device.w, w, atol=3e-6)
    np.testing.assert_allclose(synapse.weight(after.devices), w + error, atol=3e-6)
    assert np.any(error)


def test_a_batch_moves_weights_down_the_gradient_in_the_mean():
    # fine and even steps: <dw> = -lr x delta to a pulse's noise over many pulses
    fine = ConstantStep(dw_min=1e-4, up_down=0.0, **WINDOW, noise=AdditiveNoise(0.3))
    factors = some_factors(40, 9, 7)
    factors = Factors(abs(factors.x) * jnp.sign(factors.x[0]), abs(factors.delta) * jnp.sign(factors.delta[0]))
    rule = PulsedSGD(synapse=PulsedSynapse(fine), key=jax.random.key(0), learning_rate=0.0004)
    params = (jnp.zeros((9, 7)),)
    change, state = jax.jit(lambda p, f: rule.update(None, rule.init(p), p, factors=[f]))(params, factors)
    gradient = np.asarray(factors.x, np.float64).T @ np.asarray(factors.delta, np.float64)
    error = np.asarray(change[0]) + 0.0004 * gradient
    # variance of a sum of binomial counts and of steps' noise is below (1 + 0.09) dw_min^2 a pulse
    assert np.all(abs(error) < 4 * 1e-4 * np.sqrt(1.09 * np.asarray(state.arrays[0].pulses)))
    slope = -(np.asarray(change[0]) * gradient).sum() / (gradient**2).sum()
    assert slope == pytest.approx(0.0004, rel=4 * 1e-4 * np.sqrt(1.09 * 160) / (0.0004 * np.sqrt((gradient**2).sum())))


# ------------------------------------------------------------------------------------------- reproducible

SPLITS = ([4, 4], [1] * 8, [1, 3, 4])


@pytest.fixture(scope="module", params=["written", "power"])
def sgd(request):
    device = {
        "written": WRITTEN,
        "power": PowerStep(
            dw_min=0.1, up_down=0.1, **WINDOW, noise=ProportionalNoise(0.8), gamma_up=1.5, gamma_down=0.7
        ),
    }[request.param]
    rule = PulsedSGD(synapse=PulsedSynapse(device), key=jax.random.key(7), learning_rate=0.1)
    params = (0.3 * jnp.ones((13, 7)),)
    learn = jax.jit(lambda state, f: rule.update(None, state, params, factors=[f])[1])
    return jax.jit(lambda: rule.init(params))(), learn, some_factors(8, 13, 7)


def bits(state):
    leaves = [
        jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        for leaf in jax.tree.leaves(state)
    ]
    return [np.asarray(leaf) for leaf in leaves]


def test_a_split_batch_gives_the_same_to_the_bit(sgd):
    state, learn, factors = sgd
    whole = learn(state, factors)
    assert np.any(whole.arrays[0].pulses > 4)
    for split in SPLITS:
        parts, first = state, 0
        for size in split:
            parts = learn(parts, jax.tree.map(lambda f, a=first, n=size: f[a : a + n], factors))
            first += size
        for one, two in zip(bits(whole), bits(parts), strict=True):
            np.testing.assert_array_equal(one, two)


def test_the_same_key_gives_the_same_bits(sgd):
    state, learn, factors = sgd
    runs = [bits(learn(state, factors)) for _ in range(2)]
    assert all(np.array_equal(one, two) for one, two in zip(*runs, strict=True))


def test_chips_side_by_side_are_single_runs_to_the_bit():
    # one compiled program for five chips, each with its own key, and one for a chip alone
    factors, params = some_factors(4, 9, 6), (0.3 * jnp.ones((9, 6)),)

    def chip(key):
        rule = PulsedSGD(synapse=PulsedSynapse(WRITTEN), key=key, learning_rate=0.1)
        return rule.update(None, rule.init(params), params, factors=[factors])[1].arrays[0]

    keys = jax.random.split(jax.random.key(3), 5)
    together, single = jax.jit(jax.vmap(chip))(keys), jax.jit(chip)
    for i in range(5):
        for one, two in zip(
            bits(jax.tree.map(lambda leaf, i=i: leaf[i], together)), bits(single(keys[i])), strict=True
        ):
            np.testing.assert_array_equal(one, two)
    assert len(np.unique(together.devices.device.w[:, 0, 0])) == 5


# ------------------------------------------------------------------- moments of one pulse, and of many


def pulsed(device, w, n, one_by_one=None, seed=0):
    """Weights of 1e5 devices after n pulses each, through the synapse."""
    return np.asarray(
        _pulsed(PulsedSynapse(device, one_by_one=one_by_one), jnp.float32(w), jnp.int32(n), jax.random.key(seed)),
        np.float64,
    )


@eqx.filter_jit
def _pulsed(synapse, w, n, key):
    state, ready = started(synapse, jnp.full(SHAPE, w)).devices, synapse.prepared()
    return ready.weight(ready.pulses(state, jnp.full(SHAPE, n), event_hash(key, 3, SHAPE), key, 31)).ravel()


def has_moments(found, mean, variance, fourth=3.0):
    n = found.size
    assert abs(found.mean() - mean) < 4 * np.sqrt(variance / n) + 1e-6
    assert abs(found.var() - variance) < 4.5 * variance * np.sqrt((fourth - 1) / n)


# of weights this far from the bounds none is clipped
@pytest.mark.parametrize("one_by_one", [True, False])
@pytest.mark.parametrize(("w", "n"), [(0.0, 1), (0.3, -1), (-0.1, 4), (0.25, -6), (-0.3, 9)])
def test_soft_bounds_with_additive_noise_are_an_affine_map(w, n, one_by_one):
    device = SoftBounds(dw_min=0.05, up_down=UP_DOWN, **WINDOW, noise=AdditiveNoise(0.6))
    sign, m = np.sign(n), abs(n)
    a = 0.05 * (1 + sign * UP_DOWN)
    kept = (1 - a) ** m
    variance = (0.05 * 0.6) ** 2 * (1 - kept**2) / (1 - (1 - a) ** 2)
    has_moments(pulsed(device, w, n, one_by_one), sign + (w - sign) * kept, variance)


@pytest.mark.parametrize(("w", "n"), [(0.0, 1), (0.3, -1), (-0.3, 4), (0.5, -6)])
def test_soft_bounds_with_proportional_noise_are_a_product(w, n):
    # 1 - s w -> (1 - s w) times a product of 1 - a (1 + sigma N)
    device = SoftBounds(dw_min=0.05, up_down=UP_DOWN, **WINDOW, noise=ProportionalNoise(0.6))
    sign, m = np.sign(n), abs(n)
    a = 0.05 * (1 + sign * UP_DOWN)
    mean, square = (1 - a) ** m, ((1 - a) ** 2 + (0.6 * a) ** 2) ** m
    away = 1 - sign * w
    has_moments(pulsed(device, w, n), sign * (1 - away * mean), away**2 * (square - mean**2), 3.1)


@pytest.mark.parametrize("one_by_one", [True, False])
@pytest.mark.parametrize(("slope", "n"), [(-0.8, 25), (-0.8, -25), (0.8, 25), (1e-4, 31)])
def test_linear_steps_grow_or_shrink(slope, n, one_by_one):
    # x -> x + a (1 - slope x) in the direction of the pulses: away from 1/slope the map keeps 1 - a slope
    device = LinearStep(dw_min=0.03, up_down=0.1, **WINDOW, noise=AdditiveNoise(0.4), slope_up=slope, slope_down=slope)
    a = 0.03 * (1 + 0.1 * np.sign(n))
    x, variance = -0.5, 0.0
    for _ in range(abs(n)):
        x, variance = x + a * (1 - slope * x), (1 - a * slope) ** 2 * variance + (0.03 * 0.4) ** 2
    has_moments(np.sign(n) * pulsed(device, -0.5 * np.sign(n), n, one_by_one), x, variance)


@pytest.mark.parametrize("one_by_one", [True, False])
@pytest.mark.parametrize("n", [1, 12, -12])
def test_constant_steps_add_up(n, one_by_one):
    device = ConstantStep(dw_min=0.01, up_down=0.3, **WINDOW, noise=AdditiveNoise(1.2))
    has_moments(pulsed(device, 0.1, n, one_by_one), 0.1 + n * 0.01 * (1 + 0.3 * np.sign(n)), abs(n) * 0.012**2)


@pytest.mark.parametrize("n", [20, -20])
def test_power_steps_follow_the_mean_field(n):
    # fine steps: what curvature and noise add to the mean is of the order of step'' variance n/2 < 2e-6
    device = PowerStep(dw_min=0.002, up_down=0.1, **WINDOW, noise=ProportionalNoise(0.5), gamma_up=1.6, gamma_down=0.7)
    w, sign = 0.2, np.sign(n)
    for _ in range(abs(n)):
        omega = (1 - w) / 2
        w += sign * 0.002 * (1 + 0.1 * sign) * (omega**1.6 if n > 0 else (1 - omega) ** 0.7)
    found = pulsed(device, 0.2, n)
    assert abs(found.mean() - w) < 4 * found.std() / np.sqrt(found.size) + 2e-6
    assert abs(w - 0.2) > 1000 * abs(found.mean() - w)


def test_one_pulse_of_the_card_has_the_published_numbers():
    # states 22, symmetry point at 61 % (w = -0.22, which reads as 0), noise-to-signal ratio 90 %
    synapse = PulsedSynapse.from_card(hfsim.load_card("cmo-hfox-2025-pulsed"))
    up, down = (pulsed(synapse.device, 0.0, n) for n in (1, -1))
    error = 0.082 / np.sqrt(up.size)
    assert abs(up.mean() + down.mean()) < 4 * np.sqrt(2) * error
    step = (up.mean() - down.mean()) / 2
    assert 2 / step == pytest.approx(22, rel=4 * error / step)
    assert (up.std() + down.std()) / 2 / step == pytest.approx(0.90, rel=0.02)
    metrics = pulsed_metrics(synapse.device)
    assert float(metrics.symmetry_point) == pytest.approx(-0.22, abs=1e-6)
    assert float(metrics.skew) == pytest.approx(0.61, abs=1e-6)


def test_the_peer_s_one_sided_up_down_has_the_peer_s_steps():
    # aihwkit 1.1 shortens one direction alone: up dw_min (1 + min(up_down, 0)), down dw_min (1 - max(up_down, 0))
    for given in (0.3, -0.3):
        dw_min, up_down, sigma = from_one_sided(0.02, given, 0.5)
        device = ConstantStep(dw_min=dw_min, up_down=up_down, **WINDOW, noise=AdditiveNoise(sigma))
        for sign, mean in ((1, 0.02 * (1 + min(given, 0))), (-1, -0.02 * (1 - max(given, 0)))):
            has_moments(pulsed(device, 0.0, sign), mean, (0.5 * 0.02) ** 2)


def normals_by_hand(w, signs, dw, up_down, sigma, rng):
    """Soft bounds in numpy, one pulse at a time with normal noise."""
    for s in signs:
        s = np.broadcast_to(s, w.shape)
        step = dw * (1 + s * up_down) * (1 - s * w) + sigma * dw * rng.standard_normal(w.shape)
        w = np.where(s == 0, w, np.clip(w + s * step, -1.0, 1.0))
    return w


def skew(w):
    return (((w - w.mean()) / w.std()) ** 3).mean()


def agrees(found, reference):
    """Mean, deviation and skew within four standard errors of both."""
    n, z = reference.size, (reference - reference.mean()) / reference.std()
    third, fourth, sixth = (z**3).mean(), (z**4).mean(), (z**6).mean()
    own = ((found - found.mean()) / found.std()) ** 3
    assert abs(found.mean() - reference.mean()) < 4 * reference.std() * np.sqrt(2 / n)
    assert abs(found.std() / reference.std() - 1) < 4 * np.sqrt((fourth - 1) / 4 * 2 / n)
    assert abs(own.mean() - third) < 4 * np.sqrt((sixth - third**2) * 2 / n)
    return third


@pytest.mark.parametrize(("w", "n"), [(0.9, 5), (-0.9, -3), (0.95, -2), (0.0, 31)])
def test_pulses_at_the_bounds_have_the_moments_of_clipped_ones(w, n):
    reference = normals_by_hand(np.full(100_000, w), [np.sign(n)] * abs(n), DW, UP_DOWN, 0.86, np.random.default_rng(0))
    agrees(pulsed(CMO, w, n, True), reference)
    # at once: half of a step's noise, a tenth of the deviation, and 0.15 of skew
    found, s = pulsed(CMO, w, n, False), 0.86 * DW
    assert abs(found.mean() - reference.mean()) < 0.5 * s
    assert abs(found.std() - reference.std()) < 0.1 * max(s, reference.std())
    assert abs(skew(found) - skew(reference)) < 0.15


@pytest.mark.parametrize("k", [0.002, 0.01, 0.05, 0.5])
@pytest.mark.parametrize("sigma", [0.2, 1.0, 4.0])
def test_pulses_at_once_are_off_by_what_is_stated_whatever_the_step(k, sigma):
    device = SoftBounds(dw_min=k, up_down=0.0, **WINDOW, noise=AdditiveNoise(sigma))
    s = sigma * k
    for w in (0.98, 0.0):
        for n in (2, -2, 31, -31):
            signs = [np.sign(n)] * abs(n)
            reference = normals_by_hand(np.full(100_000, w), signs, k, 0.0, sigma, np.random.default_rng(0))
            found = pulsed(device, w, n, False)
            assert abs(found.mean() - reference.mean()) < 1.3 * s
            assert abs(found.std() - reference.std()) < 0.1 * max(s, reference.std())
            assert abs(skew(found) - skew(reference)) < 0.7


# ---------------------------------------------------------------------------------- batches of many samples


def test_random_pulses_settle_at_the_symmetry_point():
    # pulses up and down with even odds: the affine maps' mean has its fixed point at w* itself,
    # w* = (a_up - a_down)/(a_up + a_down) for bounds of +-1; variance: the fixed point of its own map
    dw, sigma = 0.03, 0.8
    synapse = PulsedSynapse(SoftBounds(dw_min=dw, up_down=UP_DOWN, **WINDOW, noise=AdditiveNoise(sigma)))

    @jax.jit
    def run(key):
        def pulse(state, number):
            counts = jnp.where(jax.random.bernoulli(jax.random.fold_in(key, number), shape=SHAPE), 1, -1)
            return synapse.pulses(state, counts, event_hash(key, number, SHAPE), key, 1), None

        state = started(synapse, jnp.full(SHAPE, 0.6)).devices
        return synapse.weight(jax.lax.scan(pulse, state, jnp.arange(400))[0])

    found = np.asarray(run(jax.random.key(1)), np.float64).ravel()
    a = dw * (1 + np.array([1, -1]) * UP_DOWN)
    ends = np.array([1.0, -1.0])
    mean = (a * ends).sum() / a.sum()
    assert mean == pytest.approx(UP_DOWN)
    # w' = (1 - a) w + a end + noise: E w^2 = E[(1-a)^2] E w^2 + 2 E[(1-a) a end] E w + E[(a end)^2] + s^2
    second = (2 * ((1 - a) * a * ends).mean() * mean + (a**2).mean() + (sigma * dw) ** 2) / (1 - ((1 - a) ** 2).mean())
    has_moments(found, mean, second - mean**2)


@pytest.mark.parametrize("one_by_one", [True, None])
def test_coarse_devices_keep_their_skew_in_a_batch(one_by_one):
    # 20 samples of binomial counts, down and then onto the upper bound: a batch aggregate would lose the skew
    x, delta = np.array([0.9, -0.5, 0.7, 0.6]), np.array([0.8, -0.6, 0.5, 0.7])
    signs = np.where(np.arange(20) < 4, 1.0, -1.0)  # of the samples: x delta < 0 goes up
    train, synapse = StochasticTrain(), PulsedSynapse(CMO, one_by_one=one_by_one)
    factors = Factors(jnp.asarray(x * np.ones((20, 1)), jnp.float32), jnp.asarray(signs[:, None] * delta, jnp.float32))

    @jax.jit
    @jax.vmap
    def chip(key):
        array = started(synapse, jnp.full((4, 4), 0.3))
        return synapse.weight(
            pulsed_update(synapse, train, array, make_trains(train, factors, 3.0, key), key)[0].devices
        )

    found = np.asarray(chip(jax.random.split(jax.random.key(2), 25_000)), np.float64)
    slots = int(np.ceil(3.0 * 0.9 * 0.8))
    rng = np.random.default_rng(5)
    skews = []
    for i, j in ((0, 0), (1, 0), (3, 2)):
        p = 3.0 * abs(x[i] * delta[j]) / slots
        w = np.full(100_000, 0.3)
        for sign in signs:
            n = rng.binomial(slots, p, w.shape)
            for k in range(slots):
                w = normals_by_hand(w, [-np.sign(sign * x[i] * delta[j]) * (k < n)], DW, UP_DOWN, 0.86, rng)
        own, reference = found[:, i, j], w[: found.shape[0]]
        if one_by_one:
            agrees(own, reference)
        assert abs(own.mean() - reference.mean()) < 0.15 * 0.86 * DW
        assert own.std() == pytest.approx(reference.std(), rel=0.025)
        assert abs(skew(own) - skew(reference)) < 0.08
        skews.append(skew(reference))
    assert max(abs(s) for s in skews) > 0.4


# ------------------------------------------------------------------------------------------- half selected


def test_half_pulses_of_a_sample():
    # counted slot by slot: in each phase every line fires once in each of its slots; where both fire towards the
    # device's own direction they make a full pulse in place of two halves
    rng = np.random.default_rng(0)
    words = [rng.integers(0, 2**31, n, dtype=np.uint32) for n in (5, 4)]
    negative = [rng.random(n) < 0.5 for n in (5, 4)]
    rows, columns = (
        Lines(jnp.asarray(w), jnp.ones(w.shape), jnp.int32(31), jnp.asarray(s))
        for w, s in zip(words, negative, strict=True)
    )
    event = event_hash(jax.random.key(0), 0, (5, 4))
    up, down = jax.jit(lambda r, c: half_selected(r, c, StochasticTrain().counts(r, c, event)))(rows, columns)
    for i, j in np.ndindex(5, 4):
        goes_up = negative[0][i] != negative[1][j]
        halves = {True: 0, False: 0}
        for slot in range(31):
            row, column = (int(words[side][k]) >> slot & 1 for side, k in ((0, i), (1, j)))
            for phase_up in (True, False):
                full = row and column and phase_up == goes_up
                halves[phase_up] += 0 if full else row + column
        assert (int(up[i, j]), int(down[i, j])) == (halves[True], halves[False])


def test_disturb_is_refused_where_it_would_do_nothing(key):
    params = (jnp.zeros((3, 2)),)
    for train, message in ((MeanCount(), "False with MeanCount"), (StochasticTrain(), "False for pulsed devices")):
        rule = PulsedSGD(synapse=PulsedSynapse(CMO), key=key, learning_rate=0.1, train=train, disturb=True)
        with pytest.raises(InputError, match=f"`disturb` must be {message}"):
            jax.eval_shape(lambda: rule.update(None, rule.init(params), params, factors=[some_factors(2, 3, 2)]))  # noqa: B023
