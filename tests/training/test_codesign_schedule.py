"""The study of schedules, small; full scale by `python -m training codesign --study schedule`."""

import json

import numpy as np
import pytest

from hfsim import InputError
from training import publish
from training.__main__ import main
from training.codesign import schedule_estimators, schedule_study
from training.codesign.configuration import CoDesign

SMALL = ["--samples", "120", "--epochs", "1", "--steps", "2", "--chips", "4", "--quiet", "--checkpoint-seconds", "0"]


def test_a_small_study_runs_to_its_page(tmp_path, monkeypatch):
    monkeypatch.setattr(schedule_study, "WEIGHTS", (0.3,))
    monkeypatch.setattr(schedule_study, "PERIODS", (10, 60))
    # slopes through a training have tests of their own (tests/learning): to compile them takes minutes
    slope = {"parameter": "period", "estimator": "score function", "brute_force": [0.2, 0.1], "mean": 0.2}
    rows = [{**slope, "spread": 1.0, "bias": [0.0, 0.1], "price": 1.0}]
    monkeypatch.setattr(schedule_estimators, "estimator_table", lambda *a: {"rows": rows, "runs": 2, "samples": 30})
    way = {"way": "forward", "megabytes": 1.0, "seconds": None, "loss": None, "slope": None}
    ways = {"rows": [way], "evaluation_s": 1.0, "loss": 0.5, "samples": 120, "chunk": 12}
    monkeypatch.setattr(schedule_estimators, "ways_table", lambda *a: ways)
    run = tmp_path / "run"
    assert main(["codesign", "--study", "schedule", *SMALL, "--run-dir", str(run)]) == 0
    found = {name: entry["value"] for name, entry in json.loads((run / "metrics.json").read_text())["metrics"].items()}
    constant = [row for row in found["check_rows"] if row["kind"] == "constant"]
    assert [row["expected_transfers"] for row in constant] == pytest.approx([12.0, 2.0])
    assert constant[0]["energy_nJ"] > constant[1]["energy_nJ"]
    learned = next(row for row in found["check_rows"] if row["kind"] == "learned")
    assert len(learned["periods"]) == 4 and 1.0 <= min(learned["periods"]) and np.isfinite(learned["value"])
    monkeypatch.setattr(publish, "DOCS", tmp_path)
    for name in ("results", "figures"):
        (tmp_path / name).mkdir()
    assert publish.main([str(run), "--machine", "a laptop", "--date", "2026-11-23"]) == 0
    assert "score function" in (tmp_path / "results" / "codesign-schedule.md").read_text().lower()


@pytest.mark.parametrize("chips", [1, 3])
def test_runs_that_are_no_pairs_are_refused(chips):
    with pytest.raises(InputError, match="--chips"):
        CoDesign(study="schedule", chips=chips).job()
