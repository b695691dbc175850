"""The command line of the main job: what can be chosen, what each choice means, and what is refused."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from hfsim.errors import InputError
from training.run_directory import latest, recorded_configuration

RUNS, STEM = Path("runs"), "onchip"
CARD = "cea-leti-2025-hybrid"


@dataclasses.dataclass(frozen=True)
class OnChip:
    """Train a 64-200-100-10 network on the simulated FeCAP/memristor chip with scikit-learn's digits.

    Forward and backward read the memristors; each sample's masked SGD step goes into the 10-bit FeCAP words;
    every PERIOD samples sign and three MSBs are transferred to the memristors. The trained chip is then tested
    after 1 s to 10 years at rest. Writes metrics.json, report.html, figures and a checkpoint into the run's
    directory.
    """

    seed: int = 0
    """Seed of every random draw: initial weights, order of samples, masks, devices, noise."""
    epochs: int = 20
    """Passes over the training images."""
    period: int = 20
    """k: samples from one transfer to the next."""
    probability: float = 0.2
    """p: probability that a weight is updated at a sample."""
    learning_rate: float = 0.1
    """Learning rate of plain SGD, on the chip and in floating point."""
    chips: int = 1
    """Independent copies of the whole system, each with its own draws and devices, in one compiled program."""
    transfer: Literal["linear", "measured", "circuit"] = "measured"
    """How words become conductances: even levels without spread; the published table and spread; the physics of
    capacitor, line, transistor and filament."""
    mechanism: Literal["saturation", "starvation"] = "saturation"
    """Which fit of the circuit: its transistor leaves saturation (default: its line voltage is close to linear,
    as published), or the FeCAPs' field starves."""
    memory: Literal["hybrid", "float"] = "hybrid"
    """Train on the chip (with the floating-point network beside it), or the floating-point network alone."""
    rounding: Literal["nearest", "stochastic", "truncate"] = "nearest"
    """How a step becomes an integer."""
    step_scale: float = 512.0
    """Hidden steps per unit of learning rate times gradient; 512 are a weight of 1."""
    initial_spread: float = 100.0
    """Standard deviation of the initial hidden words."""
    twin_noise: bool = False
    """Draw noise on the idle memristor of each pair too."""
    clip: bool = False
    """Cut drawn conductances at 0."""
    run_dir: Path | None = None
    """Where to write; default runs/onchip-001, -002, ...."""
    resume: bool = False
    """Go on with the run in --run-dir (default: the last one) from its checkpoint, with its settings."""
    checkpoint_seconds: float = 5.0
    """Seconds between checkpoints; 0 writes one after every epoch."""
    quiet: Annotated[bool, tyro.conf.arg(aliases=["-q"])] = False
    """No progress bar and no summary."""

    def __post_init__(self):
        for name in ("epochs", "period", "chips"):
            if getattr(self, name) < 1:
                raise InputError(option(name), "be an integer >= 1", getattr(self, name))
        if not 0 <= self.seed < 2**32:
            raise InputError("--seed", "be an integer of 0..2^32-1", self.seed)
        for name in ("initial_spread", "checkpoint_seconds"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(option(name), "be a number >= 0", getattr(self, name))
        for name, low, high in (("probability", 0, 1), ("learning_rate", 0, 1e6), ("step_scale", 1, 1e6)):
            if not low <= getattr(self, name) <= high:
                raise InputError(option(name), f"lie in [{low}, {high:g}]", getattr(self, name))

    def settings(self) -> dict[str, Any]:
        """What decides the numbers of a run, ready for JSON."""
        fields = dataclasses.asdict(self)
        for name in ("run_dir", "resume", "checkpoint_seconds", "quiet"):
            del fields[name]
        return {"job": STEM, "data": "digits", "card": CARD, **fields}


def option(field: str) -> str:
    """The command-line spelling of a field."""
    return "--" + field.replace("_", "-")


def read_command_line(arguments: list[str]) -> OnChip:
    """The configuration of a command line; with --resume, what it leaves out comes from the run itself.

    Raises:
        InputError: an option is out of range, the run to resume is not there, or its settings are others.
    """
    config = _parse(arguments)
    if not config.resume:
        return config
    path = config.run_dir or latest(RUNS, STEM)
    stored = recorded_configuration(path).get("settings")
    if not isinstance(stored, dict) or stored.get("job") != STEM:
        raise InputError("--run-dir", f"hold a run of job {STEM}", str(path))
    names = {field.name for field in dataclasses.fields(OnChip)}
    try:
        default = OnChip(**{name: value for name, value in stored.items() if name in names})
    except (TypeError, InputError) as error:
        raise InputError("--run-dir", "hold a run of this program", f"{path} ({error})") from error
    config = dataclasses.replace(_parse(arguments, default), run_dir=path)
    require_same_run(config.settings(), stored)
    return config


def require_same_run(settings: dict[str, Any], stored: dict[str, Any]) -> None:
    """Refuse to resume with other settings than those `stored`; `epochs` alone may differ.

    Raises:
        InputError: they differ.
    """
    for name in settings.keys() | stored.keys():
        if name != "epochs" and settings.get(name) != stored.get(name):
            raise InputError(
                option(name),
                "be that of the run to resume",
                f"{settings.get(name)!r} instead of {stored.get(name)!r}",
                "leave it out, or start a new run",
            )


def _parse(arguments: list[str], default: OnChip | None = None) -> OnChip:
    options = {} if default is None else {"default": default}
    return tyro.cli(OnChip, args=arguments, prog="python -m training onchip", **options)
