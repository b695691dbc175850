"""A Monte Carlo study from a TOML file; its form, with every key, is in docs/monte_carlo.md, "From a file".

[study]
experiment = "study.py:experiment"
population = "study.py:population"
chips = 10_000
store = "study.zarr"
"""

import dataclasses
import datetime
import importlib
import inspect
import sys
import tomllib
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from hfsim.errors import InputError
from hfsim.io.store import Coordinate
from hfsim.studies.chips import as_chips, require_experiment
from hfsim.studies.intervals import Until
from hfsim.studies.labels import Output
from hfsim.studies.monte_carlo import MOST_CHIPS, monte_carlo
from hfsim.studies.results import MonteCarlo

TABLES = {"study", "outputs", "coordinates", "until", "arguments"}
_TEXTS = {"store", "name", "date"}
_OPTIONS = _TEXTS | {"together", "chunk", "batch"}
STUDY = {"experiment", "population", "chips", "seed"} | _OPTIONS


@dataclasses.dataclass(frozen=True)
class StudyFile:
    """What a file asks for."""

    path: Path
    experiment: Any
    population: Any
    chips: int
    seed: int
    options: dict[str, Any]

    def run(self, *, store: Path | None = None, progress: Callable[[str], None] | None = None) -> MonteCarlo:
        """Run the study, or complete what its store holds; `store` in place of the file's.

        Raises:
            InputError: population or experiment fail on a chip, or as `monte_carlo`.
        """
        options: dict[str, Any] = dict(self.options)
        if store is not None:
            options["store"] = store
        key = jax.random.key(self.seed)
        # on shapes alone: what the user's code raises is told as what it is
        chips, folder = as_chips(self.population), self.path.parent
        require_experiment(self.experiment)
        shapes = eqx.filter_eval_shape
        devices = _tried("study.population", "make the devices of a chip", folder, shapes, chips.sample, key, 0)
        _tried("study.experiment", "turn (devices, key) into numbers", folder, shapes, self._numbers, devices, key)
        return monte_carlo(self.experiment, self.population, self.chips, key, progress=progress, **options)

    def _numbers(self, devices: Any, key: Any) -> Any:
        return jax.tree.map(jnp.asarray, self.experiment(devices, key))


def read_study_file(path: str | Path) -> StudyFile:
    """Read and check a study file; experiment and population are imported.

    Raises:
        InputError: no such file, no valid TOML, an unknown or missing entry, or a name that cannot be imported.
    """
    path = Path(path)
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("study", "be a readable TOML file", f"{path} ({error})") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError("study", "be valid TOML", f"{path} ({error})") from error
    _known("a table", tree, TABLES, path)
    study = _table(tree, "study", path)
    _known("study", study, STUDY, path)
    for name in ("experiment", "population", "chips"):
        if name not in study:
            raise InputError(f"study.{name}", "be given", f"missing in {path}")
    chips, seed = _integer(study, "chips", 1, MOST_CHIPS), _integer(study, "seed", 0, 2**32 - 1)
    options: dict[str, Any] = {name: study[name] for name in _OPTIONS & study.keys()}
    options |= {name: _text(study, name) for name in _TEXTS & study.keys()}
    if "store" in options:
        options["store"] = path.parent / options["store"]
    if "outputs" in tree:
        entries = _table(tree, "outputs", path)
        options["outputs"] = {name: _made(f"outputs.{name}", Output, entry) for name, entry in entries.items()}
    if "coordinates" in tree:
        entries = _table(tree, "coordinates", path)
        options["coordinates"] = {
            name: _made(f"coordinates.{name}", Coordinate, entry) for name, entry in entries.items()
        }
    if "until" in tree:
        options["until"] = _made("until", Until, _table(tree, "until", path))
    modules: dict[str, ModuleType] = {}  # experiment and population share what their file defines
    experiment, population = (
        _imported(f"study.{name}", study[name], path.parent, modules) for name in ("experiment", "population")
    )
    if "arguments" in tree:
        arguments = _table(tree, "arguments", path)
        experiment = _called("study.experiment", experiment, arguments, path.parent)
        population = _called("study.population", population, arguments, path.parent)
    return StudyFile(path, experiment, population, chips, seed, options)


def _table(tree: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    if not isinstance(tree.get(name), Mapping):
        raise InputError(name, f"be a table [{name}]", f"missing in {path}" if name not in tree else repr(tree[name]))
    return dict(tree[name])


def _known(where: str, found: Mapping[str, Any], names: set[str], path: Path) -> None:
    for name in found:
        if name not in names:
            raise InputError(where, f"be one of {', '.join(sorted(names))}", f"{name!r} in {path}")


def _integer(study: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = study.get(name, least)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"study.{name}", f"be a whole number from {least} to {most:,}", repr(value))
    return value


def _text(study: Mapping[str, Any], name: str) -> str:
    value = study[name]
    if name == "date" and isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()  # TOML has dates of its own
    if not isinstance(value, str):
        raise InputError(f"study.{name}", "be a text", repr(value))
    return value


def _made(where: str, kind: Any, entry: Any) -> Any:
    """`kind` with the entries of a table as its arguments."""
    if not isinstance(entry, Mapping):
        raise InputError(where, "be a table", repr(entry))
    try:
        inspect.signature(kind).bind(**entry)
    except TypeError as error:
        raise InputError(where, f"fit {kind.__name__}", str(error)) from error
    return kind(**entry)


def _imported(name: str, text: Any, folder: Path, modules: dict[str, ModuleType]) -> Any:
    """What "file.py:name" (beside the study's file) or "package.module:name" names."""
    module, _, attribute = str(text).rpartition(":")
    if not isinstance(text, str) or not module or not attribute:
        raise InputError(name, 'be "file.py:name" or "package.module:name"', repr(text))
    if module not in modules:
        load, what = (_from_file, folder / module) if module.endswith(".py") else (importlib.import_module, module)
        modules[module] = _tried(name, f"be importable from {module}", folder, load, what)
    if not hasattr(modules[module], attribute):
        raise InputError(name, f"be a name of {module}", repr(attribute))
    return getattr(modules[module], attribute)


def _from_file(file: Path) -> ModuleType:
    """The file's module, made anew each time: it may have been edited, or have failed half-way."""
    # from the source: cached bytecode may be older by an edit within the same second
    code = compile(file.read_bytes(), file.resolve(), "exec", dont_inherit=True)
    module = ModuleType(f"hfsim_study_{file.stem}")
    module.__file__ = str(file.resolve())
    sys.modules[module.__name__] = module  # its classes look for it there
    try:
        exec(code, vars(module))
    except BaseException:
        sys.modules.pop(module.__name__)
        raise
    return module


def _called(name: str, factory: Any, arguments: Mapping[str, Any], folder: Path) -> Any:
    try:
        inspect.signature(factory).bind(**arguments)
    except (TypeError, ValueError) as error:  # they do not fit, or it is no function
        raise InputError("arguments", f"fit {name}", str(error)) from error
    return _tried(name, "be made of the arguments", folder, lambda: factory(**arguments))


def _tried(name: str, must: str, folder: Path, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call what runs the user's code; whatever it raises becomes one line, with its place in a file of the folder."""
    try:
        return function(*arguments)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        told = f"{type(error).__name__}: {error}".split("\n")[0].rstrip(".")
        own = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent == folder.resolve()]
        place = f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
        raise InputError(name, must, f"stopped by {told}{place}") from error
