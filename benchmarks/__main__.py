"""`python -m benchmarks NAME [--json]`: run a benchmark and print its rows."""

import argparse
import importlib
import json
import sys

NAMES = ("online_step", "training")


def main(arguments: list[str]) -> int:
    """Print a table, or with --json the rows alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="print a JSON list of rows instead of a table")
    options = parser.parse_args(arguments)
    from benchmarks.measure import environment

    rows = importlib.import_module(f"benchmarks.{options.name}").rows()
    if options.json:
        print(json.dumps([row._asdict() for row in rows], indent=1))
        return 0
    print(", ".join(f"{name} {value}" for name, value in environment().items()))
    for row in rows:
        against = "not installed" if row.reference_seconds is None else f"{row.reference_seconds:.3g} s"
        ratio = "" if row.ratio is None else f", ratio {row.ratio:.3g}"
        verdict = "" if row.holds is None else f"; bar {row.bar}: {'holds' if row.holds else 'MISSED'}"
        print(f"{row.case}: {row.seconds:.3g} s; {row.reference}: {against}{ratio}{verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
