"""Turn finished runs of the main job into a committed result.

    python -m training --chips 5 --transfer measured ...
    python -m training.publish RUN [RUN ...] --machine "2 cores of a server" --date 2026-11-22

Writes docs/results/onchip.json, its page onchip.md, and the figures of the first run into docs/figures/.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from training.run_directory import write_bytes, write_json

DOCS = Path(__file__).parents[1] / "docs"
FIGURES = ("learning_curve", "levels", "hidden_against_analogue", "ten_years")
SHOWN = (
    ("test_accuracy", "test accuracy on the chip"),
    ("test_accuracy_sd", "standard deviation over chips"),
    ("float_test_accuracy", "the same network in floating point"),
    ("accuracy_after_1_month", "after a month at rest"),
    ("accuracy_after_10_years", "after ten years at rest"),
)


def main(arguments: list[str]) -> int:
    """Write the results of the runs named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--machine", required=True, help="the machine, in words")
    parser.add_argument("--date", required=True)
    options = parser.parse_args(arguments)
    results = [json.loads((run / "metrics.json").read_text()) for run in options.runs]
    kept = [{**result, "machine": options.machine, "date": options.date} for result in results]
    write_json(DOCS / "results" / "onchip.json", kept)
    write_bytes(DOCS / "results" / "onchip.md", page(kept).encode())
    for name in FIGURES:
        shutil.copyfile(options.runs[0] / f"{name}.png", DOCS / "figures" / f"{name}.png")
    return 0


def page(results: list[dict]) -> str:
    """The page of the results: one column a run."""
    settings = [result["configuration"] for result in results]
    head = [f"{s['transfer']}, {s['chips']} chips" for s in settings]
    lines = ["# The main job: a chip that learns digits", ""]
    lines += ["| | " + " | ".join(head) + " |", "|---|" + "---|" * len(head)]
    for name, label in SHOWN:
        values = [result["metrics"][name]["value"] for result in results]
        cells = ["–" if value is None else f"{100 * value:.2f} %" for value in values]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    walls = [f"{result['wall_seconds']:.0f} s" for result in results]
    lines.append("| wall time, all chips | " + " | ".join(walls) + " |")
    lines += ["", "The article gives no result on these digits. Test images were used once, after training.", ""]
    lines += [f"- `{result['command']}`, seed {result['seed']}" for result in results]
    versions = ", ".join(f"{name} {value}" for name, value in results[0]["versions"].items())
    lines += ["", f"{results[0]['machine']}; {versions}; {results[0]['date']}.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
