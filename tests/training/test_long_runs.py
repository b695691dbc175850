"""Runs that last: killed at any moment, a full disk, a directory that goes away, memory, runs side by side."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hfsim.errors import InputError
from tests.training.walk import Walk
from training import checkpoint
from training.log import FILE, read_log
from training.runner import run

ROOT = Path(__file__).parents[2]
KILLS, LONGEST = 20, 0.1
"""How often, and the most seconds before each: less in all than the walk takes, so that it cannot end before."""


def _result(path: Path) -> dict:
    return json.loads((path / "metrics.json").read_text())


def _killed(path: Path, most: float, generator: random.Random) -> bool:
    """Go on with a run in a process of its own, and kill that after a random time; whether it was in time."""
    child = os.fork()
    if not child:
        try:
            run(Walk(run_dir=path, resume=path.exists(), checkpoint_seconds=0.0, quiet=True), [])
        except InputError:
            os._exit(2)  # killed before it had claimed its directory
        os._exit(0)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, generator.uniform(0.001, most))
    _, status = os.waitpid(child, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return os.WIFSIGNALED(status)


def _kill_often(path: Path) -> None:
    """The program of `test_a_run_killed_20_times...`: no threads, so that it may fork."""
    generator, kills = random.Random(1), 0
    while kills < KILLS:
        kills += _killed(path, LONGEST, generator)
        if path.exists() and not (path / "configuration.json").exists():
            path.rmdir()  # the kill came between the directory and its first file
    run(Walk(run_dir=path, resume=True, quiet=True), [])


def test_a_run_killed_20_times_at_random_ends_in_the_same_numbers(tmp_path):
    program = "import sys; from pathlib import Path; from tests.training.test_long_runs import _kill_often as f;"
    program += " f(Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "killed")], check=True, cwd=ROOT)
    run(Walk(run_dir=tmp_path / "whole", quiet=True), [])
    killed, whole = (_result(tmp_path / name) for name in ("killed", "whole"))
    assert killed["metrics"] == whole["metrics"]
    events = read_log(tmp_path / "killed")
    steps = [line["steps"] for line in events if line["event"] == "step"]
    assert steps[-1] == whole["metrics"]["steps"]["value"] and len(steps) >= steps[-1]
    assert sum(line["event"] in ("begin", "resume") for line in events) >= 3
    assert not [name for name in os.listdir(tmp_path / "killed") if name.endswith(".unfinished")]


@pytest.fixture
def full_disk():
    """No file may grow beyond 20 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_ends_in_one_error_with_the_last_checkpoint_intact(tmp_path, full_disk):
    with pytest.raises(InputError, match="writable.*intact") as error:
        run(Walk(run_dir=tmp_path / "run", grow=1000, checkpoint_seconds=0.0, quiet=True), [])
    assert "\n" not in str(error.value)
    _, record = checkpoint.load(tmp_path / "run" / checkpoint.FILE)
    assert 0 < record["steps"] < Walk.steps
    assert not [name for name in os.listdir(tmp_path / "run") if name.endswith(".unfinished")]


@pytest.mark.parametrize("checkpoints", [0.0, 1e6])
def test_a_directory_that_vanishes_ends_in_one_error(tmp_path, checkpoints):
    with pytest.raises(InputError, match="writable"):
        run(Walk(run_dir=tmp_path / "run", vanish=7, checkpoint_seconds=checkpoints, quiet=True), [])


def test_runs_side_by_side_do_not_touch_each_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", f"from tests.training.walk import Walk; Walk.go({seed})"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for seed in range(3)
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    found = {_result(tmp_path / "runs" / name)["seed"] for name in os.listdir(tmp_path / "runs")}
    assert found == {0, 1, 2}


def test_a_log_survives_a_torn_line(tmp_path):
    run(Walk(run_dir=tmp_path / "run", quiet=True), [])
    whole = read_log(tmp_path / "run")
    assert [line["event"] for line in whole][0] == "begin" and whole[-1]["event"] == "finish"
    with (tmp_path / "run" / FILE).open("a") as file:
        file.write('{"time": "2026-')
    assert read_log(tmp_path / "run") == whole
    run(Walk(run_dir=tmp_path / "run", resume=True, quiet=True), [])
    assert [line["event"] for line in read_log(tmp_path / "run")[len(whole) :]] == ["resume", "finish"]


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux for the memory of the process")
def test_memory_is_flat_over_epochs():
    from training.tables.configuration import Tables

    job = Tables(tasks=("digits-online",), storages=("measured",), epochs=30, seeds=2, samples=100, quiet=True).job()
    seen = []
    for job.steps in range(30):
        job.step()
        seen.append(_resident())
    assert np.median(seen[24:]) - np.median(seen[5:10]) < 5e6  # the last step loads a program of its own
