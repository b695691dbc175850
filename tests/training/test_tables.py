"""The tables of the hybrid-memory article, small; full scale by `python -m training tables`."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from hfsim import InputError
from training import publish
from training.__main__ import main
from training.hybrid.task import TASKS
from training.tables.configuration import Tables
from training.tables.systems import data_of

SMALL = [
    "tables",
    "--tasks",
    "digits-online",
    "--seeds",
    "2",
    "--samples",
    "300",
    "--quiet",
    "--checkpoint-seconds",
    "0",
]


def _value(path: Path) -> dict:
    return {name: entry["value"] for name, entry in json.loads((path / "metrics.json").read_text())["metrics"].items()}


@pytest.fixture(scope="module")
def accuracy(tmp_path_factory):
    """A small table of accuracies, in one go."""
    path = tmp_path_factory.mktemp("runs") / "accuracy"
    assert main([*SMALL, "--epochs", "2", "--run-dir", str(path)]) == 0
    return path


def test_every_storage_has_its_row(accuracy):
    value = _value(accuracy)
    for storage in ("float", "linear", "measured"):
        seeds = value[f"digits-online_{storage}_accuracy_by_seed"]
        assert len(set(seeds)) == 2, "the seeds are copies of one another"
        assert value[f"digits-online_{storage}_accuracy"] == pytest.approx(np.mean(seeds))
        assert len(value[f"digits-online_{storage}_online_by_epoch"]) == 2
    assert value["digits-online_float_accuracy"] > 0.85
    assert value["mnist-online_measured_published"] == 0.952
    report = (accuracy / "report.html").read_text()
    assert "chip, no variability" in report and "data:image/png" in report


def test_a_run_stopped_within_and_between_cases_equals_one_that_was_not(accuracy, tmp_path):
    options = [*SMALL, "--epochs", "2", "--run-dir", str(tmp_path / "cut")]
    assert main([*options, "--minutes", "0.0001"]) == 0
    resume = ["tables", "--resume", "--quiet", "--run-dir", str(tmp_path / "cut"), "--minutes"]
    for _ in range(2):  # the time is spent: nothing more is done
        assert main([*resume, "0.0002"]) == 0
    assert main([*resume, "60"]) == 0
    assert _value(tmp_path / "cut") == _value(accuracy)


def _published(path: Path, folder: Path, monkeypatch) -> str:
    """The page of a run."""
    monkeypatch.setattr(publish, "DOCS", folder)
    for name in ("results", "figures"):
        (folder / name).mkdir()
    assert publish.main([str(path), "--machine", "a laptop", "--date", "2026-11-23"]) == 0
    (page,) = (folder / "results").glob("*.md")
    return page.read_text()


def test_a_table_can_be_published(accuracy, tmp_path, monkeypatch):
    page = _published(accuracy, tmp_path, monkeypatch)
    assert "digits online" in page and f"{_value(accuracy)['digits-online_float_accuracy']:.2%}" in page


def test_periods_have_the_operations_of_the_published_rule(tmp_path, monkeypatch):
    path = tmp_path / "period"
    options = ["--table", "period", "--epochs", "1", "--periods", "10", "100", "--run-dir", str(path)]
    assert main([*SMALL, *options]) == 0
    value = _value(path)
    for period in (10, 100):
        name = f"linear_k{period}"
        samples = value[f"{name}_samples"]
        assert samples == 300
        fecap, memristor = 2 * 0.2 * samples + 4 * samples / period, 2 * samples / period
        assert value[f"{name}_rule_fecap_operations"] == pytest.approx(fecap)
        assert value[f"{name}_rule_memristor_operations"] == pytest.approx(memristor)
        assert value[f"{name}_rule_energy_nJ"] == pytest.approx((100 * fecap + 1000 * memristor) / 1e6)
        # the first transfer and the last one are counted, and the worst of 33,800 cells exceeds the mean
        assert value[f"{name}_transfers"] == samples / period + 2
        assert value[f"{name}_counted_fecap_operations"] > fecap
    assert f"| 10 | {value['linear_k10_accuracy']:.2%}" in _published(path, tmp_path, monkeypatch)


@pytest.mark.optimised
def test_a_refresh_brings_back_what_years_took(tmp_path, monkeypatch):
    path = tmp_path / "ageing"
    assert main([*SMALL, "--table", "ageing", "--epochs", "8", "--run-dir", str(path)]) == 0
    value = _value(path)
    assert value["ages"][-1] == "10 years"
    left, refreshed = (np.asarray(value[f"measured_85C_30x_{ending}_by_age"]) for ending in ("left", "refreshed"))
    assert value["measured_accuracy"] > 0.7 and left[-1] < 0.5, "thirty times the card's drift is too much"
    # the words are as they were: what is lost is the draw of one transfer
    np.testing.assert_allclose(refreshed, value["measured_accuracy"], atol=0.06)
    # warmth and amplitude only make it worse
    cold = np.asarray(value["measured_25C_30x_left_by_age"])
    assert np.all(left[2:] <= cold[2:] + 0.02)
    assert "| measured | 85 °C | 30 | refreshed |" in _published(path, tmp_path, monkeypatch)


def test_verified_transfers_cost_what_their_attempts_do(tmp_path, monkeypatch):
    path = tmp_path / "programming"
    options = ["--table", "programming", "--tolerances", "4.35", "--epochs", "2", "--run-dir", str(path)]
    assert main([*SMALL, *options]) == 0
    value = _value(path)
    chance = 2 * norm.cdf(0.5) - 1
    attempts = (1 - (1 - chance) ** 20) / chance
    assert value["within_4.35_uS_attempts"] == pytest.approx(attempts, rel=1e-5)
    assert value["single_attempts"] == value["linear_attempts"] == 1
    margins = [value[f"{name}_memristor_endurance_margin"] for name in ("single", "within_4.35_uS")]
    assert margins[0] == pytest.approx(1e5 / (300 * 2 / 20 + 2)) and margins[0] / margins[1] == pytest.approx(attempts)
    assert value["within_4.35_uS_physical_energy_nJ"] > 1.5 * value["single_physical_energy_nJ"]
    assert value["within_4.35_uS_accuracy"] > 0.5
    assert "| within 4.35 uS |" in _published(path, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--tasks", "mnist"], "--tasks"),
        (["--storages", "linear", "linear"], "--storages"),
        (["--periods", "0"], "--periods"),
        (["--samples", "2000", "--tasks", "digits-online"], "--samples"),
        (["--seeds", "0"], "--seeds"),
        (["--tolerances", "0"], "--tolerances"),
        (["--table", "period", "--tasks", "digits-online", "mnist-online", "--storages", "linear"], "--tasks"),
        (["--table", "period"], "--storages"),
        (["--table", "programming", "--storages", "linear"], "--storages"),
        (["--learning-rate", "nan"], "--learning-rate"),
    ],
)
def test_wrong_options_are_named(options, told, tmp_path, capsys):
    run = ["tables", "--quiet", "--storages", "float", "--run-dir", str(tmp_path / "run")]
    try:
        status = main([*run, *options])
    except SystemExit as stop:  # the parser's way
        status = stop.code
    assert status == 2 and told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_heartbeats_are_part_of_the_settings(tmp_path):
    beats, record = np.arange(4 * 252 * 2, dtype=np.int16).reshape(4, 252, 2), np.array([100, 105, 208, 101])
    found = []
    for symbol in ("NVNV", "NVNN"):
        np.savez(tmp_path / "mitbih_online_task.npz", beats=beats, symbol=np.array(list(symbol)), record=record)
        found.append(Tables(tasks=("ecg-online",), data=tmp_path).settings()["beats"])
    assert found[0] != found[1] and all(digest.startswith("sha256 ") for digest in found)
    assert "beats" not in Tables(tasks=("digits-online",)).settings()


def test_a_period_holds_whole_batches():
    with pytest.raises(InputError, match="multiple of the batch of 10"):
        dataclasses.replace(TASKS["mnist-batch"], period=25)


def test_what_is_reported_is_not_learned_from():
    task = TASKS["digits-online"]
    whole = task.load(None)
    final, choosing = (data_of(Tables(part=part), task) for part in ("test", "validation"))
    assert len(final.train.labels) == len(whole.train.labels) + len(whole.validation.labels)
    np.testing.assert_array_equal(final.test.images, whole.test.images)
    np.testing.assert_array_equal(choosing.test.images, whole.validation.images)
    np.testing.assert_array_equal(choosing.train.images, whole.train.images)
