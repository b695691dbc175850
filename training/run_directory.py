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


def next_free(parent: Path, stem: str) -> Path:
    """The first of parent/stem-001, -002, ... that does not exist."""
    taken = {int(m[1]) for p in parent.glob(f"{stem}-*") if (m := re.fullmatch(rf"{stem}-(\d+)", p.name))}
    return parent / f"{stem}-{max(taken, default=0) + 1:03d}"


def latest(parent: Path, stem: str) -> Path:
    """The last of parent/stem-001, -002, ....

    Raises:
        InputError: there is none.
    """
    runs = [p for p in parent.glob(f"{stem}-*") if re.fullmatch(rf"{stem}-\d+", p.name)]
    if not runs:
        raise InputError("--resume", "find a run", f"none in {parent}", "name one with --run-dir")
    return max(runs, key=lambda p: int(p.name.rsplit("-", 1)[1]))


def claim(path: Path, configuration: dict[str, Any]) -> None:
    """Make a new run's directory and record what is run in it.

    Raises:
        InputError: the directory holds something already, or cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise InputError(
                "--run-dir",
                "be new or empty",
                f"{path}, which holds files",
                "choose another, or add --resume to go on with a run",
            )
        write_json(path / CONFIGURATION, configuration)
    except OSError as error:
        raise InputError("--run-dir", "be a directory that can be written", f"{path} ({error.strerror})") from error


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
    write_bytes(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    found = {"python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
