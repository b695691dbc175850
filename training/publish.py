"""Turn finished runs of a job into a committed result.

    python -m training --chips 5 --transfer measured ...
    python -m training.publish RUN [RUN ...] --machine "2 cores of a server" --date 2026-11-22

Writes docs/results/JOB.json, its page JOB.md, and the page's figures, of the first run, into docs/figures/. What a page
says is the job's: `page` and `FIGURES` of training/JOB/page.py. A job of several tables or studies has files of each,
named JOB-TABLE, with page and figures of training/JOB/TABLE_page.py.
"""

import argparse
import importlib
import json
import shlex
import shutil
import sys
from pathlib import Path

from hfsim.errors import InputError
from training.__main__ import JOBS
from training.job import Table
from training.run_directory import write_bytes, write_json

DOCS = Path(__file__).parents[1] / "docs"


def main(arguments: list[str]) -> int:
    """Write the results of the runs named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--machine", required=True, help="the machine, in words")
    parser.add_argument("--date", required=True)
    options = parser.parse_args(arguments)
    try:
        publish(options.runs, options.machine, options.date)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def publish(runs: list[Path], machine: str, date: str) -> None:
    """Write json, page and figures of finished runs of one job.

    Raises:
        InputError: a run without results or a figure, runs of several jobs, or more runs than a page shows.
    """
    missing = [run for run in runs if not (run / "metrics.json").is_file()]
    if missing:
        raise InputError("runs", "be directories of finished runs", str(missing[0]))
    results = [json.loads((run / "metrics.json").read_text()) for run in runs]
    settings = [result["configuration"] for result in results]
    names = sorted({"-".join([s["job"], *_part(s)]) for s in settings})
    if len(names) > 1:
        raise InputError("runs", "be of one job", ", ".join(names))
    folder = JOBS[settings[0]["job"]][0].rpartition(".")[0]
    job = importlib.import_module(f"{folder}.{'_'.join([*_part(settings[0]), 'page']).replace('-', '_')}")
    absent = [str(runs[0] / f"{name}.png") for name in job.FIGURES if not (runs[0] / f"{name}.png").is_file()]
    if absent:
        raise InputError("runs", "hold all figures of the page", f"without {absent[0]}", "run with all that it shows")
    about = {"machine": machine, "date": date}
    kept = [{**result, **about, "command": _elsewhere(result["command"])} for result in results]
    page = job.page(kept).encode()
    write_json(DOCS / "results" / f"{names[0]}.json", kept)
    write_bytes(DOCS / "results" / f"{names[0]}.md", page)
    for name in job.FIGURES:
        shutil.copyfile(runs[0] / f"{name}.png", DOCS / "figures" / f"{name}.png")


def _part(settings: dict) -> list[str]:
    """The table or study of a job that has several."""
    return [settings[name] for name in ("table", "study") if name in settings]


def _elsewhere(command: str) -> str:
    """The command without its run directory and place of data, which are this machine's and change no number."""
    words = shlex.split(command)
    for name in ("--run-dir", "--data"):
        while name in words:
            place = words.index(name)
            del words[place : place + 2]
    return shlex.join(words)


def only(results: list[dict]) -> dict:
    """The result of a page that shows one run.

    Raises:
        InputError: there are several.
    """
    if len(results) > 1:
        raise InputError("runs", "be one: this job's page shows one", len(results))
    return results[0]


def footer(results: list[dict]) -> list[str]:
    """The lines that end every page: commands, seeds, how long each took, machine, versions, date."""
    lines = [f"- `{it['command']}`, seed {it['seed']}, {_duration(it['wall_seconds'])}" for it in results]
    versions = ", ".join(f"{name} {value}" for name, value in results[0]["versions"].items())
    return [*lines, "", f"{results[0]['machine']}; {versions}; {results[0]['date']}.", ""]


def _duration(seconds: float) -> str:
    """Of a run, in words."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def markdown(it: Table) -> list[str]:
    """A table's lines."""
    rows = [it.head, ["---"] * len(it.head), *it.rows]
    return ["| " + " | ".join(row) + " |" for row in rows]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
