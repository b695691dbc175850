"""Monte Carlo over chips: any pure function of (devices, key), compiled once, streamed, resumed, shared out.

    study = monte_carlo(experiment, Chips(population, (64, 64)), 100_000, key, store="study.zarr")
    study.mean("error"), study.quantile("error", 0.99), study.worst("error"), study.replay(17)

Chip i is drawn at the address (key, chip, i) and computed by one compiled program whatever the batch, so that its
numbers do not depend on how the work was cut, on how many devices or processes shared it, or on which was first. Chips
come in chunks, the unit of what is stored, counted and looked at. Process k of N takes every N-th chunk and then helps
the others with what is still missing: nobody waits, a process that died is made up for, and a chunk that two computed
is the same twice.
"""

import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Key

from hfsim.draws import require_key
from hfsim.errors import InputError
from hfsim.io.store import ChipStore, Coordinate, MemoryStore, Variable
from hfsim.studies.batches import Program
from hfsim.studies.chips import as_chips, require_experiment
from hfsim.studies.intervals import Until
from hfsim.studies.labels import Output, labelled, labels_of, labels_text, output_names, places
from hfsim.studies.results import MonteCarlo
from hfsim.studies.statistics import Summary, empty_summary
from hfsim.units import duration

CHUNKS, LEAST_CHUNK, MOST_CHUNK = 64, 64, 4096
"""A chunk is a 64th of the study, a power of two within these bounds. Chosen: what a kill loses is about a percent, and
files stay few."""
CHUNK_BYTES = 2**26
"""Largest chunk in bytes."""
MOST_CHIPS = 2**30
"""Numbers of chips are 32-bit integers, those behind the last one too."""
_PACKAGES = ("hfsim", "jax", "jaxlib", "equinox", "numpy", "xarray", "zarr")


def monte_carlo(
    experiment: Callable[[Any, Key[Array, ""]], Any],
    population: Any,
    n: int,
    key: Key[Array, ""],
    mesh: Mesh | None = None,
    *,
    outputs: Mapping[str, Output] | None = None,
    coordinates: Mapping[str, Coordinate] | None = None,
    store: str | Path | None = None,
    until: Until | None = None,
    name: str = "",
    date: str = "",
    together: int = 1,
    chunk: int | None = None,
    batch: int | None = None,
    share: tuple[int, int] | None = None,
    progress: Callable[[str], None] | None = None,
) -> MonteCarlo:
    """Run an experiment on n chips.

    Args:
        experiment: pure function (devices, key) -> tree of arrays; `key` is for what it draws itself. Logical results
            are counted as yields.
        population: `Chips`, `Parts`, `Fixed`, a `Population` of single devices, or a function key -> devices.
        n: chips; with `until` at most so many.
        key: of the study.
        mesh: whose devices share the work, each with chips of its own; None takes all of this process.
        outputs: unit, dimensions and meaning of results by name: "value" for one array, dotted for nested trees. None
            takes those that the experiment has as its attribute `outputs`, if any; so with `coordinates`.
        coordinates: labels of dimensions, as {"time": Coordinate(times, "s")}.
        store: directory of a zarr store. One that holds a part of this study is completed; several processes may share
            it. None keeps the results in memory.
        until: stops early, once an interval is short enough.
        name: of the experiment in the store; None takes its own.
        date: written into a new store.
        together: chips that a device computes at once: more for an accelerator. Part of the study, as it rounds.
        chunk: chips of a chunk, a multiple of `together`; None takes a 64th of n, between 64 and 4,096. Part of the
            study.
        batch: chips that are computed in one call; None takes a chunk, or what memory holds. Changes no number.
        share: (k, N): this is process k of N; None asks `jax.distributed`.
        progress: called with a line after each chunk.

    Returns:
        The study: dataset, statistics, replay.

    Raises:
        InputError: wrong arguments, by name; a store of another study; no room on the disk; processes without a store.
    """
    key, n = require_key(key), _require_count(n)
    for argument, text in (("name", name), ("date", date)):
        if not isinstance(text, str):
            raise InputError(argument, "be a text", repr(text))
    chips = as_chips(population)
    program = Program(require_experiment(experiment), chips, key, mesh=mesh, together=together, batch=batch)
    outputs, coordinates = labels_of(experiment, outputs, coordinates)
    variables = labelled(program.shapes, outputs, coordinates)
    chunk = _chunk(n, program, chunk)
    part = _share(share, store)
    if until is not None:
        _require_output(until, variables, coordinates)
    identity = {
        "experiment": name or getattr(experiment, "__qualname__", type(experiment).__name__),
        "digest": program.digest(),
        "key": str(jax.random.key_impl(key)) + " " + np.asarray(jax.random.key_data(key)).tobytes().hex(),
        "chips": n,
        "chunk": chunk,
        "together": together,
        "outputs": {k: [list(v.dims), list(v.shape), str(v.dtype)] for k, v in variables.items()},
        "units": {k: v.attributes.get("units", "") for k, v in variables.items()},
        "coordinates": {k: labels_text(v) for k, v in coordinates.items()},
        "backend": jax.default_backend(),
        "jaxlib": version("jaxlib"),
    }
    options: dict[str, Any] = {
        "n": n,
        "chunk": chunk,
        "variables": variables,
        "coordinates": coordinates,
        "attributes": _provenance(identity, type(population).__name__, date),
    }
    kept = MemoryStore(**options) if store is None else ChipStore(store, identity=identity, **options)
    run = _Run(program, kept, variables, part, progress)
    used, stopped = run.until(until, coordinates)
    kept.record({"chips_used": used, "stopped": stopped})
    return MonteCarlo(kept.dataset(used), run.summary, program)


