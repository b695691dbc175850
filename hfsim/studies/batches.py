"""One compiled program for the chips of a study: a batch at a time, shared out over the devices of a mesh.

A device loops over its share of the batch, `together` chips a step, and the number of steps is an argument: the body,
which holds all of the arithmetic, is compiled for one shape whatever the batch, so that a chip's numbers do not depend
on its neighbours, on the batch or on how many devices share it. Each device runs a program of its own, the same for
all: a program partitioned over several devices is simplified in another order than one for a single device, and rounds
otherwise. The size of a batch follows from what the compiler says that the program needs and from what memory there is.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding
from jaxtyping import Array, Int, Key

from hfsim.errors import InputError
from hfsim.studies.chips import AbstractChips, chip_keys

AXIS = "chip"
MEMORY_SHARE = 0.5
"""Of the memory that is free, what a study takes at most. Chosen: results wait in numpy beside the program's own."""
SHRINK = 0.95
"""Of the batch that would just fit if all memory grew with it. Chosen: what is rounded up fits the first time."""
_IN_FLIGHT = 2
"""Batches whose results exist at once: one is computed while the one before is stored."""
_MEMORY_INFORMATION = Path("/proc/meminfo")
_LIMITS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


class Compiled(NamedTuple):
    """Programs of all devices for batches of one size.

    Args:
        runs: of each device: (arrays, key, first chip, how many) -> results, of which the first `how many` are meant.
        arguments: arrays and key, on each device.
        share: chips of a batch that one device computes.
        bytes: that each device needs, results in flight included.
    """

    runs: tuple[Callable[..., Any], ...]
    arguments: tuple[Any, ...]
    share: int
    bytes: int

    @property
    def batch(self) -> int:
        """Chips of a whole batch."""
        return self.share * len(self.runs)


