"""Weights as a chip would read them, against the device models and the memory, and what training with them is worth."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from sklearn.datasets import load_digits

from hfsim.circuits.converters import DAC
from hfsim.crossbar import SingleEnded
from hfsim.crossbar.weight_scaling import LargestWeight, UnscaledWeights, WeightDeviations
from hfsim.errors import InputError
from hfsim.estimators import Exact
from hfsim.learning.programmed_memory import ProgrammedMemory
from hfsim.nn.hardware_aware import FixedTime, HardwareAware, LogUniformTime, kernels, matrices, quantised

DAY, YEARS = 86400.0, 315576000.0
CARDS = ("cmo-hfox-2025", "wan-2022-reram", "pcm-nandakumar-2019")


def uniform(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


def aware_of(card="cmo-hfox-2025", seconds=YEARS, **options):
    options = {"scaling": UnscaledWeights(), "analog": matrices, **options}
    return HardwareAware.from_card(card, time=FixedTime(seconds), **options)


perturbed = jax.jit(lambda aware, params, key, seconds=None: aware.perturbed(params, key, seconds))


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("sampling", ["moments", "trajectory"])
def test_perturbed_weights_have_the_law_of_a_programmed_memory(card, sampling):
    """Mean and deviation at ten years without read noise, against `ProgrammedMemory`: 3600 weights on a side.

    Their errors: sigma sqrt(2/n) and 1/sqrt(n) of the deviation (1.7 %); tails of phase change are not normal.
    """
    W = uniform(0, 60, 60)
    ours = np.asarray(perturbed(aware_of(card, noise=None, sampling=sampling), W, jax.random.key(1)) - W)
    memory = ProgrammedMemory.from_card(card, key=jax.random.key(2))
    other = np.asarray(jax.jit(lambda m: m.wait(W, m.init(W), YEARS)[0])(memory) - W)
    error = np.std(other) * np.sqrt(2 / W.size)
    assert np.mean(ours) == pytest.approx(np.mean(other), abs=4 * error)
    assert np.std(ours) == pytest.approx(np.std(other), rel=0.07)
    # in proportion to the weight, what drift takes away
    slopes = [float(jnp.sum(e * W) / jnp.sum(W**2)) for e in (ours, other)]
    assert slopes[0] == pytest.approx(slopes[1], abs=4 * np.sqrt(3) * error)


def test_read_noise_and_factors_add_up():
    """Variances of the weights at a day, by their closed forms in uS: programming, relaxation, one read."""
    W = jnp.zeros((80, 80))  # 48.6 uS, far from the window's ends
    G = 48.6
    programming, relaxation = 0.00106879 * G + 0.00081107, 0.41183342 + 0.04201137 * np.log(DAY)
    read = 0.0277316 * np.log10(G) * np.sqrt(np.log(DAY / 2e-6))
    spread = np.hypot(programming, relaxation)
    for options, expected in (
        (dict(noise=None), spread),
        (dict(), np.hypot(spread, read)),
        (dict(spread_factor=3.0, noise=None), 3 * spread),
        (dict(spread_factor=0.0), read),
        (dict(spread_factor=0.0, noise=None), 0.0),
    ):
        error = np.asarray(perturbed(aware_of(seconds=DAY, **options), W, jax.random.key(0)))
        assert np.std(error) * 39.6 == pytest.approx(expected, rel=0.05, abs=1e-5)
        assert np.mean(error) * 39.6 == pytest.approx(-0.08900206 * np.log(DAY), abs=5 * expected / 80 + 1e-4)


def test_times_are_uniform_in_their_logarithm_and_one_for_all_leaves():
    law = LogUniformTime(first=1.0, last=1e8)
    keys = jax.random.split(jax.random.key(0), 4000)
    t = np.log10(np.asarray(jax.jit(jax.vmap(law.seconds))(keys)))
    assert t.min() >= 0 and t.max() <= 8
    assert np.mean(t) == pytest.approx(4.0, abs=5 * 8 / np.sqrt(12 * 4000))
    assert np.std(t) == pytest.approx(8 / np.sqrt(12), rel=0.05)
    params = [jnp.zeros((30, 30)), jnp.zeros((20, 40))]
    aware = HardwareAware.from_card(
        "cmo-hfox-2025", time=law, scaling=UnscaledWeights(), analog=matrices, spread_factor=0.0, noise=None
    )
    shifts = [[float(jnp.mean(w)) for w in perturbed(aware, params, key)] for key in keys[:4]]
    assert all(a == pytest.approx(b, abs=1e-6) for a, b in shifts)
    assert len({round(a, 6) for a, _ in shifts}) == 4
    given = perturbed(aware, params, keys[0], DAY)[0]
    np.testing.assert_allclose(given, -0.08900206 * np.log(DAY) / 39.6, rtol=1e-3)


def test_same_key_same_chip_and_leaves_differ():
    params = [uniform(0, 4, 3), uniform(0, 4, 3)]
    one, again = (perturbed(aware_of(), params, jax.random.key(3)) for _ in range(2))
    other = perturbed(aware_of(), params, jax.random.key(4))
    np.testing.assert_array_equal(one[0], again[0])
    assert not np.allclose(one[0], other[0]) and not np.allclose(one[0], one[1])


def test_which_leaves_are_on_devices():
    """All kernels of a flax network, seen as matrices; biases, norms and look-ups stay; a count moves the border."""
    r = nnx.Rngs(0)
    network = nnx.Sequential(nnx.Conv(2, 3, (3, 3), rngs=r), nnx.LayerNorm(3, rngs=r), nnx.Linear(3, 4, rngs=r))
    graph, params = nnx.split(network)
    aware = aware_of(analog=kernels, scaling=LargestWeight())
    new = perturbed(aware, params, jax.random.key(0))
    moved = {
        jax.tree_util.keystr(path, simple=True, separator="."): not np.array_equal(a, b)
        for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(new), strict=True)
    }
    assert sorted(name for name, changed in moved.items() if changed) == [
        "layers.0.kernel.value",
        "layers.2.kernel.value",
    ]
    assert nnx.merge(graph, new)(jnp.ones((1, 5, 5, 2))).shape == (1, 5, 5, 4)
    # with two of three axes as inputs a column is (4 x 5) weights of one output: each has a scale of its own
    W = {"kernel": uniform(1, 4, 5, 6) * jnp.asarray([1, 10, 100, 1000, 1e4, 1e5])}
    exact = aware_of(analog=lambda names, leaf: 2, scaling=LargestWeight(), spread_factor=0.0, noise=None, seconds=0.0)
    np.testing.assert_allclose(perturbed(exact, W, jax.random.key(0))["kernel"], W["kernel"], rtol=2e-3, atol=1e-5)
    with pytest.raises(InputError, match="analog"):
        perturbed(aware_of(analog=lambda names, leaf: 3), W, jax.random.key(0))
    with pytest.raises(InputError, match="all digital"):
        perturbed(aware_of(analog=kernels), {"weights": W["kernel"]}, jax.random.key(0))


def test_clipping_at_deviations_and_levels():
    """A weight of 10 in a column of deviation s = 2.5: at 1 deviation it reads s; levels are those of a numpy loop."""
    W = jnp.asarray([[10.0], [1.0], [-1.0], [0.5]] * 4)
    exact = dict(spread_factor=0.0, noise=None, seconds=0.0)
    s = float(jnp.sqrt(jnp.mean(W**2)))
    read = perturbed(aware_of(scaling=WeightDeviations(deviations=1.0), **exact), W, jax.random.key(0))
    np.testing.assert_allclose(read[:4, 0], [s, 1.0, -1.0, 0.5], atol=1e-3)
    w = uniform(3, 7, 5)
    grid = np.linspace(-1, 1, 9)
    nearest = grid[np.argmin(np.abs(np.asarray(w)[..., None] - grid), axis=-1)]
    np.testing.assert_allclose(perturbed(aware_of(levels=9, **exact), w, jax.random.key(0)), nearest, atol=1e-4)


def test_gradients_by_their_estimators():
    """Inside the window 1 (straight-through for levels), beyond it 0 or straight-through, rounded exactly 0."""
    exact = dict(spread_factor=0.0, noise=None, seconds=0.0)
    w = jnp.asarray([[0.31], [-0.52]])

    def slope(aware, W):
        return np.asarray(jax.grad(lambda W: jnp.sum(aware.perturbed(W, jax.random.key(0))))(W))

    np.testing.assert_allclose(slope(aware_of(**exact), w), 1.0, rtol=1e-5)
    np.testing.assert_allclose(slope(aware_of(levels=5, **exact), w), 1.0, rtol=1e-5)
    np.testing.assert_allclose(slope(aware_of(levels=5, estimator=Exact(), **exact), w), 0.0, atol=1e-6)
    np.testing.assert_allclose(slope(aware_of(**exact), jnp.asarray([[1.5], [0.5]])), [[0.0], [1.0]], atol=1e-5)
    # clipped at one deviation: straight-through 1 everywhere, exactly that of s = sqrt(mean W^2) for the largest
    exact["encoding"] = SingleEnded(G_min=20.0, G_max=80.0)  # its ends lie inside the devices' window
    W = jnp.asarray([[4.0], [0.5], [-0.5]])
    through = WeightDeviations(deviations=1.0, gradient="straight-through")
    np.testing.assert_allclose(slope(aware_of(scaling=through, **exact), W), 1.0, rtol=1e-4)
    root = np.sqrt(np.mean(np.square(W)))
    expected = np.asarray([[0.0], [1.0], [1.0]]) + np.asarray(W) / (3 * root)
    np.testing.assert_allclose(
        slope(aware_of(scaling=WeightDeviations(deviations=1.0), **exact), W), expected, rtol=1e-4
    )


def test_gradients_are_those_of_differences_with_held_draws(x64):
    W = jnp.asarray(uniform(5, 4, 3), jnp.float64)
    for card in CARDS:
        aware = aware_of(card, scaling=LargestWeight())

        @jax.jit
        def total(s, aware=aware):
            return jnp.sum(jnp.arange(12.0).reshape(4, 3) * aware.perturbed(W + s * W**2, jax.random.key(7)))

        h = 1e-5
        assert float(jax.grad(total)(0.0)) == pytest.approx(float(total(h) - total(-h)) / (2 * h), rel=1e-5)


def test_quantised_activations():
    x = uniform(6, 5, 8) * 3
    step = np.max(np.abs(x), axis=1, keepdims=True) / 31
    np.testing.assert_allclose(quantised(x, DAC(bits=6)), np.round(np.asarray(x) / step) * step, rtol=1e-5)
    slope = jax.grad(lambda x: jnp.sum(quantised(x, DAC(bits=6), None)[0, :1]))(x)
    assert np.isfinite(np.asarray(slope)).all() and float(jnp.abs(slope).sum()) > 0


def test_refusals():
    for options, name in (
        (dict(levels=1), "levels"),
        (dict(sampling="exact"), "sampling"),
        (dict(acceptance=0.2), "acceptance"),
    ):
        with pytest.raises(InputError, match=name):
            aware_of("wan-2022-reram" if name == "acceptance" else "cmo-hfox-2025", **options)
    retention = aware_of().retention
    with pytest.raises(InputError, match="time"):
        HardwareAware(retention, SingleEnded(G_min=9.0, G_max=88.2), DAY)
    with pytest.raises(InputError, match="key"):
        aware_of().perturbed([jnp.ones((2, 2))], 0)


# Training

STEPS, BATCH, SEEDS, CHIPS, AMPLIFIED = 200, 100, 6, 8, 4.0


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    return jnp.asarray(images / 16, jnp.float32), jnp.asarray(labels)


def logits(params, x):
    h = jax.nn.relu(x @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    return h @ params["out"]["kernel"] + params["out"]["bias"]


def initial(key):
    one, two = jax.random.split(key)
    return {
        "hidden": {"kernel": jax.random.normal(one, (64, 16)) / 8, "bias": jnp.zeros(16)},
        "out": {"kernel": jax.random.normal(two, (16, 10)) / 4, "bias": jnp.zeros(10)},
    }


def test_training_with_the_devices_errors_keeps_more_accuracy_at_ten_years(digits):
    """64-16-10 on digits, deviations of CMO/HfOx amplified four times (its own take 1 to 2 % off).

    Six seeds, each with and without, on the same eight chips: the mean difference is beyond three standard errors.
    """
    images, labels = digits
    aware = HardwareAware.from_card(
        "cmo-hfox-2025",
        time=LogUniformTime(first=1.0, last=YEARS),
        spread_factor=AMPLIFIED,
        scaling=LargestWeight(),
    )
    optimiser = optax.adam(2e-2)

    @jax.jit
    def both(aware, key):
        def trained(with_errors):
            def step(carry, i):
                params, state = carry
                own = jax.random.fold_in(key, i)
                chosen = jax.random.randint(jax.random.fold_in(own, 1), (BATCH,), 0, 1200)

                def loss(params):
                    read = aware.perturbed(params, own) if with_errors else params
                    each = optax.softmax_cross_entropy_with_integer_labels(logits(read, images[chosen]), labels[chosen])
                    return each.mean()

                updates, state = optimiser.update(jax.grad(loss)(params), state, params)
                return (optax.apply_updates(params, updates), state), None

            start = initial(jax.random.fold_in(key, STEPS))
            return jax.lax.scan(step, (start, optimiser.init(start)), jnp.arange(STEPS))[0][0]

        def accuracy(params):
            return jnp.mean(jnp.argmax(logits(params, images[1200:]), axis=-1) == labels[1200:])

        def at_ten_years(params):
            chips = jax.random.split(jax.random.key(99), CHIPS)
            return jnp.mean(jax.lax.map(lambda chip: accuracy(aware.perturbed(params, chip, YEARS)), chips))

        plain, robust = trained(False), trained(True)
        return jnp.stack([accuracy(plain), at_ten_years(plain), at_ten_years(robust)])

    keys = jax.random.split(jax.random.key(5), SEEDS)
    digital, plain, robust = np.asarray([both(aware, key) for key in keys]).T
    gain = robust - plain
    assert digital.mean() > 0.88
    assert plain.mean() < digital.mean() - 0.03
    assert gain.mean() > 3 * gain.std(ddof=1) / np.sqrt(SEEDS) and gain.mean() > 0.01


def test_networks_of_analogue_weights_train_with_it_too():
    """An `nnx.State` as the tree: one step of SGD on a perturbed network moves it."""
    layer = nnx.Linear(6, 4, rngs=nnx.Rngs(0))
    graph, params = nnx.split(layer)
    aware = dataclasses.replace(aware_of(scaling=LargestWeight()), analog=kernels)
    x = uniform(0, 8, 6)

    def loss(params, key):
        return jnp.mean(nnx.merge(graph, aware.perturbed(params, key))(x) ** 2)

    gradient = jax.jit(jax.grad(loss))(params, jax.random.key(0))
    assert float(jnp.abs(gradient["kernel"].get_value()).sum()) > 0
