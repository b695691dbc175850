"""One compiled program for many systems.

On an accelerator they are advanced together, along a leading axis. On a CPU the words of several networks do not stay
in a core's cache (five together take seven times as long as one): there each is advanced by itself, as many at once as
there are cores, each through an epoch in parts so that cores end together. A system's numbers are then those of a run
of its own, to the bit, whatever the number of systems or cores.
"""

import os
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


class SideBySide:
    """A pure function of one system, compiled once.

    Args:
        one: (key, system, part, shared) -> (system, a number); `part` may be any tree of arrays, `shared`
            any tree whose other leaves are compiled in.
        together: advance all systems in one call; None does so where there is an accelerator.
    """

    def __init__(self, one: Callable[[Any, Any, Any, Any], tuple[Any, Any]], together: bool | None = None):
        self.together = jax.default_backend() != "cpu" if together is None else together
        self._program = eqx.filter_jit(self._all if self.together else one)
        self._one = one

    def _all(self, keys, systems, part, shared):
        return jax.vmap(lambda key, system: self._one(key, system, part, shared))(keys, systems)

    def __call__(
        self, keys: Key[Array, " systems"], systems: Any, parts: Sequence[Any], shared: Any
    ) -> tuple[Any, Float[Array, " systems"]]:
        """Every system (leading axis) after all `parts` in their order, and the sum of the numbers of its parts."""
        if self.together:
            totals = jnp.zeros(len(keys))
            for part in parts:
                systems, numbers = self._program(keys, systems, part, shared)
                totals = totals + numbers
            return systems, totals
        separate = [jax.tree.map(lambda leaf, i=i: leaf[i], systems) for i in range(len(keys))]
        numbers = [[] for _ in separate]
        waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        for index in range(len(separate)):
            waiting.put(index)

        def advance() -> None:
            """The next part of the system that has waited longest."""
            index = waiting.get()
            if index is None:
                return
            try:
                result = self._program(keys[index], separate[index], parts[len(numbers[index])], shared)
                separate[index], number = jax.block_until_ready(result)
            except BaseException:
                for _ in range(len(separate) * len(parts)):
                    waiting.put(None)  # nobody waits for a system that failed
                raise
            numbers[index].append(number)
            if len(numbers[index]) < len(parts):
                waiting.put(index)

        with ThreadPoolExecutor(min(cores(), len(separate))) as pool:
            done = [pool.submit(advance) for _ in range(len(separate) * len(parts))]
            try:
                for one in done:
                    one.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *separate)
        return stacked, jnp.stack([sum(own) for own in numbers])


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
