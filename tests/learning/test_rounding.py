"""How a real step becomes an integer: values, means and gradient rules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.draws import event_hash, hashed_uniform
from hfsim.estimators import Exact, Soft
from hfsim.learning import Nearest, Stochastic, Truncate

STEPS = np.array([-2.7, -1.0, -0.5, -0.2, 0.0, 0.2, 0.5, 1.0, 1.5, 2.7], np.float32)


def test_nearest_rounds_to_the_nearest_integer():
    np.testing.assert_array_equal(Nearest()(jnp.asarray(STEPS), None), [-3, -1, 0, 0, 0, 0, 0, 1, 2, 3])


def test_truncate_rounds_towards_zero():
    np.testing.assert_array_equal(Truncate()(jnp.asarray(STEPS), None), [-2, -1, 0, 0, 0, 0, 0, 1, 1, 2])


@pytest.mark.parametrize("uniform", [0.0, 0.3, 0.9999])
def test_stochastic_gives_one_of_the_two_nearest_integers(uniform):
    rounded = np.asarray(Stochastic()(jnp.asarray(STEPS), jnp.full(STEPS.shape, uniform)))
    whole = STEPS == np.round(STEPS)
    np.testing.assert_array_equal(rounded[whole], STEPS[whole])
    assert np.all((rounded == np.floor(STEPS)) | (rounded == np.ceil(STEPS)))


@pytest.mark.parametrize("step", [-1.75, -0.5, -0.01, 0.0, 0.01, 0.3, 2.5])
def test_stochastic_is_exact_in_the_mean(step):
    # with the very uniforms that the memory uses
    uniform = hashed_uniform(event_hash(jax.random.key(0), 3, (400, 400)))
    rounded = np.asarray(Stochastic()(jnp.full(uniform.shape, step), uniform), np.float64)
    share = step - np.floor(step)
    assert abs(rounded.mean() - step) <= 4 * np.sqrt(share * (1 - share) / uniform.size)


def test_only_stochastic_needs_random_numbers():
    assert [rounding.needs_uniform for rounding in (Nearest, Truncate, Stochastic)] == [False, False, True]


ROUNDINGS = [Nearest, Truncate, Stochastic]


def slopes(rounding):
    uniform = jnp.full(STEPS.shape, 0.4)
    return jax.grad(lambda step: jnp.sum(rounding(step, uniform)))(jnp.asarray(STEPS))


@pytest.mark.parametrize("kind", ROUNDINGS)
def test_straight_through_by_default(kind):
    np.testing.assert_array_equal(slopes(kind()), 1.0)


@pytest.mark.parametrize("kind", ROUNDINGS)
def test_exact_has_no_gradient(kind):
    np.testing.assert_array_equal(slopes(kind(Exact())), 0.0)


@pytest.mark.parametrize("kind", ROUNDINGS)
def test_soft_is_differentiated_as_it_is_computed(kind, x64):
    rounding = kind(Soft(width=0.2))
    steps = jnp.asarray([-2.7, -0.3, 0.3, 0.7, 1.2])
    uniform = jnp.full(steps.shape, 0.15)
    got = jax.grad(lambda step: jnp.sum(rounding(step, uniform)))(steps)
    expected = (rounding(steps + 1e-5, uniform) - rounding(steps - 1e-5, uniform)) / 2e-5
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ROUNDINGS)
def test_forward_mode_agrees_with_reverse_mode(kind):
    uniform = jnp.full(STEPS.shape, 0.4)
    step = jnp.asarray(STEPS)
    tangent = jax.jvp(lambda s: kind()(s, uniform), (step,), (jnp.ones_like(step),))[1]
    np.testing.assert_array_equal(tangent, slopes(kind()))
