"""Runs any job: directory, steps with a progress bar, checkpoints on a clock, time budget, results."""

import shlex
import time
from pathlib import Path
from typing import Any, cast

import matplotlib
from tqdm import tqdm

from hfsim.errors import InputError
from training import checkpoint
from training.command_line import RUNS, require_same_run
from training.job import Configuration, Job, option
from training.log import Log
from training.plotting import STYLE
from training.report import write_report
from training.run_directory import (
    CONFIGURATION,
    claim,
    claim_next,
    discard_unfinished_writes,
    recorded_configuration,
    require_unclaimed,
    versions,
    write_json,
)


def run(config: Configuration, arguments: list[str]) -> Path:
    """Do the job of `config`; returns the run's directory.

    Raises:
        InputError: the directory, the data or the checkpoint is refused; nothing was overwritten.
    """
    began = time.perf_counter()
    command = shlex.join(["python", "-m", "training", *arguments])
    if not config.resume and config.run_dir is not None:
        require_unclaimed(config.run_dir)
    job = config.job()
    if config.resume:
        path, command, before = _take_up(config, job)
        began -= before
    else:
        path = _begin(config, command)
    log = Log(path)
    log.write("resume" if config.resume else "begin", steps=job.steps, total=job.total, unit=job.unit)
    work(job, config, path / checkpoint.FILE, began, log)
    with matplotlib.rc_context(cast(Any, STYLE)):
        results = job.finish()
    write_report(path, job, config, results, command)
    seconds = time.perf_counter() - began
    content = {
        "command": command,
        "configuration": config.settings(),
        "versions": versions(),
        "seed": config.seed,
        "wall_seconds": seconds,
        "metrics": results.metrics,
    }
    write_json(path / "metrics.json", content)
    log.write("finish", steps=job.steps, total=job.total, seconds=round(seconds, 3))
    if not config.quiet:
        print("\n".join([*results.summary, f"{seconds:.1f} s; report: {path / 'report.html'}"]))
    return path


def work(job: Job, config: Configuration, saved: Path, began: float, log: Log) -> None:
    """Step to the end of the job or of its time, with a progress bar and checkpoints; `began` is on the clock."""
    written = time.perf_counter()
    bar = tqdm(total=job.total, initial=job.steps, desc=job.unit, disable=config.quiet, dynamic_ncols=True)
    with bar:
        while job.steps < job.total and not (job.steps and _spent(config, began)):
            job.step()
            job.steps += 1
            headline, seconds = job.headline(), time.perf_counter() - began
            bar.set_postfix_str(headline)
            bar.update()
            log.write("step", steps=job.steps, total=job.total, seconds=round(seconds, 3), headline=headline)
            last = job.steps == job.total or _spent(config, began)
            if last or time.perf_counter() - written >= config.checkpoint_seconds:
                save(job, config, saved, time.perf_counter() - began)
                written = time.perf_counter()
                log.write("checkpoint", steps=job.steps)


def save(job: Job, config: Configuration, path: Path, seconds: float) -> None:
    """Write a checkpoint of a job that took `seconds` so far."""
    record = {"settings": config.settings(), "steps": job.steps, "seconds": seconds, "job": job.record()}
    checkpoint.save(path, job.arrays(), record)


def take_up(job: Job, config: Configuration, path: Path) -> float:
    """Restore a freshly started job from a checkpoint; returns the seconds it had taken.

    Raises:
        InputError: the checkpoint is damaged, of another configuration, or longer than this one.
    """
    arrays, record = checkpoint.load(path)
    if not {"settings", "steps", "seconds", "job"} <= record.keys():
        raise InputError("checkpoint", "be one of this program", f"{path}, which lacks its record")
    require_same_run(config, record["settings"])
    if record["steps"] > job.total:
        behind = f"be at least the {record['steps']} {job.unit} that the run has behind it"
        raise InputError(option(config.length or "run_dir"), behind, job.total)
    job.steps = record["steps"]  # first: a job of several systems has the arrays of the one that it had come to
    job.restore(checkpoint.restored(job.arrays(), arrays))
    job.restore_record(record["job"])
    return record["seconds"]


def _spent(config: Configuration, began: float) -> bool:
    return config.minutes is not None and time.perf_counter() - began >= 60 * config.minutes


def _begin(config: Configuration, command: str) -> Path:
    record = {"command": command, "settings": config.settings()}
    if config.run_dir is None:
        return claim_next(RUNS, config.name, record)
    claim(config.run_dir, record)
    return config.run_dir


def _take_up(config: Configuration, job: Job) -> tuple[Path, str, float]:
    """Restore the run of `config`: its directory, the command that began it, the seconds behind it."""
    assert config.run_dir is not None, "read_command_line names the run to resume"
    path, saved, seconds = config.run_dir, config.run_dir / checkpoint.FILE, 0.0
    if saved.exists():
        seconds = take_up(job, config, saved)
    elif (path / "metrics.json").exists():
        raise InputError("--resume", f"find {checkpoint.FILE}", f"none in {path}, though it has results")
    discard_unfinished_writes(path)
    record = recorded_configuration(path)
    write_json(path / CONFIGURATION, {**record, "settings": config.settings()})  # what is new, before it begins
    return path, record.get("command", ""), seconds
