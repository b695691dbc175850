"""From a command line to a configuration: parsing, and what --resume takes over from the run."""

import dataclasses
from pathlib import Path
from typing import Any

import tyro

from hfsim.errors import InputError
from training.job import Configuration, option
from training.run_directory import latest, recorded_configuration

RUNS = Path("runs")


def read_command_line(kind: type[Configuration], arguments: list[str]) -> Configuration:
    """The configuration of a job's command line; with --resume, what it leaves out comes from the run itself.

    Raises:
        InputError: an option is out of range, the run to resume is not there, or its settings are others.
    """
    config = _parse(kind, arguments)
    if not config.resume:
        return config
    path = config.run_dir or latest(RUNS, kind.name)
    stored = recorded_configuration(path).get("settings")
    if not isinstance(stored, dict) or stored.get("job") != kind.name:
        raise InputError("--run-dir", f"hold a run of job {kind.name}", str(path))
    config = dataclasses.replace(_parse(kind, arguments, _stored(kind, stored, path)), run_dir=path)
    require_same_run(config, stored)
    return config


def require_same_run(config: Configuration, stored: dict[str, Any]) -> None:
    """Refuse to resume with other settings than those `stored`, but for those that may be extended.

    Raises:
        InputError: they differ.
    """
    settings = config.settings()
    for name in settings.keys() | stored.keys():
        if name not in config.extendable and settings.get(name) != stored.get(name):
            raise InputError(
                option(name),
                "be that of the run to resume",
                f"{settings.get(name)!r} instead of {stored.get(name)!r}",
                "leave it out, or start a new run",
            )


def _stored(kind: type[Configuration], stored: dict[str, Any], path: Path) -> Configuration:
    """The configuration of a run, from its settings: JSON has lists where fields have tuples."""
    names = {field.name for field in dataclasses.fields(kind)} - set(kind.unsettling)
    values: dict[str, Any] = {name: stored[name] for name in names & stored.keys()}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        return kind(**values)
    except (TypeError, InputError) as error:
        raise InputError("--run-dir", "hold a run of this program", f"{path} ({error})") from error


def _parse(kind: type[Configuration], arguments: list[str], default: Configuration | None = None) -> Configuration:
    options: dict[str, Any] = {} if default is None else {"default": default}
    return tyro.cli(kind, args=arguments, prog=f"python -m training {kind.name}", **options)
