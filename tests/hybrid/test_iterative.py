"""Iterative programming: moments over many devices against closed forms, gradients, the rule that learns with it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm, truncnorm

import hfsim
from hfsim import InputError
from hfsim.hybrid import IterativeTransfer, MeasuredTransfer, memristor
from hfsim.learning import HybridMemory

DEVICES = 200_000
SIGMA = 8.7


@pytest.fixture(scope="module")
def single():
    return MeasuredTransfer.from_card(hfsim.load_card("cea-leti-2025-hybrid"))


def drawn(transfer, code=5.0):
    codes = jnp.full((DEVICES,), code)
    target = jax.jit(lambda t: t.target(codes, codes < 0, None, jax.random.key(1)))
    return np.asarray(target(transfer), np.float64) - float(transfer.levels()[int(code)])


@pytest.mark.parametrize(("tolerance", "attempts"), [(2.0, 20), (4.35, 50), (8.7, 3), (8.7, 1), (40.0, 2)])
def test_moments_are_those_of_the_closed_form(single, tolerance, attempts):
    transfer = IterativeTransfer(single=single, tolerance=tolerance, attempts=attempts)
    off, cut = drawn(transfer), tolerance / SIGMA
    chance = 1 - 2 * norm.cdf(-cut)
    kept = 1 - (1 - chance) ** attempts
    found = transfer.statistics()
    assert float(found.chance) == pytest.approx(chance, rel=1e-5)
    assert float(found.kept) == pytest.approx(kept, rel=1e-5)
    assert float(found.mean) == pytest.approx(kept / chance, rel=1e-5)
    inside = np.abs(off) <= tolerance * (1 + 1e-5)
    assert np.mean(inside) == pytest.approx(kept, abs=4 * np.sqrt(kept * (1 - kept) / DEVICES) + 1e-5)
    spread = SIGMA * truncnorm.std(-cut, cut)
    assert off[inside].std() == pytest.approx(spread, rel=0.01)
    assert abs(off.mean()) < 4 * off.std() / np.sqrt(DEVICES)
    if np.sum(~inside) > 1000:
        tail = SIGMA * truncnorm.mean(cut, np.inf)
        assert np.abs(off[~inside]).mean() == pytest.approx(tail, rel=0.02)
        assert np.mean(off[~inside] > 0) == pytest.approx(0.5, abs=2 / np.sqrt(np.sum(~inside)))


def test_one_attempt_is_the_single_shot(single):
    off = drawn(IterativeTransfer(single=single, tolerance=6.0, attempts=1))
    np.testing.assert_allclose(
        np.quantile(off, [0.01, 0.2, 0.5, 0.8, 0.99]) / SIGMA, [-2.326, -0.8416, 0, 0.8416, 2.326], atol=0.02
    )


def test_the_mean_number_of_attempts_is_that_of_trying(single):
    transfer = IterativeTransfer(single=single, tolerance=3.0, attempts=8)
    tries = np.abs(np.random.default_rng(0).normal(size=(100_000, 8))) <= 3.0 / SIGMA
    first = np.where(tries.any(axis=1), tries.argmax(axis=1) + 1, 8)
    assert float(transfer.statistics().mean) == pytest.approx(first.mean(), rel=0.01)


def test_draws_and_statistics_have_gradients(single, x64):
    single = MeasuredTransfer(mean=single.mean, sigma=SIGMA)
    codes, key = jnp.arange(8.0), jax.random.key(3)

    def number(sigma, tolerance):
        transfer = eqx.tree_at(
            lambda t: (t.single.sigma, t.tolerance), IterativeTransfer(single=single, tolerance=3.0), (sigma, tolerance)
        )
        draws = transfer.target(codes, codes < 0, None, key)
        return jnp.sum(draws * jnp.cos(codes)) + transfer.statistics().mean

    value, slope = jax.jit(number), jax.jit(jax.grad(number, argnums=(0, 1)))
    for at in ((SIGMA, 3.0), (SIGMA, 12.0)):
        for index, found in enumerate(slope(*at)):
            ends = [value(*(v + s * 1e-6 * (i == index) for i, v in enumerate(at))) for s in (1, -1)]
            assert float(found) == pytest.approx(float(ends[0] - ends[1]) / 2e-6, rel=1e-5)
    assert np.all(np.isfinite(slope(SIGMA, 1e3))) and np.all(np.isfinite(slope(1e-3, 1e3)))


def test_a_memory_learns_with_it(single):
    card = hfsim.load_card("cea-leti-2025-hybrid")
    memory = HybridMemory(
        transfer=IterativeTransfer(single=single, tolerance=2.0, twin_noise=True),
        memristor=memristor(card),
        learning_rate=0.1,
        probability=0.2,
        key=jax.random.key(0),
    )
    weights = 0.2 * jax.random.normal(jax.random.key(1), (60, 50))
    held = eqx.filter_jit(lambda m: m.read(weights, m.init(weights)))(memory)
    once = eqx.filter_jit(lambda m: m.read(weights, m.init(weights)))(
        eqx.tree_at(lambda m: m.transfer, memory, MeasuredTransfer(mean=single.mean, sigma=SIGMA, twin_noise=True))
    )
    errors = [float(jnp.std(w - _levels(memory, weights))) for w in (held, once)]
    assert errors[0] < 0.2 * errors[1]


def _levels(memory, weights):
    """What an exact transfer would give."""
    codes = jnp.floor(jnp.abs(jnp.clip(jnp.round(weights * 512), -511, 511)) / 64)
    mean = memory.transfer.levels()
    return jnp.sign(weights) * memory.transfer.weight_per_uS * (jnp.interp(codes, jnp.arange(8.0), mean) - mean[0])


@pytest.mark.parametrize(
    ("changes", "told"), [({"attempts": 0}, "attempts"), ({"tolerance": 0.0}, "tolerance"), ({"single": 3}, "single")]
)
def test_wrong_settings_are_named(single, changes, told):
    with pytest.raises(InputError, match=told):
        IterativeTransfer(**{"single": single, "tolerance": 2.0, **changes})


def test_no_spread_is_refused(single):
    exact = MeasuredTransfer(mean=single.mean, sigma=0.0)
    with pytest.raises(InputError, match="without spread one shot is exact"):
        IterativeTransfer(single=exact, tolerance=2.0)
