"""Timing, rows and environment that all benchmarks share."""

import os
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.sharding import AxisType, PartitionSpec

from training.run_directory import versions


class Row(NamedTuple):
    """One measured case; `ratio` is the reference's seconds over ours, None where that is missing. Empty texts: no
    reference, no bar."""

    case: str
    seconds: float
    reference: str
    reference_seconds: float | None
    ratio: float | None
    bar: str
    holds: bool | None


def best_seconds(function: Callable[[], Any], *, repeats: int = 7) -> float:
    """The least wall time of `repeats` calls after a first one, results waited for."""
    jax.block_until_ready(function())
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - began)
    return min(times)


def interleaved_seconds(functions: Sequence[Callable[[], Any]], *, repeats: int = 30) -> list[float]:
    """The least wall time of each of several calls, taken in turn, so that all see the same machine."""
    for function in functions:
        jax.block_until_ready(function())
    times = [float("inf")] * len(functions)
    for _ in range(repeats):
        for place, function in enumerate(functions):
            began = time.perf_counter()
            jax.block_until_ready(function())
            times[place] = min(times[place], time.perf_counter() - began)
    return times


def on_all_cores(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`function` compiled, the leading axis of its argument's leaves shared out over the devices."""
    mesh = jax.make_mesh((jax.device_count(),), ("rows",), axis_types=(AxisType.Auto,))
    rows = PartitionSpec("rows")
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=(rows,), out_specs=rows, check_vma=False))


def environment() -> dict[str, str]:
    """Processor, cores and versions."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": model, "cores": str(cores), "backend": jax.default_backend(), **versions()}
