"""Benchmarks print the rows of their contract; how fast they are is not tested."""

import importlib.util
import json
import re

import jax
import pytest

import benchmarks.__main__
from benchmarks import gpu, monte_carlo, online_step
from benchmarks.__main__ import main, publish
from benchmarks.measure import Row

KEYS = {"case", "seconds", "reference", "reference_seconds", "ratio", "bar", "holds"}


def test_the_online_step_prints_its_rows_as_json(monkeypatch, capsys):
    for name, small in (("SAMPLES", 200), ("SIZES", (40, 20, 10, 10)), ("SEEDS", 2)):
        monkeypatch.setattr(online_step, name, small)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # as where torch is not installed
    assert main(["online_step", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(set(row) == KEYS and row["seconds"] > 0 for row in rows)
    assert rows[0]["reference_seconds"] is None and rows[0]["ratio"] is None
    assert isinstance(rows[0]["holds"], bool)


def test_published_rows_state_command_machine_and_date(monkeypatch, tmp_path):
    monkeypatch.setattr(benchmarks.__main__, "RESULTS", tmp_path)
    rows = [Row("a case", 1.0, "a peer", 2.0, 2.0, "at most 3 s", True)]
    publish("devices", rows, "a machine", "2026-11-22", {"jax": "1"})
    kept = json.loads((tmp_path / "devices.json").read_text())
    assert kept["command"] == "python -m benchmarks devices" and kept["machine"] == "a machine"
    assert set(kept["rows"][0]) == KEYS and kept["date"] == "2026-11-22"
    page = (tmp_path / "devices.md").read_text()
    assert "| a case | 1 | a peer | 2 | at most 3 s: holds |" in page and "a machine; jax 1; 2026-11-22." in page


def test_publishing_needs_a_date(capsys):
    with pytest.raises(SystemExit):
        main(["devices", "--publish", "a machine"])
    assert "--date" in capsys.readouterr().err


def test_monte_carlo_judges_what_its_processes_tell(monkeypatch):
    told = iter([(30.0, 1), (63.0, 1), (70.0, 1), (20.0, 1), (11.0, 1), (11.0, 1)])

    def results(jobs):
        found = []
        for number, _ in enumerate(jobs):
            seconds, gigabytes = next(told)
            began = 100.0 + number
            found.append({"seconds": seconds, "began": began, "ended": began + seconds, "means": [0.07, 0.25]})
            found[-1]["bytes"] = gigabytes * 2**30
        return found

    monkeypatch.setattr(monte_carlo, "_start", lambda *arguments, **options: None)
    monkeypatch.setattr(monte_carlo, "_results", results)
    monkeypatch.setattr(monte_carlo, "cores", lambda: [0, 1])
    rows = monte_carlo.rows()
    assert [row.holds for row in rows] == [True, True, False, False]  # full normals above 60 s; 20/12 below 1.7
    assert rows[3].ratio == pytest.approx(20 / 12) and rows[1].ratio == pytest.approx(30 / 63)


def test_the_gpu_benchmark_asks_for_a_gpu_and_counts_work(monkeypatch, capsys):
    if jax.default_backend() == "cpu":
        assert main(["gpu"]) == 2
        error = capsys.readouterr().err
        assert "`backend` must be an accelerator" in error and "Traceback" not in error
    monkeypatch.setattr(jax, "default_backend", lambda: "an accelerator")
    for name, small in (("CHIPS", 48), ("TRIED_CHIPS", 16), ("TOGETHER", (8, 16)), ("COPIED", 2**10), ("SIDE", 32)):
        monkeypatch.setattr(gpu, name, small)
    rows = gpu.rows()
    assert len(rows) == 5 and rows[-1].case.startswith("48 chips") and all(row.seconds > 0 for row in rows)
    shares = re.findall(r"([\d.]+)% of", rows[-1].case)
    assert len(shares) == 2 and all(float(share) > 0 for share in shares)
