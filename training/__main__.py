"""`python -m training [JOB] ...`: the experiments' command line."""

import importlib
import sys

from hfsim.errors import InputError

JOBS = {
    "onchip": ("training.onchip.configuration:OnChip", "train on the hybrid chip, leave it for ten years (default)"),
    "tables": ("training.tables.configuration:Tables", "the tables of the hybrid-memory article, at full scale"),
    "codesign": (
        "training.codesign.configuration:CoDesign",
        "devices, circuits and schedules chosen by gradients, then checked",
    ),
    "mvm": (
        "training.mvm.configuration:MatrixVector",
        "products of an array over ten years, three technologies",
    ),
    "mnist-mlp": ("training.mnist_mlp.configuration:MnistMLP", "train an MLP by pulses on CMO/HfOx, then ten years"),
    "learning-rates": (
        "training.learning_rates.configuration:LearningRates",
        "the network of mnist-mlp at learning rates over a factor of 100",
    ),
    "char-lstm": ("training.char_lstm.configuration:CharLSTM", "train a character LSTM by pulses on CMO/HfOx"),
    "ablation": ("training.ablation.configuration:Ablation", "asymmetry, states, noise of the device, one at a time"),
}
"""Where each job's options are, and what it does."""
DEFAULT = "onchip"


def main(arguments: list[str]) -> int:
    """Run a job; bad input ends in one line on stderr and exit status 2."""
    if arguments and arguments[0] in ("-h", "--help"):
        print(_help())
        return 0
    job, rest = (arguments[0], arguments[1:]) if arguments and arguments[0] in JOBS else (DEFAULT, arguments)
    if rest and not rest[0].startswith("-"):
        print(f"error: the job must be one of {', '.join(JOBS)}, but was {rest[0]!r}.", file=sys.stderr)
        return 2
    try:
        # imported here, so that a mistake in the options or a missing extra is told at once
        from training.command_line import read_command_line

        module, name = JOBS[job][0].split(":")
        config = read_command_line(getattr(importlib.import_module(module), name), rest)
        from training.runner import run

        run(config, arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("hfsim", "models", "training"):
            raise
        print(f"error: {job} needs the package {error.name}: pip install -e '.[experiments]'.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; go on with --resume.", file=sys.stderr)
        return 130
    return 0


def _help() -> str:
    lines = ["usage: python -m training [JOB] [OPTIONS]", "", "jobs:"]
    width = max(map(len, JOBS)) + 2
    lines += [f"  {name:<{width}}{what}" for name, (_, what) in JOBS.items()]
    return "\n".join([*lines, "", "`python -m training JOB --help` explains the options of a job."])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
