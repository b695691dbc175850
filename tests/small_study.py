"""A study small enough to run in many processes, and what they do: `python -m tests.small_study FOLDER PORT`.

The process imports once and forks: one process with four devices, two and four of jax.distributed on loopback, and one
that kills itself in the middle.
"""

import os
import signal
import sys
import traceback
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import xarray  # noqa: F401, here once for all children
import zarr  # noqa: F401

from hfsim.devices import Pulse
from hfsim.devices.variability import Normal, Population
from hfsim.io import Coordinate
from hfsim.studies import Chips, Output, monte_carlo

CHIPS, CHUNK = 90, 8
KILLED_AFTER = 4
TIMES = np.array([1.0, 3600.0, 86400.0])


def population():
    """Made when it is asked for: the first array starts the backend, which no process may fork behind."""
    return Chips(Population(Pulse(2.0, 100.0), {"voltage": Normal(0.1)}), (6, 5))


def experiment(pulses, key):
    """A product, a division by a number, roundings and noise: what differently compiled programs compute otherwise."""
    x = jax.random.uniform(key, (7, 6), minval=-1)
    y = jnp.matmul(x, jnp.exp(pulses.voltage), precision="highest")
    y = jax.vmap(lambda t: jnp.round(jnp.clip(y * jnp.exp(-t / 1e5), -30, 30) / (0.07 * pulses.voltage[0, 0])))(TIMES)
    error = jnp.sqrt(jnp.mean(jnp.square(y), axis=(1, 2)))
    return {"error": error, "works": error[0] < 90.0}


def run(store=None, **options):
    """The study, or a part of it."""
    said = {"error": Output("uA", ("time",)), "works": Output()}
    times = {"time": Coordinate(TIMES, "s")}
    options = {"chunk": CHUNK, **options}
    return monte_carlo(
        experiment, population(), CHIPS, jax.random.key(3), store=store, outputs=said, coordinates=times, **options
    )


def with_four_devices(folder: Path) -> None:
    assert len(jax.local_devices()) == 4
    run(folder / "devices.zarr", batch=3)


def distributed(folder: Path, port: int, place: int, count: int) -> None:
    jax.distributed.initialize(f"127.0.0.1:{port}", count, place)
    assert jax.process_count() == count
    study = run(folder / f"processes-{count}.zarr")
    (folder / f"mean-{count}-{place}").write_bytes(study.mean("error").value.tobytes())
    jax.distributed.shutdown()


def killed(folder: Path) -> None:
    lines = []

    def told(line):
        lines.append(line)
        if len(lines) == KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)

    run(folder / "killed.zarr", progress=told)


def fork(work, *arguments, devices=1) -> int:
    """Do `work` in a process of its own."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
        work(*arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    os._exit(status)


def main(folder: Path, port: int) -> int:
    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    groups = [
        [(with_four_devices, folder)],
        [(killed, folder)],
        [(distributed, folder, port, place, 2) for place in range(2)],
        [(distributed, folder, port + 1, place, 4) for place in range(4)],
    ]
    ended = []
    for group in groups:
        children = [fork(*job, devices=4 if job[0] is with_four_devices else 1) for job in group]
        ended.append([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
    print(ended)
    return 0 if ended == [[0], [-signal.SIGKILL], [0, 0], [0, 0, 0, 0]] else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
