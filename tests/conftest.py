"""Shared fixtures (float64 where a test asks for it, the project's card, typed keys), and how tests compile."""

import gc
from pathlib import Path

import hypothesis
import jax
import pytest

import hfsim

# the first example compiles: no deadline for one example
hypothesis.settings.register_profile("compiled", deadline=None)
hypothesis.settings.load_profile("compiled")


def pytest_configure(config):
    """Keep programs that take long to compile, for the other workers and for the next time: many runs are of the same.

    A largest size has the cache take turns by a lock: else a worker could read what another one is still writing.
    """
    jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("compiled")))
    jax.config.update("jax_compilation_cache_max_size", 2**30)


@pytest.fixture
def x64():
    """Double precision inside one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def card():
    """The card of the hybrid chip."""
    return hfsim.load_card("cea-leti-2025-hybrid")


@pytest.fixture
def key():
    """A typed key."""
    return jax.random.key(0)


MANY_MAPPINGS = 25_000  # at 65,530 Linux, unless told otherwise, kills a process that maps more; these hold 3 GB


def _mappings():
    """Pieces of memory that the process has mapped, six a compiled program; 0 where the system does not tell."""
    try:
        with Path("/proc/self/maps").open("rb") as lines:
            return sum(1 for _ in lines)
    except OSError:
        return 0


def _quick(item):
    return item.get_closest_marker("optimised") is None


def pytest_collection_modifyitems(items):
    """Probe the installation first: wrong products would fail everything else without saying why."""
    items.sort(key=lambda item: (item.path.name != "test_installation.py", _quick(item)))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    """Let the compiler optimise less, fixtures included: half of its time, which is most of the tests' time.

    The numbers are the same but for rounding. Tests marked `optimised` run the programs that users run.
    """
    if jax.config.read("jax_disable_most_optimizations") != _quick(item):
        jax.clear_caches()  # a program is kept as it was compiled
        jax.config.update("jax_disable_most_optimizations", _quick(item))
        # to keep a small program takes longer than to compile it; what a job compiles, its resumed run does again
        kept = 1.0 if _quick(item) else 0.3
        jax.config.update("jax_persistent_cache_min_compile_time_secs", kept)
    result = yield
    if nextitem is not None and nextitem.path != item.path and _mappings() > MANY_MAPPINGS:
        jax.clear_caches()
        gc.collect()
    return result


def pytest_collection_finish():
    """Collect garbage more rarely: tracing allocates much and leaves little, and the modules stay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 50)
