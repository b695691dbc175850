"""`python -m benchmarks NAME [--json]`: run a benchmark and print its rows."""

import argparse
import importlib
import json
import os
import sys

NAMES = ("devices", "online_step", "training")
ON_ALL_CORES = ("devices",)


def main(arguments: list[str]) -> int:
    """Print a table, or with --json the rows alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="print a JSON list of rows instead of a table")
    options = parser.parse_args(arguments)
    if options.name in ON_ALL_CORES:  # before jax is imported: it makes its host devices once
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={cores}"
        os.environ["XLA_FLAGS"] = flags.strip()
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
