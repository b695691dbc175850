"""The command line `hfsim`: cards, figures of a card. Bad input ends in one line on stderr and exit status 2."""

import dataclasses
import os
import sys
from pathlib import Path
from typing import Annotated

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
        target = Path(f"{card.name}.png") if self.output is None else self.output
        if target.suffix.lower() not in (".png", ".pdf", ".svg"):
            raise InputError("--output", "end in .png, .pdf or .svg", str(target))
        if not target.parent.is_dir():
            raise InputError("--output", "lie in a directory that exists", str(target))
        import matplotlib

        matplotlib.use("Agg")  # a file, no window
        from hfsim.plot import card_figure

        figure = card_figure(card)
        try:
            figure.savefig(target, dpi=150)
        except OSError as error:
            raise InputError("--output", "be writable", f"{target} ({error.strerror})") from error
        print(target)


@dataclasses.dataclass(frozen=True)
class Device:
    """The devices that a card describes."""

    command: Annotated[Plot, tyro.conf.subcommand("plot")] | Annotated[Show, tyro.conf.subcommand("show")]
    """What to do with the card."""

    def run(self) -> None:
        """Do it."""
        self.command.run()


Command = Annotated[Cards, tyro.conf.subcommand("cards")] | Annotated[Device, tyro.conf.subcommand("device")]
"""What can be asked for."""


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