class Program:
    """The experiment on the chips of a population, ready to be compiled for any batch.

    Args:
        experiment: (devices, key) -> tree of arrays.
        chips: of which devices are drawn.
        key: of the study.
        mesh: whose devices share the work; None takes all local ones.
        together: chips that a device computes at once. Their numbers may depend on it by rounding.
        batch: chips a call; None takes as many as memory holds, at most what is asked for.

    Raises:
        InputError: a count below 1; a mesh without a device of this process; results that are no real numbers.
    """

    def __init__(
        self,
        experiment: Callable[[Any, Key[Array, ""]], Any],
        chips: AbstractChips,
        key: Key[Array, ""],
        *,
        mesh: Mesh | None = None,
        together: int = 1,
        batch: int | None = None,
    ):
        for name, count in (("together", together), ("batch", batch)):
            if count is not None and (not isinstance(count, int) or count < 1):
                raise InputError(name, "be an integer >= 1", repr(count))
        self.together, self._wanted, self._key = together, batch, key
        self._mesh = _local(mesh)
        self._arrays, self._static = eqx.partition((experiment, chips), eqx.is_array)
        self.shapes = jax.eval_shape(self._chip, self._arrays, key, jax.ShapeDtypeStruct((), jnp.int32))
        _require_numbers(self.shapes)
        self._compiled: Compiled | None = None

    @property
    def devices(self) -> int:
        """Devices that share a batch."""
        return self._mesh.size

    @property
    def chip_bytes(self) -> int:
        """Size of one chip's results."""
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(self.shapes))

    def digest(self) -> str:
        """Fingerprint of what is computed of a chip: the lowered program and every number that goes into it."""
        chip = jax.ShapeDtypeStruct((), jnp.int32)
        lowered: Any = jax.jit(self._chip).lower(self._arrays, self._key, chip).compiler_ir("stablehlo")
        parts = [lowered.operation.get_asm(large_elements_limit=None, enable_debug_info=False).encode()]
        for leaf in jax.tree.leaves(self._arrays):
            typed = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            value = np.asarray(jax.random.key_data(leaf) if typed else leaf)
            parts += [str((value.dtype, value.shape)).encode(), np.ascontiguousarray(value).tobytes()]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]

    def compiled(self, most: int) -> Compiled:
        """The program for at most `most` chips a call, made once.

        Raises:
            InputError: not even the least batch fits into memory.
        """
        if self._compiled is None:
            self._compiled = self._fit(most)
        return self._compiled

    def start(self, first: int, count: int) -> Any:
        """Set off the batch of `count` chips from number `first` on.

        Returns:
            Results, sharded over the mesh, that may still be computed; of their rows the first `count` are meant.
        """
        made = self.compiled(count)
        parts = []
        for place, (run, arguments) in enumerate(zip(made.runs, made.arguments, strict=True)):
            own = min(max(count - place * made.share, 0), made.share)
            parts.append(run(*arguments, np.int32(first + place * made.share), np.int32(own)))
        sharding = NamedSharding(self._mesh, PartitionSpec(AXIS))

        def joined(*shards):
            shape = (made.batch, *shards[0].shape[1:])
            return jax.make_array_from_single_device_arrays(shape, sharding, list(shards))

        return jax.tree.map(joined, *parts)

    def chip(self, index: int) -> Any:
        """Results of one chip, through the program of all others, as numpy arrays."""
        begin = index - index % self.together
        found = self.start(begin, index - begin + 1)
        return jax.tree.map(lambda leaf: np.asarray(leaf[index - begin]), found)

    def devices_of(self, index: int) -> Any:
        """The devices of one chip."""
        _, chips = eqx.combine(self._arrays, self._static)
        draw = eqx.filter_jit(lambda chips, key: chips.sample(chip_keys(key, index)[0], index))
        return draw(chips, self._key)

    def _fit(self, most: int) -> Compiled:
        """What is asked for, or what memory holds: batches are compiled, smaller and smaller, until one fits."""
        (first, *rest), least = self._mesh.devices.flat, self.together
        share = _rounded(-(-(self._wanted or most) // self.devices), least)
        loop, available = self._loop(share), self._available()
        large = self._compile(loop, share, first)
        while self._wanted is None and large.bytes > available:
            if share == least:
                _refuse(large, available)
            share = max(int(SHRINK * share * available / large.bytes) // least * least, least)
            loop = self._loop(share)
            large = self._compile(loop, share, first)
        with ThreadPoolExecutor(self.devices) as pool:
            others = list(pool.map(lambda device: self._compile(loop, share, device), rest))
        runs = tuple(made.runs[0] for made in (large, *others))
        return Compiled(runs, tuple(made.arguments[0] for made in (large, *others)), share, large.bytes)

    def _available(self) -> int:
        """Bytes that a device may take."""
        devices = list(self._mesh.devices.flat)
        of_devices = [device.memory_stats() for device in devices]
        if all(stats and "bytes_limit" in stats for stats in of_devices):
            free = min(stats["bytes_limit"] - stats.get("bytes_in_use", 0) for stats in of_devices)
        else:  # devices of the host share its memory
            free = host_memory() // len(devices)
        return int(MEMORY_SHARE * free)

    def _loop(self, share: int) -> Any:
        """(arrays, key, first chip, how many) -> results of `share` chips, jitted: traced once for all devices."""

        def loop(arrays, key, first, count):
            def step(number, filled):
                place = number * self.together
                found = self._block(arrays, key, first + place)
                return jax.tree.map(lambda a, b: jax.lax.dynamic_update_slice_in_dim(a, b, place, 0), filled, found)

            steps = jnp.minimum((count + self.together - 1) // self.together, share // self.together)
            empty = jax.tree.map(lambda leaf: jnp.zeros((share, *leaf.shape), leaf.dtype), self.shapes)
            return jax.lax.fori_loop(0, steps, step, empty)

        return jax.jit(loop)

    def _compile(self, loop: Any, share: int, device: Any) -> Compiled:
        """The program of one device."""
        number = jax.ShapeDtypeStruct((), jnp.int32, sharding=SingleDeviceSharding(device))
        arguments = jax.device_put((self._arrays, self._key), device)
        run = loop.lower(*arguments, number, number).compile()
        need: Any = run.memory_analysis()
        results = _IN_FLIGHT * need.output_size_in_bytes
        return Compiled((run,), (arguments,), share, need.temp_size_in_bytes + need.argument_size_in_bytes + results)

    def _block(self, arrays, key, index):
        """Results of the chips of one step, from number `index` on."""
        # barriers: what surrounds a chip must not be merged into its arithmetic
        index = jax.lax.optimization_barrier(index)
        if self.together == 1:
            found = jax.tree.map(lambda leaf: leaf[None], self._chip(arrays, key, index))
        else:
            numbers = index + jnp.arange(self.together, dtype=jnp.int32)
            found = jax.vmap(lambda one: self._chip(arrays, key, one))(numbers)
        return jax.lax.optimization_barrier(found)

    def _chip(self, arrays, key, index):
        experiment, chips = eqx.combine(arrays, self._static)
        of_devices, of_experiment = chip_keys(key, index)
        found = experiment(chips.sample(of_devices, index), of_experiment)
        return jax.tree.map(jnp.asarray, found)


def host_memory() -> int:
    """Bytes of the host that are free: what the kernel says is available, or what is left of this group's limit.

    Raises:
        InputError: the system does not say.
    """
    found = []
    if _MEMORY_INFORMATION.is_file():
        lines = dict(line.split(":", 1) for line in _MEMORY_INFORMATION.read_text().splitlines())
        found.append(1024 * int(lines["MemAvailable"].split()[0]))
    for limit, used in _LIMITS:
        if limit.is_file() and used.is_file() and limit.read_text().strip().isdigit():
            found.append(int(limit.read_text()) - int(used.read_text()))
    if not found:
        raise InputError("batch", "be given where the system does not tell its memory", "None")
    return min(found)


def _refuse(made: Compiled, available: int) -> NoReturn:
    raise InputError(
        "experiment",
        f"fit into {available / 2**20:,.0f} MiB a device, half of what is free",
        f"{made.bytes / 2**20:,.0f} MiB at {made.share} chips a batch",
        "lower `together`, use fewer devices, or give `batch` to try all the same",
    )


def _rounded(chips: int, multiple: int) -> int:
    """`chips`, up to a multiple."""
    return -(-chips // multiple) * multiple


def _local(mesh: Mesh | None) -> Mesh:
    """The devices of this process in a row."""
    devices = jax.local_devices()
    if mesh is not None:
        devices = [device for device in mesh.devices.flat if device.process_index == jax.process_index()]
        if not devices:
            raise InputError("mesh", "hold a device of this process", f"none in {mesh}")
    return Mesh(np.array(devices), (AXIS,))


def _require_numbers(shapes: Any) -> None:
    leaves = jax.tree.leaves(shapes)
    if not leaves:
        raise InputError("experiment", "return one number or more", "nothing")
    for leaf in leaves:
        kinds = (jnp.floating, jnp.integer, jnp.bool_)
        if not any(jnp.issubdtype(leaf.dtype, kind) for kind in kinds):
            raise InputError("experiment", "return real numbers, integers or booleans", str(leaf.dtype))


def chip_results(
    experiment: Callable[[Any, Key[Array, ""]], Any],
    population: AbstractChips,
    indices: Int[Array, " chips"],
    key: Key[Array, ""],
    *,
    together: int = 1,
) -> Any:
    """Results of the chips of these numbers, as a pure function: for gradients, and inside other programs.

        mean = lambda spread: jnp.mean(chip_results(experiment, chips(spread), jnp.arange(1000), key))
        slope = jax.grad(mean)(0.05)

    The same chips as `monte_carlo` draws, their numbers to rounding. Forward and reverse mode; reverse mode computes
    each step again in place of keeping it, so that its memory does not grow with the chips.

    Args:
        experiment: (devices, key) -> tree of arrays.
        population: of which devices are drawn.
        indices: numbers of the chips.
        key: of the study.
        together: chips that are computed at once.

    Returns:
        The results, with a leading axis of chips.
    """

    def one(index):
        of_devices, of_experiment = chip_keys(key, index)
        return jax.tree.map(jnp.asarray, experiment(population.sample(of_devices, index), of_experiment))

    return jax.lax.map(jax.checkpoint(one), jnp.asarray(indices, jnp.int32), batch_size=together)
