"""A run's directory: claimed once, recognised again, written whole or not at all."""

import json
import os
import re
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hfsim.errors import InputError

CONFIGURATION = "configuration.json"
_UNFINISHED = ".unfinished"
_PACKAGES = ("hfsim", "jax", "jaxlib", "flax", "equinox", "optax", "numpy", "scikit-learn")


def latest(parent: Path, stem: str) -> Path:
    """The last of parent/stem-001, -002, ....

    Raises:
        InputError: there is none.
    """
    runs = _numbered(parent, stem)
    if not runs:
        raise InputError("--resume", "find a run", f"none in {parent}", "name one with --run-dir")
    return runs[max(runs)]


def _numbered(parent: Path, stem: str) -> dict[int, Path]:
    matches = ((re.fullmatch(rf"{stem}-(\d+)", path.name), path) for path in parent.glob(f"{stem}-*"))
    return {int(match[1]): path for match, path in matches if match}


def require_unclaimed(path: Path) -> None:
    """Refuse a directory that holds something already, before any work is done.

    Raises:
        InputError: it does, or it is a file.
    """
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise InputError(
            "--run-dir",
            "be new or empty",
            f"{path}, which holds something",
            "choose another, or add --resume to go on with a run",
        )


def claim(path: Path, configuration: dict[str, Any]) -> None:
    """Make a new run's directory and record what is run in it; of two runs, one alone gets it.

    Raises:
        InputError: the directory holds something already, or cannot be written.
    """
    require_unclaimed(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with (path / CONFIGURATION).open("x", encoding="utf-8") as file:
            file.write(_json(configuration))
    except FileExistsError:
        require_unclaimed(path)
        raise
    except OSError as error:
        raise InputError("--run-dir", "be a directory that can be written", f"{path} ({error.strerror})") from error


def claim_next(parent: Path, stem: str, configuration: dict[str, Any]) -> Path:
    """Claim the first of parent/stem-001, -002, ... that is free."""
    number = max(_numbered(parent, stem), default=0)
    while True:
        number += 1
        path = parent / f"{stem}-{number:03d}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue  # another run was quicker
        except OSError as error:
            raise InputError("--run-dir", "be a directory that can be written", f"{path} ({error.strerror})") from error
        claim(path, configuration)
        return path


def recorded_configuration(path: Path) -> dict[str, Any]:
    """What a run's directory says was run in it.

    Raises:
        InputError: it is no run directory of this program.
    """
    try:
        configuration = json.loads((path / CONFIGURATION).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            "--run-dir", f"hold a run to resume ({CONFIGURATION})", f"{path}", "leave out --resume to start one"
        ) from error
    if not isinstance(configuration, dict):
        raise InputError("--run-dir", "hold a run of this program", f"{path}")
    return configuration


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a kill at any moment leaves the old one or the new one, whole."""
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=_UNFINISHED, delete=False
        ) as handle:
            try:
                handle.write(content)
                handle.flush()
                os.fchmod(handle.fileno(), 0o666 & ~_umask())  # as any other file: colleagues may read it
                os.fsync(handle.fileno())
            except BaseException:
                os.unlink(handle.name)
                raise
        os.replace(handle.name, path)
    except OSError as error:
        raise InputError(str(path), "be writable", error.strerror, "what was there before is intact") from error


def discard_unfinished_writes(path: Path) -> None:
    """Remove what a kill in the middle of a write left behind."""
    for left in path.glob(f".*{_UNFINISHED}"):
        left.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all; NaN and infinity are refused."""
    write_bytes(path, _json(content).encode())


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    found = {"python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
