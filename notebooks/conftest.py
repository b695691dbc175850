"""Where tests execute notebooks, these compile as quick tests do (tests/conftest.py)."""

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    """Let the kernel's compiler optimise less, and keep what takes it long."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        environment.setenv("JAX_COMPILATION_CACHE_DIR", str(item.config.cache.mkdir("compiled")))
        environment.setenv("JAX_COMPILATION_CACHE_MAX_SIZE", str(2**30))
        return (yield)
