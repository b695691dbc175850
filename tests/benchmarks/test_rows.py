"""Benchmarks print the rows of their contract; how fast they are is not tested."""

import importlib.util
import json

from benchmarks import online_step
from benchmarks.__main__ import main

KEYS = {"case", "seconds", "reference", "reference_seconds", "ratio", "bar", "holds"}


def test_the_online_step_prints_its_rows_as_json(monkeypatch, capsys):
    monkeypatch.setattr(online_step, "SAMPLES", 200)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # as where torch is not installed
    assert main(["online_step", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(set(row) == KEYS and row["seconds"] > 0 for row in rows)
    assert rows[0]["reference_seconds"] is None and rows[0]["ratio"] is None
    assert isinstance(rows[0]["holds"], bool)
