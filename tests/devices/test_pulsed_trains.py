"""n pulses at once against n single steps, in numpy: moments over 1e5 devices each, fine and coarse, at the bounds.

Three moments of 1e5 devices are compared. Away from the bounds the closed forms and the scans are exact in them, so
the tolerance is five standard errors (of both sides, by the reference's own fourth and sixth moment). At a bound the
closed form is approximate: 2 % of the larger of the true deviation and of one step's noise, for mean and deviation.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.devices.pulsed import (
    AdditiveNoise,
    CompoundNoise,
    ConstantStep,
    ExponentialStep,
    LinearStep,
    PiecewiseStep,
    PowerStep,
    ProportionalNoise,
    SoftBounds,
    StepTable,
)

COUNT = 100_000
WINDOW = {"w_min": -1.0, "w_max": 1.0, "G_0": 48.6, "g": 39.6}
# a coarse device, as CMO/HfOx under open-loop pulses, and a fine one
COARSE = {"dw_min": 0.0956, "up_down": -0.22, **WINDOW}
FINE = {"dw_min": 0.002, "up_down": 0.1, **WINDOW}
TABLE = StepTable([0.5, 1.2, 1.0, 0.3], [0.2, 0.9, 1.3, 0.8])

LINEAR = {
    "soft bounds, coarse": SoftBounds(**COARSE, noise=AdditiveNoise(0.86)),
    "soft bounds, coarse, proportional": SoftBounds(**COARSE, noise=ProportionalNoise(1.0)),
    "soft bounds, fine": SoftBounds(**FINE, noise=AdditiveNoise(3.75)),
    "soft bounds, HfO2 array": SoftBounds(**{**COARSE, "dw_min": 0.4622, "up_down": 0.0}, noise=AdditiveNoise(0.2174)),
    "constant, coarse": ConstantStep(**COARSE, noise=AdditiveNoise(1.0)),
    "constant, coarse, proportional": ConstantStep(**COARSE, noise=ProportionalNoise(0.86)),
    "linear, coarse": LinearStep(**COARSE, noise=AdditiveNoise(0.86), slope_up=0.3, slope_down=0.6),
    "linear, growing": LinearStep(**COARSE, noise=ProportionalNoise(0.5), slope_up=-0.5, slope_down=-0.2),
}
SCANNED = {
    "power, coarse": PowerStep(**COARSE, noise=ProportionalNoise(0.86), gamma_up=1.6, gamma_down=0.7),
    "exponential, coarse": ExponentialStep(
        **COARSE, noise=CompoundNoise(0.5, 0.03, 0.05), A_up=0.3, A_down=-0.4, gamma_up=1.5, gamma_down=0.8
    ),
    "piecewise, coarse": PiecewiseStep(**COARSE, noise=AdditiveNoise(1.0), table=TABLE),
}
# starting weight and number of pulses: in the middle, onto a bound, at it, and off the other one
CASES = [(0.0, 1), (-0.4, 3), (0.5, -4), (0.2, 31), (0.9, 12), (-1.0, 5), (-0.95, -20)]


def single_steps(device, w, n, seed):
    """n pulses one by one in float64, with numpy's normal numbers."""
    rng = np.random.default_rng(seed)
    up = jnp.asarray(n > 0)
    for _ in range(abs(n)):
        step = np.asarray(device.magnitude(jnp.asarray(w, jnp.float32), up), np.float64)
        std = np.asarray(device.noise.deviation(jnp.asarray(step), jnp.asarray(w), device.dw_min), np.float64)
        w = np.clip(w + np.sign(n) * (step + std * rng.standard_normal(w.shape)), -1.0, 1.0)
    return w


def moments(w):
    z = w - w.mean()
    deviation = z.std()
    z = z / deviation
    return w.mean(), deviation, (z**3).mean(), (z**4).mean(), (z**6).mean()


def clips(w):
    return np.mean((w <= -1.0) | (w >= 1.0)) > 0


@pytest.fixture(scope="module")
def singles():
    """Reference samples by device name, one row a case."""
    devices = {**LINEAR, **SCANNED}
    return {
        name: [single_steps(device, np.full(COUNT, w), n, 10 * i) for i, (w, n) in enumerate(CASES)]
        for name, device in devices.items()
    }


def many(device, **options):
    start = np.broadcast_to([[w] for w, _ in CASES], (len(CASES), COUNT))
    n = jnp.broadcast_to(jnp.asarray([[n] for _, n in CASES]), start.shape)
    state = device.program(device.init(start.shape), start)
    run = jax.jit(lambda state, n, key: device.pulses(state, n, key, limit=31, **options).w)
    return np.asarray(run(state, n, jax.random.key(5)), np.float64)


