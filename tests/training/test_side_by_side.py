"""Systems side by side are systems of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from training.hybrid.side_by_side import SideBySide


def _one(key, system, part, shared):
    """A walk through the products of a part, and how far it went."""
    step = jax.random.normal(key, system.shape) + part @ shared
    return jnp.tanh(system + step), jnp.sum(step)


@pytest.fixture
def case():
    generator = np.random.default_rng(0)
    systems, shared = (jnp.asarray(generator.normal(size=size), jnp.float32) for size in ((5, 4), (6, 4)))
    return jax.random.split(jax.random.key(0), 5), systems, list(np.float32(generator.normal(size=(3, 6)))), shared


def test_each_is_a_run_of_its_own_to_the_bit(case):
    keys, systems, parts, shared = case
    found, totals = SideBySide(_one, together=False)(keys, systems, parts, shared)
    for index, key in enumerate(keys):
        alone, total = SideBySide(_one, together=False)(keys[index : index + 1], systems[index][None], parts, shared)
        np.testing.assert_array_equal(found[index], alone[0])
        np.testing.assert_array_equal(totals[index], total[0])
        state, sums = systems[index], 0.0
        for part in parts:
            state, number = jax.jit(_one)(key, state, part, shared)
            sums += float(number)
        np.testing.assert_array_equal(found[index], state)
        assert float(totals[index]) == pytest.approx(sums, rel=1e-6)


def test_together_is_the_same_but_for_rounding(case):
    apart, together = (SideBySide(_one, together=how)(*case) for how in (False, True))
    for a, b in zip(apart, together, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_an_error_in_one_ends_them_all(case):
    keys, systems, parts, shared = case
    with pytest.raises(TypeError):
        SideBySide(_one, together=False)(keys, systems, [*parts[:2], np.ones(5, np.float32)], shared)
