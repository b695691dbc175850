"""The main job as its user runs it: small, killed, resumed, and at full size on five chips."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.browser import assert_readable, needs_browser
from training import checkpoint, publish
from training.__main__ import main
from training.run_directory import recorded_configuration

pytestmark = pytest.mark.optimised

ROOT = Path(__file__).parents[2]
SMALL = ["--epochs", "4", "--period", "100", "--checkpoint-seconds", "0", "--quiet"]
METRICS = {
    "test_accuracy": "1",
    "float_test_accuracy": "1",
    "accuracy_after_10_years": "1",
    "level_mean_uS": "uS",
    "level_sigma_uS": "uS",
    "worst_cell_energy_nJ": "nJ",
    "network_energy_nJ": "nJ",
}


def _result(path: Path) -> dict:
    return json.loads((path / "metrics.json").read_text())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """One small run, never killed."""
    path = tmp_path_factory.mktemp("runs") / "small"
    assert main(["onchip", *SMALL, "--run-dir", str(path)]) == 0
    return path


def test_metrics_follow_the_contract(small):
    result = _result(small)
    assert set(result) == {"command", "configuration", "versions", "seed", "wall_seconds", "metrics"}
    for name, unit in METRICS.items():
        assert result["metrics"][name]["unit"] == unit
    assert all(set(metric) == {"value", "unit"} for metric in result["metrics"].values())
    assert len(result["metrics"]["level_mean_uS"]["value"]) == 8
    assert result["configuration"]["period"] == 100 and result["seed"] == 0


def test_counts_are_those_of_the_schedule(small):
    value = {name: metric["value"] for name, metric in _result(small)["metrics"].items()}
    samples = value["samples"]
    assert samples == 4 * 1149  # 64 % of 1,797 images, four times
    assert value["transfers"] == samples // 100 + 2  # the first and the last one beside those of the period
    # masks: mean p N within five standard errors; the worst of 33,800 cells exceeds it
    assert abs(value["updates_per_weight_mean"] - 0.2 * samples) < 5 * np.sqrt(0.16 * samples / 33800)
    assert value["worst_updates"] > 0.2 * samples
    assert value["worst_cell_fecap_operations"] == 2 * value["worst_updates"] + 4 * value["transfers"]
    assert value["arrays"] == 34 and value["synapses"] == 33800 and value["devices"] == 34 * 18432


def test_the_sweep_of_the_drift_really_ages_the_chip(small):
    """The card's amplitude may cost nothing, so the ends of the sweep are looked at."""
    value = {name: metric["value"] for name, metric in _result(small)["metrics"].items()}
    aged, amplitudes = np.asarray(value["ageing_accuracy"]), value["ageing_amplitudes"]
    np.testing.assert_array_equal(aged[amplitudes.index(0.0)], value["test_accuracy"])  # no drift, no change
    assert aged[amplitudes.index(100.0), -1] < 0.3 < aged[amplitudes.index(1.0), -1]
    assert aged[amplitudes.index(10.0), -1] < aged[amplitudes.index(10.0), 0]  # time matters, not amplitude alone
    assert value["accuracy_after_10_years"] == aged[amplitudes.index(1.0), -1]


def test_the_report_is_one_self_contained_file(small):
    html = (small / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", html)
    assert html.count("data:image/png;base64,") == 6
    for png in ("learning_curve", "confusion_matrix", "levels", "hidden_against_analogue", "ten_years", "wear"):
        assert (small / f"{png}.png").read_bytes().startswith(b"\x89PNG")
    assert not re.search(r"\bnan\b|\bNone\b|Undefined", re.sub(r"data:image[^\"]*", "", html))


@needs_browser
def test_a_reader_sees_the_report(small):
    assert_readable(small / "report.html", ["How this was run", "ten years"])


def _start(path: Path, *extra: str) -> subprocess.Popen:
    """In a process of its own, which takes the programs that the tests' run compiled."""
    names = (
        "jax_compilation_cache_dir",
        "jax_compilation_cache_max_size",
        "jax_persistent_cache_min_compile_time_secs",
    )
    kept = {name.upper(): str(getattr(jax.config, name)) for name in names}
    return subprocess.Popen(
        [sys.executable, "-m", "training", *SMALL, "--run-dir", str(path), *extra],
        cwd=path.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT), **kept},
    )