@pytest.mark.parametrize("name", [*LINEAR, *SCANNED])
def test_n_pulses_have_the_moments_of_n_single_steps(name, singles):
    device = {**LINEAR, **SCANNED}[name]
    got = many(device)
    for (start, n), expected, sample in zip(CASES, singles[name], got, strict=True):
        mean, deviation, skew, fourth, sixth = moments(expected)
        found = moments(sample)
        one = float(
            device.noise.deviation(device.magnitude(jnp.float32(start), jnp.asarray(n > 0)), start, device.dw_min)
        )
        bound = 0.02 * max(deviation, one) if name in LINEAR and clips(expected) and abs(n) > 2 else 0.0
        where = f"{name}: {n} pulses from {start}: {found[:3]} against {(mean, deviation, skew)}"
        assert abs(found[0] - mean) <= 5 * deviation * (2 / COUNT) ** 0.5 + bound, where
        assert abs(found[1] - deviation) <= 5 * deviation * ((fourth - 1) / (2 * COUNT)) ** 0.5 + bound, where
        if not bound or deviation > one:  # pressed against a bound, the skew is that of rare returns
            error = 5 * (2 * (sixth + 9 - 6 * fourth) / COUNT) ** 0.5
            assert abs(found[2] - skew) <= error + (0.05 * (1 + abs(skew)) if bound else 0.005), where


def test_more_rounds_bring_the_bound_closer(singles):
    # the mean of a coarse device pressed against its bound, and one draw alone
    name, case = "constant, coarse", CASES.index((0.9, 12))
    expected = singles[name][case].mean()
    errors = [abs(many(LINEAR[name], rounds=rounds)[case].mean() - expected) for rounds in (1, 2, 4)]
    assert errors[0] > 2 * errors[1] and errors[1] < 0.01 * 0.0956 and errors[2] < 0.005 * 0.0956


@pytest.mark.parametrize("name", [*LINEAR, *SCANNED])
def test_without_noise_n_pulses_are_n_steps_to_rounding(name, x64):
    device = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), jnp.float64), {**LINEAR, **SCANNED}[name])
    n = np.array([0, 1, -1, 2, 7, -12, 31, -31])
    w = np.array([0.3, -1.0, 0.2, 0.9, -0.7, 0.8, -0.99, 0.4])
    state = device.program(device.init((8,)), w)
    together = device.pulses(state, jnp.asarray(n))

    @jax.jit
    def one_by_one(state):
        def step(state, i):
            return device.step(state, jnp.where(i < abs(n), jnp.sign(n), 0)), None

        return jax.lax.scan(step, state, jnp.arange(31))[0]

    np.testing.assert_allclose(together.w, one_by_one(state).w, rtol=1e-12, atol=1e-13)
    assert together.w[0] == state.w[0]


@pytest.mark.parametrize("name", ["soft bounds, coarse", "power, coarse"])
def test_one_pulse_of_a_train_is_the_single_step_of_the_same_key(name, key):
    device = {**LINEAR, **SCANNED}[name]
    state = device.program(device.init((50,)), jnp.linspace(-1.0, 1.0, 50))
    n = jnp.where(jnp.arange(50) % 2 == 0, 1, -1)
    train = jax.jit(lambda: device.pulses(state, n, key))()
    np.testing.assert_allclose(train.w, device.step(state, n, key).w, rtol=1e-6, atol=1e-7)


def test_a_train_longer_than_its_limit_is_loud_inside_jit(key):
    for device in (LINEAR["soft bounds, coarse"], SCANNED["power, coarse"]):
        run = jax.jit(lambda n, d=device: d.pulses(d.init((3,)), n, key, limit=4).w)
        assert np.array_equal(np.isnan(run(jnp.array([4, -5, 0]))), [False, True, False])


def test_zero_pulses_change_nothing_to_the_bit(key):
    for name in ("linear, growing", "constant, coarse", "piecewise, coarse"):
        device = {**LINEAR, **SCANNED}[name]
        state = device.program(device.init((4,)), jnp.array([-1.0, -0.3, 0.123, 1.0]), key)
        after = jax.jit(lambda d=device, s=state: d.pulses(s, jnp.zeros(4, int), key, limit=8))()
        assert np.array_equal(after.w, state.w) and np.array_equal(after.error, state.error)


def test_the_gradient_of_a_mean_through_noise_is_that_of_the_mean(x64):
    # E w = w + n a_up away from the bounds; with the noise proportional to dw_min its draws average out
    device = ConstantStep(dw_min=0.001, up_down=0.2, **WINDOW, noise=AdditiveNoise(1.0))
    device = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), jnp.float64), device)

    def mean(dw_min, n):
        moved = eqx.tree_at(lambda d: d.dw_min, device, dw_min)
        return moved.pulses(moved.init((20_000,)), n, jax.random.key(0), rounds=1).w.mean()

    forward, reverse = (jax.jit(d(mean)) for d in (jax.jacfwd, jax.jacrev))
    for n, expected in ((5, 5 * 1.2), (-7, -7 * 0.8)):
        slopes = [float(d(jnp.float64(0.001), jnp.int32(n))) for d in (forward, reverse)]
        assert slopes[0] == pytest.approx(slopes[1], rel=1e-10)
        assert slopes[0] == pytest.approx(expected, abs=5 * (abs(n) / 20_000) ** 0.5)
