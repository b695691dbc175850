"""The main job: train a network on the simulated hybrid chip, leave it alone for ten years, report."""

import shlex
import time
from pathlib import Path

from tqdm import tqdm

from hfsim.errors import InputError
from training import checkpoint
from training.configuration import RUNS, STEM, OnChip
from training.evaluation import make_accuracy
from training.experiment import Experiment, Progress
from training.report import write_report
from training.results import Results, measure
from training.run_directory import (
    CONFIGURATION,
    claim,
    claim_next,
    discard_unfinished_writes,
    recorded_configuration,
    require_unclaimed,
    write_json,
)


def run(config: OnChip, arguments: list[str]) -> Path:
    """Do the job; returns the run's directory.

    Raises:
        InputError: the directory or the checkpoint is refused; nothing was overwritten.
    """
    began = time.perf_counter()
    command = shlex.join(["python", "-m", "training", *arguments])
    if not config.resume and config.run_dir is not None:
        require_unclaimed(config.run_dir)
    experiment = Experiment(config)
    progress = Progress(experiment)
    if config.resume:
        path, command = _take_up(config, progress)
    else:
        path = _begin(config, command)
    began -= progress.seconds
    train(experiment, progress, path / checkpoint.FILE, began)
    results = measure(experiment, progress)
    write_report(path, config, results, command)
    seconds = time.perf_counter() - began
    results.write(path, command=command, settings=config.settings(), wall_seconds=seconds)
    if not config.quiet:
        print(summary(results, path, seconds))
    return path


def _begin(config: OnChip, command: str) -> Path:
    record = {"command": command, "settings": config.settings()}
    if config.run_dir is None:
        return claim_next(RUNS, STEM, record)
    claim(config.run_dir, record)
    return config.run_dir


def _take_up(config: OnChip, progress: Progress) -> tuple[Path, str]:
    """Restore the run of `config`; its directory and the command that began it."""
    assert config.run_dir is not None, "read_command_line names the run to resume"
    path, saved = config.run_dir, config.run_dir / checkpoint.FILE
    if saved.exists():
        progress.restore(saved, config.settings())
    elif (path / "metrics.json").exists():
        raise InputError("--resume", f"find {checkpoint.FILE}", f"none in {path}, though it has results")
    discard_unfinished_writes(path)
    record = recorded_configuration(path)
    write_json(path / CONFIGURATION, {**record, "settings": config.settings()})  # more epochs, before they begin
    return path, record.get("command", "")


def train(experiment: Experiment, progress: Progress, saved: Path, began: float) -> None:
    """Train up to the configured number of epochs, with a progress bar and checkpoints on a time budget."""
    config = experiment.config
    accuracy = make_accuracy(experiment.graph, experiment.data.validation)
    written = time.perf_counter()
    bar = tqdm(total=config.epochs, initial=progress.epoch, desc="epochs", disable=config.quiet, dynamic_ncols=True)
    with bar:
        while progress.epoch < config.epochs:
            progress.step(experiment, accuracy)
            bar.set_postfix_str(progress.headline())
            bar.update()
            last = progress.epoch == config.epochs
            if last or time.perf_counter() - written >= config.checkpoint_seconds:
                progress.seconds = time.perf_counter() - began
                progress.save(saved, config.settings())
                written = time.perf_counter()


def summary(results: Results, path: Path, seconds: float) -> str:
    """A few lines for the terminal."""
    value = {name: metric["value"] for name, metric in results.metrics.items()}
    lines = [f"test accuracy            {value['test_accuracy']:.2%}"]
    if "accuracy_after_10_years" in value:
        lines[0] += f"   floating point {value['float_test_accuracy']:.2%}"
        lines.append(f"after ten years at rest  {value['accuracy_after_10_years']:.2%}")
        lines.append(
            f"energy                   worst cell {value['worst_cell_energy_nJ']:.3g} nJ, "
            f"network {value['network_energy_nJ'] / 1e6:.3g} mJ"
        )
    lines.append(f"{seconds:.1f} s; report: {path / 'report.html'}")
    return "\n".join(lines)
