"""Bad input on the command line: one line that names it, exit status 2, nothing overwritten."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.__main__ import JOBS, main

ROOT = Path(__file__).parents[2]


def _status(arguments: list[str]) -> int:
    """Exit status of the command line, whether the parser or the job refuses."""
    try:
        return main(arguments)
    except SystemExit as stop:
        return stop.code


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--epochs", "0"], "--epochs"),
        (["--period", "-3"], "--period"),
        (["--probability", "1.5"], "--probability"),
        (["--probability", "nan"], "--probability"),
        (["--learning-rate", "-1"], "--learning-rate"),
        (["--chips", "0"], "--chips"),
        (["--seed", "-1"], "--seed"),
        (["--step-scale", "inf"], "--step-scale"),
        (["--initial-spread", "nan"], "--initial-spread"),
        (["--checkpoint-seconds", "-1"], "--checkpoint-seconds"),
        (["--minutes", "nan"], "--minutes"),
        (["no-such-job"], "job"),
    ],
)
def test_values_out_of_range_are_named(arguments, named, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert _status(arguments) == 2
    error = capsys.readouterr().err
    assert named in error and "must" in error and "Traceback" not in error
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "arguments", [["--transfer", "quantum"], ["--epochs", "many"], ["--colour", "red"], ["--memory"]]
)
def test_unknown_options_and_words_exit_with_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert _status(arguments) == 2
    assert "Traceback" not in "".join(capsys.readouterr())


def test_help_explains_every_option(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["onchip", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    names = "seed period probability learning-rate epochs chips transfer memory run-dir quiet resume mechanism minutes"
    for option in names.split():
        assert f"--{option}" in text


def test_help_lists_the_jobs(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {job} " in text for job in JOBS)


def test_resume_without_a_run_is_refused(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--resume"]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main(["--resume", "--run-dir", str(tmp_path)]) == 2
    assert "--run-dir" in capsys.readouterr().err


def test_an_occupied_directory_is_not_touched(capsys, tmp_path):
    (tmp_path / "data.csv").write_text("precious")
    assert main(["--run-dir", str(tmp_path), "--quiet"]) == 2
    assert "--resume" in capsys.readouterr().err
    assert (tmp_path / "data.csv").read_text() == "precious" and os.listdir(tmp_path) == ["data.csv"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_an_unwritable_directory_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    assert main(["--run-dir", str(tmp_path / "run"), "--quiet"]) == 2


def test_a_directory_below_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--run-dir", str(tmp_path / "file" / "run"), "--quiet"]) == 2
    assert "--run-dir" in capsys.readouterr().err


def test_as_a_program_it_exits_with_2_and_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "training", "--epochs", "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr and "--epochs" in done.stderr
