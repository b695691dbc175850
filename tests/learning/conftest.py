"""Weights and factors that the tests of the memory share."""

import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.learning import Factors
from tests.hybrid_memories import SHAPES, normal


@pytest.fixture(scope="module")
def params():
    return normal(0, SHAPES, 0.2)


@pytest.fixture(scope="module")
def factors():
    """Factors of twenty samples of both matrices."""
    rng = np.random.default_rng(1)
    return tuple(
        Factors(jnp.asarray(rng.normal(size=(20, a)), float), jnp.asarray(0.1 * rng.normal(size=(20, b)), float))
        for a, b in SHAPES.values()
    )
