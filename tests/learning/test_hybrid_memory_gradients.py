"""Gradients through updates and transfers of the hybrid memory."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.estimators import Exact, Soft, StraightThrough
from hfsim.learning import Nearest
from tests.finite_differences import Unrounded, check_parameter_gradients
from tests.hybrid_memories import (
    STEP,
    learn,
    make,
)

UNTOUCHED = tuple(
    # a mask is drawn, and which words it hits has no gradient in its probability; nothing relaxes here
    ["probability"]
    + [f"memristor.{n}" for n in ("V_C", "G_reset", "sigma_reset", "sigma_set", "nu", "sigma_u", "t_0", "E_relax")]
)


@pytest.fixture
def weight_space(x64):
    """A memory, words in the middle of their codes, and a loss of the weights after four samples and two
    transfers. The gradients of the samples are given, so that only the memory is differentiated."""
    rng = np.random.default_rng(0)
    shape = (4, 3)
    stored = (64 * rng.integers(0, 7, shape) + 32.0) * rng.choice([-1.0, 1.0], shape)
    gradients = jnp.asarray(rng.normal(size=(4, *shape))) * 3 * STEP
    factors = jnp.asarray(rng.normal(size=shape))

    def problem(loss, **changes):
        memory = make(period=2, key=jax.random.key(1), **changes)
        params = {"a": jnp.asarray(stored) / 512}
        state = memory.init(params)
        began = memory.programmed(params, state)

        def scalar(memory):
            (weights, _), _ = learn.__wrapped__(memory, began, state, {"a": gradients})
            return loss(weights["a"], factors)

        return memory, scalar

    return problem


def quadratic(weights, factors):
    return jnp.sum((weights - 0.3 * factors) ** 2)


def linear(weights, factors):
    return jnp.sum(weights * factors)


def test_with_soft_decisions_every_gradient_is_that_of_the_differences(weight_space):
    # soft estimators are smooth forwards, so differences of the very same function are the reference
    memory, scalar = weight_space(
        quadratic, rounding=Nearest(Soft(width=0.2)), estimator=Soft(width=0.2), learning_rate=0.1
    )
    check_parameter_gradients(memory, scalar, insensitive=UNTOUCHED)


def test_straight_through_gradients_are_those_of_the_unrounded_memory(weight_space):
    # Straight-through is exact forwards, a staircase that has no useful differences. What it promises is the
    # slope of the same memory without its decisions; a loss linear in the weights makes the two comparable,
    # since words in the middle of their codes stay on one straight stretch of the level curve either way.
    _, scalar = weight_space(linear, rounding=Nearest(StraightThrough()), estimator=StraightThrough())
    _, smooth = weight_space(linear, rounding=Nearest(Unrounded()), estimator=Unrounded())
    memory = make(period=2, key=jax.random.key(1))

    def of(function, estimator):
        def at(rate, scale):
            return function(
                dataclasses.replace(
                    memory,
                    learning_rate=rate,
                    step_scale=scale,
                    rounding=Nearest(estimator),
                    estimator=estimator,
                )
            )

        return jax.jit(at)

    rate, scale = memory.learning_rate, memory.step_scale
    gradients = jax.grad(of(scalar, StraightThrough()), argnums=(0, 1))(rate, scale)
    reference = of(smooth, Unrounded())
    differences = (
        (reference(1.001 * rate, scale) - reference(0.999 * rate, scale)) / (0.002 * rate),
        (reference(rate, 1.001 * scale) - reference(rate, 0.999 * scale)) / (0.002 * scale),
    )
    assert all(difference != 0 for difference in differences)
    np.testing.assert_allclose(gradients, differences, rtol=1e-6)


def test_level_gradients_need_no_estimator(weight_space):
    # the levels enter smoothly whatever the decisions: differences of the exact staircase are the reference
    memory, scalar = weight_space(quadratic, rounding=Nearest(StraightThrough()), estimator=StraightThrough())
    untouched = (*UNTOUCHED, "rounding.estimator.width", "estimator.width")

    def of_transfer(transfer):
        return scalar(eqx.tree_at(lambda m: m.transfer, memory, transfer))

    check_parameter_gradients(memory.transfer, of_transfer, insensitive=untouched)


def test_with_exact_decisions_the_rate_has_no_gradient(weight_space):
    memory, scalar = weight_space(linear)

    def slope(memory):
        return jax.grad(lambda v: scalar(eqx.tree_at(lambda m: m.learning_rate, memory, v)))(memory.learning_rate)

    assert slope(eqx.tree_at(lambda m: m.estimator, memory, Exact())) == 0
    assert slope(memory) != 0  # straight-through is the default, in rounding and in truncation
