"""A Monte Carlo study from a TOML file.

[study]
experiment = "study.py:experiment"      # a function in a file beside this one, or "package.module:name"
population = "study.py:population"      # chips, a population, or a function of a key
chips = 10_000
seed = 0
store = "study.zarr"                    # beside this file; left out, nothing is kept

[outputs.error]                         # unit, dims and doc of each output
unit = "1"
dims = ["time"]

[coordinates.time]
values = [1.0, 3600.0]
unit = "s"

[until]                                 # optional: stop once an interval is short enough
output = "error"
relative = 0.01
at = { time = 3600.0 }

[arguments]                             # optional: numbers and texts with which `experiment` and `population` are
card = "cmo-hfox-2025"                  # called to make them, where both are factories
"""

import dataclasses
import importlib
import importlib.util
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from hfsim.errors import InputError
from hfsim.io.store import Coordinate
from hfsim.studies.intervals import Until
from hfsim.studies.labels import Output
from hfsim.studies.monte_carlo import monte_carlo
from hfsim.studies.results import MonteCarlo

_TABLES = {"study", "outputs", "coordinates", "until", "arguments"}
_OPTIONS = {"store", "name", "date", "together", "chunk", "batch"}
_STUDY = {"experiment", "population", "chips", "seed"} | _OPTIONS


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
        """Run the study, or complete what its store holds; `store` in place of the file's."""
        options: dict[str, Any] = dict(self.options)
        if store is not None:
            options["store"] = store
        key = jax.random.key(self.seed)
        return monte_carlo(self.experiment, self.population, self.chips, key, progress=progress, **options)


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
    _known("a table", tree, _TABLES, path)
    study = _table(tree, "study", path)
    _known("study", study, _STUDY, path)
    for name in ("experiment", "population", "chips"):
        if name not in study:
            raise InputError(f"study.{name}", "be given", f"missing in {path}")
    chips, seed = _integer(study, "chips", None), _integer(study, "seed", 0)
    options: dict[str, Any] = {name: study[name] for name in _OPTIONS & study.keys()}
    if "store" in options:
        options["store"] = path.parent / str(options["store"])
    if "outputs" in tree:
        options["outputs"] = {name: _output(name, entry) for name, entry in _table(tree, "outputs", path).items()}
    if "coordinates" in tree:
        entries = _table(tree, "coordinates", path)
        options["coordinates"] = {
            name: _made(f"coordinates.{name}", Coordinate, entry) for name, entry in entries.items()
        }
    if "until" in tree:
        options["until"] = _made("until", Until, _table(tree, "until", path))
    experiment, population = (_imported(f"study.{name}", study[name], path) for name in ("experiment", "population"))
    if "arguments" in tree:
        arguments = _table(tree, "arguments", path)
        experiment = _called("study.experiment", experiment, arguments)
        population = _called("study.population", population, arguments)
    return StudyFile(path, experiment, population, chips, seed, options)


def _table(tree: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    if not isinstance(tree.get(name), Mapping):
        raise InputError(name, f"be a table [{name}]", f"missing in {path}" if name not in tree else repr(tree[name]))
    return dict(tree[name])


def _known(where: str, found: Mapping[str, Any], names: set[str], path: Path) -> None:
    for name in found:
        if name not in names:
            raise InputError(where, f"be one of {', '.join(sorted(names))}", f"{name!r} in {path}")


def _integer(study: Mapping[str, Any], name: str, default: int | None) -> int:
    value = study.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"study.{name}", "be a whole number", repr(value))
    return value


def _output(name: str, entry: Any) -> Output:
    made = _made(f"outputs.{name}", Output, entry)
    return made._replace(dims=tuple(made.dims))


def _made(where: str, kind: Any, entry: Any) -> Any:
    """`kind` with the entries of a table as its arguments."""
    if not isinstance(entry, Mapping):
        raise InputError(where, "be a table", repr(entry))
    try:
        return kind(**entry)
    except TypeError as error:
        raise InputError(where, f"fit {kind.__name__}", str(error).partition(") ")[2] or str(error)) from error


def _imported(name: str, text: Any, path: Path) -> Any:
    """What "file.py:name" (beside the study's file) or "package.module:name" names."""
    module, _, attribute = str(text).rpartition(":")
    if not isinstance(text, str) or not module or not attribute:
        raise InputError(name, 'be "file.py:name" or "package.module:name"', repr(text))
    try:
        found = _from_file(path.parent / module) if module.endswith(".py") else importlib.import_module(module)
    except Exception as error:  # whatever the user's own code raises
        raise InputError(name, "be importable", f"{text!r} ({type(error).__name__}: {error})") from error
    if not hasattr(found, attribute):
        raise InputError(name, f"be a name of {module}", repr(attribute))
    return getattr(found, attribute)


def _from_file(file: Path) -> Any:
    name = f"hfsim_study_{file.stem}"
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(file.resolve()):
        return sys.modules[name]  # experiment and population share what they define
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    if spec is None or spec.loader is None or not file.is_file():
        raise FileNotFoundError(f"no file {file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _called(name: str, factory: Any, arguments: Mapping[str, Any]) -> Any:
    try:
        return factory(**arguments)
    except TypeError as error:
        raise InputError("arguments", f"fit {name}", str(error)) from error