class _Run:
    """The chunks of a study, computed or found, and their statistics."""

    def __init__(self, program: Program, store: Any, variables: Mapping[str, Variable], part, progress):
        self._program, self._store, self._part, self._progress = program, store, part, progress
        self._names = output_names(program.shapes)
        self._types = [variables[name].dtype for name in self._names]
        self._began, self._computed_chips = time.perf_counter(), 0
        self.summary = empty_summary(variables, store.n)

    def until(self, rule: Until | None, coordinates: Mapping[str, Coordinate]) -> tuple[int, str]:
        """Compute up to the first look that satisfies the rule: the number of chips, and why it stopped."""
        store, done = self._store, 0
        looks = [store.n] if rule is None else rule.looks(store.n, store.chunk)
        for chips in looks:
            last = -(-chips // store.chunk)
            self._complete(range(done, last))
            done = last
            if rule is not None and interval_is_short(self.summary, rule, len(looks), store.variables, coordinates):
                look = f"look {looks.index(chips) + 1} of {len(looks)}, each at confidence {rule.each(len(looks)):.4g}"
                return chips, f"{rule}: {look}"
        return store.n, ""

    def _complete(self, numbers: range) -> None:
        """Have all these chunks stored and counted: what is there is read, the rest computed, one's own first."""
        place, processes = self._part
        own = [number for number in numbers if number % processes == place]
        others = [number for number in reversed(numbers) if number % processes != place]
        computed = set()
        for number, values in self._computed(n for n in (*own, *others) if not self._store.has(n)):
            self._store.write(number, values)
            self._count(number, values)
            computed.add(number)
        for number in numbers:
            if number not in computed:
                self._count(number, self._store.read(number))

    def _count(self, number: int, values: dict[str, np.ndarray]) -> None:
        self.summary.add(number, values, self._store.rows(number).start)
        if self._progress is not None:
            self._progress(self._line(number))

    def _line(self, number: int) -> str:
        done, n = self.summary.chips, self._store.n
        seconds = time.perf_counter() - self._began
        rate = self._computed_chips / seconds
        line = f"{done:,} of {n:,} chips"
        if rate and done < n:
            line += f", {rate:,.3g} a second, {duration((n - done) / rate)} left"
        return line + (f"; chunk {number} was damaged and is computed anew" if number in self._store.damaged else "")

    def _computed(self, numbers: Iterable[int]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Chunks, each while the next one is being computed."""
        parts: list[list[np.ndarray]] = []
        for number, count, last, found in _one_ahead(self._started(numbers)):
            leaves = jax.tree.leaves(found)
            parts.append([np.asarray(x)[:count].astype(t) for x, t in zip(leaves, self._types, strict=True)])
            self._computed_chips += count
            if last:
                whole = [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]
                parts = []
                yield number, dict(zip(self._names, whole, strict=True))

    def _started(self, numbers: Iterable[int]) -> Iterator[tuple[int, int, bool, Any]]:
        """Batches set off, one each time that the next one is asked for."""
        most = min(self._store.chunk, self._store.n)
        for number in numbers:
            rows, batch = self._store.rows(number), self._program.compiled(most).batch
            for first in range(rows.start, rows.stop, batch):
                count = min(batch, rows.stop - first)
                yield number, count, first + count == rows.stop, self._program.start(first, count)


def _one_ahead(items: Iterator[Any]) -> Iterator[Any]:
    """The items, each once the one after it was asked for."""
    previous: list[Any] = []
    for item in items:
        yield from previous
        previous = [item]
    yield from previous


def interval_is_short(summary: Summary, rule: Until, looks: int, variables, coordinates) -> bool:
    """Whether the rule's output is known well enough, at a confidence that allows for all its looks."""
    output, confidence = summary.outputs[rule.output], rule.each(looks)
    if rule.quantile is None:
        interval = output.mean(confidence)
    else:
        interval = output.quantile(rule.quantile, confidence)
    return rule.satisfied(interval, places(rule.at, variables[rule.output], coordinates))


def _require_output(rule: Until, variables: Mapping[str, Variable], coordinates: Mapping[str, Coordinate]) -> None:
    if rule.output not in variables:
        raise InputError("until", f"look at an output ({', '.join(variables)})", repr(rule.output))
    if rule.quantile is not None and variables[rule.output].dtype == bool:
        raise InputError("until", "look at a quantile of numbers", f"{rule.output}, which is true or false")
    places(rule.at, variables[rule.output], coordinates)


def _require_count(n: Any) -> int:
    if not isinstance(n, int | np.integer) or not 1 <= n <= MOST_CHIPS:
        raise InputError("n", f"be an integer from 1 to {MOST_CHIPS:,}", repr(n))
    return int(n)


def _chunk(n: int, program: Program, wanted: int | None) -> int:
    """Chips of a chunk: a function of the study alone, never of the machine."""
    together = program.together
    if wanted is not None:
        if not isinstance(wanted, int) or wanted < 1 or wanted % together:
            raise InputError("chunk", f"be a multiple of `together`, {together}", repr(wanted))
        return wanted
    size = 2 ** int(np.log2(max(n // CHUNKS, 1)))
    size = min(max(size, LEAST_CHUNK), MOST_CHUNK, max(CHUNK_BYTES // program.chip_bytes, 1), n)
    return max(size // together * together, together)


def _share(share: tuple[int, int] | None, store: Any) -> tuple[int, int]:
    place, processes = (jax.process_index(), jax.process_count()) if share is None else share
    if not 0 <= place < processes:
        raise InputError("share", "be (k, N) with 0 <= k < N", (place, processes))
    if processes > 1 and store is None:
        must = "be given where several processes share the work"
        raise InputError("store", must, "None", "name a directory that all of them see")
    return place, processes


def _provenance(identity: Mapping[str, Any], population: str, date: str) -> dict[str, Any]:
    """What a person wants to know of a store."""
    found = {"title": f"{identity['experiment']}: {identity['chips']:,} chips", "population": population}
    found |= {name: identity[name] for name in ("experiment", "digest", "key", "backend")}
    found["versions"] = ", ".join(f"{name} {number}" for name, number in _versions().items())
    found["device"] = f"{jax.local_devices()[0].device_kind}, {platform.machine()}"
    return found | ({"date": date} if date else {})


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
