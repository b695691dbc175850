"""Benchmarks print the rows of their contract; how fast they are is not tested."""

import importlib.util
import json

import pytest

import benchmarks.__main__
from benchmarks import online_step
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
