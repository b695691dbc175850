"""The command line `hfsim`: cards, studies of chips, files of instruments.

Bad input ends in one line on stderr and exit status 2.
"""

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from hfsim.cards import available_cards, load_card
from hfsim.errors import InputError


@dataclasses.dataclass(frozen=True)
class Cards:
    """List the device cards that hfsim ships."""

    def run(self) -> None:
        """Print names and titles."""
        width = max(map(len, available_cards()))
        for name in available_cards():
            print(f"{name:<{width}}  {load_card(name).header['title']}")


@dataclasses.dataclass(frozen=True)
class Show:
    """Print every entry of a card: value, unit, source."""

    card: tyro.conf.Positional[str]
    """Name of a shipped card, or the path of a .toml file."""

    def run(self) -> None:
        """Print the sections."""
        card = load_card(self.card)
        print(f"{card.name}: {card.header['title']}\n{card.header['citation']}")
        for section, entries in card.sections.items():
            print(f"\n[{section}]")
            for name, entry in entries.items():
                unit = "" if entry.unit == "1" else f" {entry.unit}"
                kind = f" ({entry.distribution})" if entry.distribution else ""
                print(f"  {name} = {_number(entry.value)}{unit}{kind}  -- {entry.source}")


@dataclasses.dataclass(frozen=True)
class Plot:
    """Draw what a card describes: loops, single pulses, staircases, pulse trains, retention, levels."""

    card: tyro.conf.Positional[str]
    """Name of a shipped card, or the path of a .toml file."""
    output: Path | None = None
    """Image to write (.png, .pdf, .svg); default: the card's name.png here."""

    def run(self) -> None:
        """Write the image."""
        card = load_card(self.card)
        _save(card.plot, Path(f"{card.name}.png") if self.output is None else self.output)


@dataclasses.dataclass(frozen=True)
class Device:
    """The devices that a card describes."""

    command: Annotated[Plot, tyro.conf.subcommand("plot")] | Annotated[Show, tyro.conf.subcommand("show")]
    """What to do with the card."""

    def run(self) -> None:
        """Do it."""
        self.command.run()


@dataclasses.dataclass(frozen=True)
class MonteCarlo:
    """Run the study of a TOML file, or complete what its store holds.

    The form of the file: docs/monte_carlo.md, "From a file".
    """

    study: tyro.conf.Positional[Path]
    """The file."""
    store: Path | None = None
    """Where results are kept, in place of the file's."""
    quiet: bool = False
    """No line after each chunk."""

    def run(self) -> None:
        """Run, and print the statistics."""
        from hfsim.studies.study_file import read_study_file

        progress = None if self.quiet else lambda line: print(line, file=sys.stderr)
        print(read_study_file(self.study).run(store=self.store, progress=progress))


@dataclasses.dataclass(frozen=True)
class ShowStore:
    """Print the statistics of a store of chips, finished or not; with an output's name, draw it."""

    store: tyro.conf.Positional[Path]
    """The zarr store of a study."""
    plot: str | None = None
    """Name of an output to draw."""
    output: Path | None = None
    """Image to write (.png, .pdf, .svg); default: study.png here."""

    def run(self) -> None:
        """Print, and draw where asked to."""
        from hfsim.studies.results import read_study

        _require_plot(self.plot is not None, self.output)
        study = read_study(self.store)
        print(study)
        if self.plot is not None:
            if self.plot not in study.outputs:
                raise InputError("--plot", f"be one of {', '.join(study.outputs)}", repr(self.plot))
            _save(lambda: study.plot(self.plot).figure, self.output or Path("study.png"))


@dataclasses.dataclass(frozen=True)
class Read:
    """Say what a file of an instrument holds: which instrument, columns, units, traces."""

    file: tyro.conf.Positional[Path]
    """The file."""
    area: float | None = None
    """Of the electrode [um2]."""
    thickness: float | None = None
    """Of the film [nm]."""
    units: str | None = None
    """Of the values, where the file has none: A, uS, ohm, ..."""
    read_voltage: float | None = None
    """At which currents after pulses were read [V]."""
    plot: bool = False
    """Draw its traces."""
    output: Path | None = None
    """Image to write (.png, .pdf, .svg); default: traces.png here."""

    def run(self) -> None:
        """Print, and draw where asked to."""
        from hfsim.io import read

        _require_plot(self.plot, self.output)
        if self.file.is_dir():
            raise InputError("file", "be a file", f"{self.file}, a directory")
        given = {"area": self.area, "thickness": self.thickness, "units": self.units, "read_voltage": self.read_voltage}
        found = read(self.file, **given)
        print(found)
        if self.plot:
            _save(lambda: found.plot().figure, self.output or Path("traces.png"))


Command = (
    Annotated[Cards, tyro.conf.subcommand("cards")]
    | Annotated[Device, tyro.conf.subcommand("device")]
    | Annotated[MonteCarlo, tyro.conf.subcommand("montecarlo")]
    | Annotated[ShowStore, tyro.conf.subcommand("show")]
    | Annotated[Read, tyro.conf.subcommand("read")]
)
"""What can be asked for."""


def _require_plot(asked: bool, target: Path | None) -> None:
    """Refuse a name for an image that nobody asked for."""
    if target is not None and not asked:
        raise InputError("--output", "go with --plot", f"{target} alone")


def _save(draw: Callable[[], Any], target: Path) -> None:
    """Write the figure that `draw` makes."""
    if target.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise InputError("--output", "end in .png, .pdf or .svg", str(target))
    if not target.parent.is_dir():
        raise InputError("--output", "lie in a directory that exists", str(target))
    import matplotlib

    matplotlib.use("Agg")  # a file, no window
    figure = draw()
    try:
        figure.savefig(target, dpi=150)
    except OSError as error:
        raise InputError("--output", "be writable", f"{target} ({error.strerror})") from error
    print(target)


def _number(value: float | tuple[float, ...]) -> str:
    return ", ".join(f"{x:g}" for x in value) if isinstance(value, tuple) else f"{value:g}"


def main(arguments: list[str] | None = None) -> int:
    """Run a command: 0, or 2 after one line on stderr that says what to do."""
    plain = (tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes)
    command = tyro.cli(Command, args=arguments, prog="hfsim", config=plain)  # pyright: ignore[reportArgumentType, reportCallIssue]
    try:
        command.run()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "hfsim":
            raise
        print(f"error: this needs the package {error.name}: pip install {error.name}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped.", file=sys.stderr)
        return 130
    return 0
