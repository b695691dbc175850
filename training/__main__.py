"""`python -m training [onchip] ...`: the experiments' command line."""

import sys

from hfsim.errors import InputError

JOBS = ("onchip",)


def main(arguments: list[str]) -> int:
    """Run a job; bad input ends in one line on stderr and exit status 2."""
    job, rest = (arguments[0], arguments[1:]) if arguments and arguments[0] in JOBS else (JOBS[0], arguments)
    if rest and not rest[0].startswith("-"):
        print(f"error: the job must be one of {', '.join(JOBS)}, but was {rest[0]!r}.", file=sys.stderr)
        return 2
    try:
        # imported here, so that a mistake in the options or a missing extra is told at once
        from training.configuration import read_command_line

        config = read_command_line(rest)
        from training.onchip import run

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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
