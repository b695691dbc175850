"""The main job with the transfers that it does not take by default, as its user runs it."""

import json

import pytest

from training.__main__ import main


@pytest.mark.parametrize("kind", ["linear", "circuit"])
def test_the_other_transfers_run(kind, tmp_path):
    path = tmp_path / kind
    assert main(["--transfer", kind, "--epochs", "2", "--period", "100", "--quiet", "--run-dir", str(path)]) == 0
    result = json.loads((path / "metrics.json").read_text())
    assert result["metrics"]["test_accuracy"]["value"] > 0.6
