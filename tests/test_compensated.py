"""A compensated sum keeps what a plain one rounds off."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.compensated import Compensated

pytestmark = pytest.mark.optimised


def test_ten_million_half_cycles_are_counted_in_single_precision():
    # 1e7 steps of 0.3 on top of 1e8: a plain float32 sum would not move at all
    def step(total, _):
        return total.add(jnp.float32(0.3)), None

    start = Compensated(jnp.float32(1e8), jnp.float32(0.0))
    total = jax.jit(lambda s: jax.lax.scan(step, s, None, length=10_000_000)[0])(start)
    assert abs(float(total.value) + float(total.remainder) - 1.03e8) < 1e-6 * 3e6 + 8
    assert float(jnp.float32(1e8) + jnp.float32(0.3)) == 1e8


def test_it_is_element_wise():
    total = Compensated.zero((2,)).add(jnp.array([1.0, 2.0])).add(jnp.array([0.5, 1e-9]))
    np.testing.assert_allclose(total.value, [1.5, 2.0])
    np.testing.assert_allclose(total.remainder, [0.0, 1e-9])
