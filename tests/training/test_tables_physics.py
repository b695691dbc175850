"""The tables of physics and of wear, small."""

import json

import numpy as np
import pytest

from training import publish
from training.__main__ import main

SMALL = ["tables", "--tasks", "digits-online", "--seeds", "2", "--samples", "300", "--epochs", "3", "--quiet"]


def _run(path, *options):
    assert main([*SMALL, "--run-dir", str(path), *options]) == 0
    metrics = json.loads((path / "metrics.json").read_text())["metrics"]
    return {name: entry["value"] for name, entry in metrics.items()}


def _page(path, folder, monkeypatch):
    monkeypatch.setattr(publish, "DOCS", folder)
    for name in ("results", "figures"):
        (folder / name).mkdir()
    assert publish.main([str(path), "--machine", "a laptop", "--date", "2026-11-23"]) == 0
    (page,) = (folder / "results").glob("*.md")
    return page.read_text()


def test_reads_from_physics_cost_accuracy_where_they_err(tmp_path, monkeypatch):
    names = ["sensed", "spread_0.45"]
    value = _run(tmp_path / "circuit", "--table", "circuit", "--spreads", "0.45", "--conditions", *names)
    assert value["sensed_window_mV"] == pytest.approx(360, abs=5)
    assert value["sensed_bit_error_rate"] < 1e-6 and value["spread_0.45_bit_error_rate"] > 0.05
    assert value["spread_0.45_worst_window_mV"] < 10 < value["sensed_worst_window_mV"]
    assert value["spread_0.45_accuracy"] < value["sensed_accuracy"] - 0.05
    page = _page(tmp_path / "circuit", tmp_path, monkeypatch)
    assert f"| spread of P_r 45.0% | {value['spread_0.45_accuracy']:.2%}" in page


def test_devices_die_and_the_chip_learns_around_them(tmp_path, monkeypatch):
    value = _run(tmp_path / "wear", "--table", "wear", "--dead", "0.1", "--kinds", "high")
    samples, transfers = 900, 900 // 20 + 2
    assert value["fecap_least"] >= 0.1 * samples and value["fecap_most"] <= 0.3 * samples + 2 * transfers
    assert value["memristor_most"] == transfers and value["memristor_least"] == transfers / 2
    assert sum(value["fecap_devices"]) == 7 * sum(value["memristor_devices"])
    assert np.all(np.diff(value["memristor_dead"]) > 0)
    assert value["memristor_first_failure"] < 1e5 / transfers
    assert value["high_0.1_accuracy"] > value["struck_high_0.1_accuracy"] + 0.02
    page = _page(tmp_path / "wear", tmp_path, monkeypatch)
    assert "| memristors, at level 7 | 10 % |" in page and "trainings to the first failure" in page


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--table", "circuit", "--conditions", "window_61"], "--conditions"),
        (["--table", "circuit", "--storages", "linear"], "--storages"),
        (["--table", "circuit", "--windows", "-1"], "--windows"),
        (["--table", "wear", "--dead", "1.5"], "--dead"),
        (["--table", "wear", "--tasks", "mnist-online", "digits-online"], "--tasks"),
    ],
)
def test_wrong_options_are_named(options, told, tmp_path, capsys):
    try:
        status = main(["tables", "--quiet", "--tasks", "digits-online", "--run-dir", str(tmp_path / "run"), *options])
    except SystemExit as stop:
        status = stop.code
    assert status == 2 and told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