def _wait_for(condition, process: subprocess.Popen, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_killed_run_resumed_equals_one_never_killed(small, tmp_path):
    path = tmp_path / "killed"
    saved = path / checkpoint.FILE
    process = _start(path)
    _wait_for(saved.exists, process)
    time.sleep(0.03)  # somewhere in the second epoch, or in the writing of its checkpoint
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    assert 1 <= checkpoint.load(saved)[1]["steps"] <= 4 and not (path / "metrics.json").exists()
    assert _start(path, "--resume").wait(timeout=240) == 0
    one, other = _result(small), _result(path)
    assert one["metrics"] == other["metrics"] and one["configuration"] == other["configuration"]
    ours, theirs = checkpoint.load(small / checkpoint.FILE), checkpoint.load(saved)
    assert ours[1]["job"] == theirs[1]["job"]
    for name, array in ours[0].items():
        np.testing.assert_array_equal(array, theirs[0][name], err_msg=name)
    assert not list(path.glob(".*")), "a temporary file was left behind"


def test_resume_takes_the_settings_of_the_run_and_refuses_others(small, capsys):
    before = (small / "metrics.json").read_bytes()
    assert main(["--resume", "--run-dir", str(small), "--seed", "5", "--quiet"]) == 2
    assert "--seed" in capsys.readouterr().err
    assert (small / "metrics.json").read_bytes() == before


def test_a_run_without_its_checkpoint_is_not_begun_again(small, tmp_path, capsys):
    path = tmp_path / "copy"
    shutil.copytree(small, path)
    (path / checkpoint.FILE).unlink()
    before = (path / "metrics.json").read_bytes()
    assert main(["--resume", "--run-dir", str(path), "--quiet"]) == 2
    assert checkpoint.FILE in capsys.readouterr().err
    assert (path / "metrics.json").read_bytes() == before


def test_a_truncated_checkpoint_ends_the_command_line_with_2(small, tmp_path, capsys):
    path = tmp_path / "copy"
    shutil.copytree(small, path)
    content = (path / checkpoint.FILE).read_bytes()
    (path / checkpoint.FILE).write_bytes(content[: len(content) // 2])
    assert main(["--resume", "--run-dir", str(path), "--quiet"]) == 2
    assert "checkpoint" in capsys.readouterr().err


def test_an_extension_killed_before_its_end_can_be_resumed(small, tmp_path):
    """More epochs are recorded before they begin, so that a plain --resume goes on to them."""
    path = tmp_path / "extended"
    shutil.copytree(small, path)
    saved = path / checkpoint.FILE
    process = _start(path, "--resume", "--epochs", "40")
    _wait_for(lambda: checkpoint.load(saved)[1]["steps"] > 4, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert recorded_configuration(path)["settings"]["epochs"] == 40
    assert main(["--resume", "--run-dir", str(path), "--quiet", "--epochs", "3"]) == 2


def test_five_chips_reach_the_bar_beside_floating_point(tmp_path):
    """Defaults, measured transfer: mean of five seeds at least 95 %, within 3 points of floating point."""
    path = tmp_path / "five"
    assert main(["--chips", "5", "--quiet", "--run-dir", str(path)]) == 0
    value = {name: metric["value"] for name, metric in _result(path)["metrics"].items()}
    assert len(set(value["test_accuracy_per_chip"])) > 1, "the chips are copies of one another"
    assert value["test_accuracy"] >= 0.95
    assert value["test_accuracy"] >= value["float_test_accuracy"] - 0.03
    assert value["accuracy_after_10_years"] >= 0.9
    # published table: 21,125 devices a code, so 0.06 uS and 0.5 % of error
    published = [1.4, 11.9, 36.5, 58.3, 73.9, 85.5, 95.9, 103.9]
    np.testing.assert_allclose(value["level_mean_uS"], published, atol=0.3)
    np.testing.assert_allclose(value["level_sigma_uS"], 8.7, rtol=0.025)


def test_a_spent_time_budget_reports_what_is_done_and_can_be_extended(tmp_path):
    path = tmp_path / "short"
    options = ["--epochs", "3", "--period", "100", "--quiet", "--run-dir", str(path)]
    assert main([*options, "--minutes", "0.0001"]) == 0
    first = _result(path)
    assert first["metrics"]["epochs"]["value"] == 1 and first["configuration"]["minutes"] == 0.0001
    assert "after 1 of 3 epochs" in (path / "report.html").read_text()
    assert main(["--resume", "--quiet", "--run-dir", str(path)]) == 0  # time spent before counts
    again = _result(path)
    assert again["metrics"] == first["metrics"]
    assert again["wall_seconds"] > checkpoint.load(path / checkpoint.FILE)[1]["seconds"] > 0
    assert main(["--resume", "--quiet", "--run-dir", str(path), "--minutes", "60"]) == 0
    assert _result(path)["metrics"]["epochs"]["value"] == 3


def test_floating_point_alone(tmp_path):
    path = tmp_path / "float"
    assert main(["--memory", "float", "--epochs", "3", "--quiet", "--run-dir", str(path)]) == 0
    result = _result(path)
    assert result["metrics"]["test_accuracy"] == result["metrics"]["float_test_accuracy"]
    assert "network_energy_nJ" not in result["metrics"]
    assert "floating point" in (path / "report.html").read_text()


def test_a_finished_run_can_be_published(small, tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "DOCS", tmp_path)
    for folder in ("results", "figures"):
        (tmp_path / folder).mkdir()
    assert publish.main([str(small), "--machine", "a laptop", "--date", "2026-11-22"]) == 0
    (result,) = json.loads((tmp_path / "results" / "onchip.json").read_text())
    assert result["metrics"] == _result(small)["metrics"] and result["machine"] == "a laptop"
    page = (tmp_path / "results" / "onchip.md").read_text()
    assert f"{100 * result['metrics']['test_accuracy']['value']:.2f} %" in page and result["command"] in page
    assert (tmp_path / "figures" / "levels.png").exists()
