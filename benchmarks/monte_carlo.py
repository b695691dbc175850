"""Monte Carlo over chips: programming, ten years and 100 products of arrays of 64 x 64, each chip with its own weights.

Each case is a process of its own, timed from the call to the finished zarr store and its statistics, compilation
included; memory is the process's largest resident set. `python -m benchmarks.monte_carlo N STORE` is one such process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import Row

CHIPS = 100_000
BAR_SECONDS, BAR_BYTES, BAR_DOUBLING, BAR_PAIR = 60.0, 2 * 2**30, 0.1, 1.7
ROOT = Path(__file__).parents[1]


def cores() -> list[int]:
    """Numbers of the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def rows() -> list[Row]:
    """The whole study, twice as many chips, the full normals, and two processes."""
    with tempfile.TemporaryDirectory() as folder:
        found = _whole(Path(folder))
        return [*found, *_pair(Path(folder))]


def _whole(folder: Path) -> list[Row]:
    all_cores = len(cores())
    one = _results([_start(CHIPS, folder / "one", devices=all_cores)])[0]
    two = _results([_start(2 * CHIPS, folder / "two", devices=all_cores)])[0]
    full = _results([_start(CHIPS, folder / "full", devices=all_cores, coarse=False)])[0]
    first, last = one["means"][0], one["means"][-1]
    bars = f"at most {BAR_SECONDS:g} s, memory below {BAR_BYTES / 2**30:g} GiB"
    rows = []
    for name, found in (("16-bit normals", one), ("full normals", full)):
        case = (
            f"{CHIPS:,} chips x 7 times x 100 vectors on 64 x 64, {name}, {all_cores} devices of the host: "
            f"{found['bytes'] / 2**30:.2f} GiB, RMSE {first:.4f} at 1 s, {last:.4f} at 10 years"
        )
        held = found["seconds"] <= BAR_SECONDS and found["bytes"] < BAR_BYTES
        rows.append(Row(case, found["seconds"], "", None, None, bars, held))
    doubling = two["seconds"] / one["seconds"]
    case = f"{2 * CHIPS:,} chips: {doubling:.2f} times, {two['bytes'] / 2**30:.2f} GiB"
    bar = f"2 times within {BAR_DOUBLING:.0%}"
    held = abs(doubling / 2 - 1) <= BAR_DOUBLING
    row = Row(case, two["seconds"], "half of the chips", one["seconds"], one["seconds"] / two["seconds"], bar, held)
    return [rows[0], row, rows[1]]


def _pair(folder: Path) -> list[Row]:
    """Two processes that share a store, each on a core of its own, against one process on one core."""
    if len(cores()) < 2:
        return []
    first, second = cores()[:2]
    alone = _results([_start(CHIPS, folder / "alone", core=first)])[0]
    jobs = [_start(CHIPS, folder / "pair", core=c, share=i) for i, c in enumerate((first, second))]
    both = _results(jobs)
    seconds = max(one["ended"] for one in both) - min(one["began"] for one in both)
    ratio = alone["seconds"] / seconds
    case = f"{CHIPS:,} chips by two processes, each on its own core, one store: {ratio:.2f} times as fast"
    bar = f"at least {BAR_PAIR:g} times one process on one core"
    return [Row(case, seconds, "one process on one core", alone["seconds"], ratio, bar, ratio >= BAR_PAIR)]


def _start(
    chips: int, store: Path, *, devices: int = 1, core: int | None = None, share: int | None = None, coarse=True
):
    """A process that runs the study."""
    command = [sys.executable, "-m", "benchmarks.monte_carlo", str(chips), str(store), "--devices", str(devices)]
    command += [] if core is None else ["--core", str(core)]
    command += [] if share is None else ["--share", str(share)]
    command += ["--coarse"] if coarse else []
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _results(jobs: list[subprocess.Popen]) -> list[dict[str, Any]]:
    found = []
    for job in jobs:
        text, _ = job.communicate()
        if job.returncode:
            raise RuntimeError(f"a process of the study ended with {job.returncode}")
        found.append(json.loads(text.splitlines()[-1]))
    return found


def main(arguments: list[str]) -> None:
    """One process: run a study or half of it, and print what it took."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monte_carlo", description=__doc__)
    parser.add_argument("chips", type=int)
    parser.add_argument("store", type=Path)
    parser.add_argument("--devices", type=int, default=1, help="host devices")
    parser.add_argument("--core", type=int, help="pin the process to this core")
    parser.add_argument("--share", type=int, help="number of this process, of two")
    parser.add_argument("--coarse", action="store_true", help="16-bit normals")
    options = parser.parse_args(arguments)
    if options.core is not None:  # before jax is imported: its pools are as large as what it may use
        os.sched_setaffinity(0, {options.core})
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={options.devices}"
    os.environ["XLA_FLAGS"] = flags.strip()
    print(json.dumps(_study(options)))


def _study(options: argparse.Namespace) -> dict[str, Any]:
    import resource

    import jax

    from hfsim.cards import load_card
    from hfsim.crossbar import CrossbarDesign
    from hfsim.devices.retention import CMORetention
    from hfsim.studies import Fixed, ProductError, monte_carlo

    card = load_card("cmo-hfox-2025")
    experiment = ProductError(CrossbarDesign.from_card(card).kernel(), coarse=options.coarse)
    population = Fixed(CMORetention.from_card(card))
    share = None if options.share is None else (options.share, 2)
    began = time.time()
    study = monte_carlo(experiment, population, options.chips, jax.random.key(0), store=options.store, share=share)
    ended = time.time()
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    means = study.mean("error").value.tolist()
    return {"seconds": ended - began, "began": began, "ended": ended, "bytes": peak, "means": means}


if __name__ == "__main__":
    main(sys.argv[1:])
