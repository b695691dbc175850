"""Learning that goes on after a change, small; full scale by `python -m training tables --table continual`."""

import json
from pathlib import Path

import numpy as np
import pytest

from training import publish
from training.__main__ import main
from training.data import Split
from training.data.changes import BRIGHT, DARK, STUCK, drifted, of_classes, permuted
from training.hybrid.task import TASKS
from training.runner import save, take_up
from training.tables.configuration import Tables
from training.tables.systems import data_of

pytestmark = pytest.mark.optimised

EPOCHS, SAMPLES = 8, 290
OPTIONS = ["tables", "--table", "continual", "--tasks", "digits-online", "--samples", str(SAMPLES), "--quiet"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small table of all scenarios."""
    path = tmp_path_factory.mktemp("runs") / "continual"
    storages = ["--storages", "float", "linear"]
    assert main([*OPTIONS, *storages, "--epochs", str(EPOCHS), "--seeds", "2", "--run-dir", str(path)]) == 0
    return path


def _value(path: Path) -> dict:
    return {name: entry["value"] for name, entry in json.loads((path / "metrics.json").read_text())["metrics"].items()}


def _moments(value: dict, name: str) -> list[float]:
    """Accuracies of a row, in the order of the table."""
    return [value[f"{name}_{moment}_accuracy"] for moment in ("before", "changed", "one_epoch", "adapted", "left")]


@pytest.mark.parametrize("storage", ["float", "linear"])
def test_drift_hurts_and_learning_brings_back(run, storage):
    before, changed, one, adapted, _ = _moments(_value(run), f"drift_{storage}")
    assert before > 0.85 and changed < before - 0.2
    assert one > changed and adapted > changed + 0.15 and adapted > before - 0.25  # a pixel is much of 8


@pytest.mark.parametrize("storage", ["float", "linear"])
def test_without_the_old_classes_they_are_forgotten(run, storage):
    value = _value(run)
    before, changed, _, adapted, left = _moments(value, f"new-class_{storage}")
    assert before > 0.85 and changed == 0 and adapted > 0.7 and left > before - 0.1
    *same, _, alone_adapted, alone_left = _moments(value, f"new-class-alone_{storage}")
    assert same[:2] == [before, changed], "both go on from the same systems"
    assert alone_adapted > 0.9 and alone_left < 0.4 < left


@pytest.mark.parametrize("storage", ["float", "linear"])
def test_a_second_task_takes_the_place_of_the_first(run, storage):
    value = _value(run)
    before, changed, _, adapted, left = _moments(value, f"second-task_{storage}")
    assert changed < 0.35 and adapted > 0.85 and left < before - 0.08
    assert before == value[f"drift_{storage}_before_accuracy"], "both go on from the same systems"
    assert len(value[f"second-task_{storage}_online_by_epoch"]) == EPOCHS
    seeds = np.asarray(value[f"second-task_{storage}_old_by_epoch_and_seed"])
    assert seeds.shape == (EPOCHS + 1, 2) and np.any(seeds[:, 0] != seeds[:, 1])


def test_transfers_follow_the_samples_of_all_stages(run):
    value, task = _value(run), TASKS["digits-online"]
    new = int(np.sum(data_of(Tables(samples=SAMPLES), task).train.labels == 9))
    first = EPOCHS * (SAMPLES - new)
    assert first % task.period and new % task.period, "a case where counting anew at a change is seen"
    for change, samples in (("new-class", EPOCHS * SAMPLES), ("new-class-alone", EPOCHS * new)):
        assert value[f"{change}_linear_samples"] == samples
        assert value[f"{change}_linear_transfers"] == (first + samples) // task.period - first // task.period
    assert value["drift_linear_network_energy_nJ"] > 0 and "drift_float_network_energy_nJ" not in value


def test_a_run_stopped_between_and_within_stages_equals_one_that_was_not(run, tmp_path):
    config = Tables(
        table="continual",
        tasks=("digits-online",),
        storages=("linear",),
        scenarios=("second-task",),
        samples=SAMPLES,
        epochs=EPOCHS,
        seeds=2,
    )
    job = config.job()
    for stop in (EPOCHS, EPOCHS + 3, 2 * EPOCHS):
        while job.steps < stop:
            job.step()
            job.steps += 1
        save(job, config, tmp_path / "state.npz", 0.0)
        job = config.job()
        take_up(job, config, tmp_path / "state.npz")
    found, whole = {name: entry["value"] for name, entry in job.finish().metrics.items()}, _value(run)
    assert found.keys() == {name for name in whole if name.startswith("second-task_linear")}
    assert all(found[name] == whole[name] for name in found)


def test_the_page_can_be_published(run, tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "DOCS", tmp_path)
    for name in ("results", "figures"):
        (tmp_path / name).mkdir()
    assert publish.main([str(run), "--machine", "a laptop", "--date", "2026-11-23"]) == 0
    page = (tmp_path / "results" / "tables-continual.md").read_text()
    assert "| digits, pixels permuted | chip, no variability |" in page and "| new class alone |" in page
    assert f"{_value(run)['drift_linear_adapted_accuracy']:.2%}" in page
    assert (tmp_path / "figures" / "tables_continual.png").is_file()


def test_changes_are_the_same_for_every_split():
    images = np.random.default_rng(0).uniform(-1, 1, (40, 64)).astype(np.float32)
    split = Split(images, np.arange(40, dtype=np.int32) % 4)
    seen = drifted(split).images
    np.testing.assert_array_equal(drifted(Split(images[:7], split.labels[:7])).images, seen[:7])
    same = np.ptp(seen, axis=0) == 0
    edge = np.zeros((8, 8), bool)
    edge[0] = edge[:, 0] = True  # where the image slipped away it is dark, but for stuck pixels
    assert 0 < (same & ~edge.ravel()).sum() <= round(64 * STUCK) and np.all(same[edge.ravel()])
    assert set(seen[0, same & ~edge.ravel()]) == {DARK, BRIGHT}
    assert seen.min() == DARK and seen.max() == BRIGHT
    np.testing.assert_array_equal(np.sort(permuted(split).images), np.sort(images))
    np.testing.assert_array_equal(permuted(Split(images[:7], split.labels[:7])).images, permuted(split).images[:7])
    assert np.any(permuted(split).images != images)
    assert sorted(set(of_classes(split, (1, 3)).labels)) == [1, 3]


@pytest.mark.parametrize("side", [8, 28])
def test_the_camera_slips_by_a_pixel(side):
    # bright pixels on the diagonal are seen one to the right and below, but for stuck ones
    dark = np.full((1, side**2), DARK, np.float32)
    lit = dark.copy()
    lit[0, np.arange(2, 6) * (side + 1)] = BRIGHT
    changed = [drifted(Split(images, np.zeros(1, np.int32))).images[0] for images in (dark, lit)]
    seen = set(np.flatnonzero(changed[0] != changed[1]))
    assert 2 <= len(seen) and seen <= set(np.arange(3, 7) * (side + 1))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--scenarios", "rain"], "--scenarios"),
        (["--table", "ageing", "--scenarios", "drift"], "--scenarios"),
        (["--tasks", "ecg-online"], "--tasks"),
        (["--tasks", "mnist-batch"], "--tasks"),
        (["--tasks", "digits-online", "mnist-online"], "--tasks"),
        (["--samples", "3"], "--samples"),
    ],
)
def test_wrong_options_are_named(options, told, tmp_path, capsys):
    try:
        status = main([*OPTIONS, "--run-dir", str(tmp_path / "run"), *options])
    except SystemExit as stop:  # the parser's way
        status = stop.code
    assert status == 2 and told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
