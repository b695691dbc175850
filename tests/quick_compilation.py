"""Less optimisation by the compiler: half of the compile time, which is most of these tests' time.

Used by the tests of single models, whose programs are large and run for microseconds. The results are the same
numbers but for rounding; the fused programs that users run are tested in tests/hybrid/test_array.py, tests/learning,
tests/training and the notebooks, and timed in benchmarks.
"""

import jax
import pytest


@pytest.fixture(autouse=True)
def quick_compilation():
    """Every compilation inside the test."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
