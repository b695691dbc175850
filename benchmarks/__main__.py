"""`python -m benchmarks NAME [--json]`: run a benchmark and print its rows."""

import argparse
import importlib
import json
import os
import sys
from pathlib import Path

NAMES = ("codesign", "crossbar", "devices", "gpu", "monte_carlo", "online_step", "training")
ON_ALL_CORES = ("crossbar", "devices")
RESULTS = Path(__file__).parents[1] / "docs" / "results"


def publish(name: str, rows: list, machine: str, date: str, versions: dict[str, str]) -> None:
    """Write the rows, with command, machine, date and versions, to docs/results/NAME.json and NAME.md."""
    command = f"python -m benchmarks {name}"
    kept = {"command": command, "machine": machine, "date": date, "versions": versions}
    kept["rows"] = [row._asdict() for row in rows]
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    lines = [f"# `{command}`", "", "| case | seconds | against | its seconds | bar |", "|---|---|---|---|---|"]
    for row in rows:
        reference = "" if row.reference_seconds is None else f"{row.reference_seconds:.3g}"
        verdict = "" if row.holds is None else f"{row.bar}: {'holds' if row.holds else '**missed**'}"
        case = row.case.strip().replace("|", "\\|")
        lines.append(f"| {case} | {row.seconds:.3g} | {row.reference} | {reference} | {verdict} |")
    lines += ["", f"{machine}; {', '.join(f'{k} {v}' for k, v in versions.items())}; {date}.", ""]
    (RESULTS / f"{name}.md").write_text("\n".join(lines), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Print a table, or with --json the rows alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="print a JSON list of rows instead of a table")
    parser.add_argument("--publish", metavar="MACHINE", help="also write docs/results/NAME.json and its page")
    parser.add_argument("--date", help="date of the published figures")
    options = parser.parse_args(arguments)
    if options.publish and not options.date:
        parser.error("`--publish` needs `--date`, which is a part of every published figure")
    if options.name in ON_ALL_CORES:  # before jax is imported: it makes its host devices once
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={cores}"
        os.environ["XLA_FLAGS"] = flags.strip()
    from benchmarks.measure import environment
    from hfsim.errors import InputError

    try:
        rows = importlib.import_module(f"benchmarks.{options.name}").rows()
    except InputError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    if options.publish:
        publish(options.name, rows, options.publish, options.date, environment())
    if options.json:
        print(json.dumps([row._asdict() for row in rows], indent=1))
        return 0
    print(", ".join(f"{name} {value}" for name, value in environment().items()))
    for row in rows:
        against = "not installed" if row.reference_seconds is None else f"{row.reference_seconds:.3g} s"
        against = f"; {row.reference}: {against}" if row.reference else ""
        ratio = "" if row.ratio is None else f", ratio {row.ratio:.3g}"
        verdict = "" if row.holds is None else f"; bar {row.bar}: {'holds' if row.holds else 'MISSED'}"
        print(f"{row.case}: {row.seconds:.3g} s{against}{ratio}{verdict}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
