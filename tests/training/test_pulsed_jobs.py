"""The jobs of training by pulses on images, small: as a user runs them, resumed to the bit, refused in one line."""

import json

import jax
import numpy as np
import pytest

from training import publish
from training.__main__ import main
from training.ablation.cases import SWEEPS, card_device, case, device
from training.learning_rates.job import robustness
from training.mnist_mlp.configuration import MnistMLP

SMALL = ["mnist-mlp", "--dataset", "digits", "--images", "100", "--batch", "10", "--rules", "float", "agad"]
SMALL += ["--products", "exact"]


def values(path):
    """Metrics of a run by name."""
    return {name: entry["value"] for name, entry in json.loads((path / "metrics.json").read_text())["metrics"].items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two epochs in one go."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    assert main([*SMALL, "--epochs", "2", "--quiet", "--run-dir", str(path)]) == 0
    return path


def test_a_run_tests_every_rule_and_ages_it(whole):
    value = values(whole)
    assert len(value["float_validation_by_epoch"]) == len(value["agad_validation_by_epoch"]) == 2
    assert 0.05 < value["agad_test_accuracy"] < 1 and len(value["agad_accuracy_by_age"]) == len(value["ages"]) == 6
    assert len(value["agad_accuracy_by_age_compensated"]) == 6 and "float_accuracy_by_age" not in value
    assert value["agad_fast_pulses_per_device"] > 0.1
    report = (whole / "report.html").read_text()
    assert "AGAD" in report and (whole / "mnist_mlp_curves.png").stat().st_size > 5000


@pytest.fixture
def docs(tmp_path, monkeypatch):
    """Where runs are published to."""
    monkeypatch.setattr(publish, "DOCS", tmp_path)
    for folder in ("results", "figures"):
        (tmp_path / folder).mkdir()
    return tmp_path


def published(run, docs):
    """The page of a run, and the pictures that came along."""
    assert publish.main([str(run), "--machine", "a laptop", "--date", "2026-11-22"]) == 0
    return next((docs / "results").glob("*.md")).read_text(), {path.name for path in (docs / "figures").iterdir()}


def test_a_run_is_published_with_its_verdict(whole, docs):
    page, pictures = published(whole, docs)
    value = values(whole)
    below = 100 * (value["float_test_accuracy"] - value["agad_test_accuracy"])
    assert f"AGAD ends {below:.1f} points below floating point (bar: 1.5, missed)" in page  # after 20 batches
    assert f"| AGAD | {value['agad_test_accuracy']:.2%} |" in page and "hidden layers 100 of" in page
    assert "a laptop" in page and pictures == {"mnist_mlp_curves.png", "mnist_mlp_ageing.png"}


def test_a_resumed_run_ends_in_the_same_numbers(whole, tmp_path):
    path = tmp_path / "part"
    assert main([*SMALL, "--epochs", "1", "--quiet", "--run-dir", str(path)]) == 0
    assert main(["mnist-mlp", "--resume", "--epochs", "2", "--quiet", "--run-dir", str(path)]) == 0
    assert values(path) == values(whole)


@pytest.mark.parametrize(
    ("job", "options", "message"),
    [
        ("mnist-mlp", ["--rules", "adam"], "--rules"),
        ("mnist-mlp", ["--rules", "sgd", "sgd"], "none twice"),
        ("mnist-mlp", ["--batch", "0"], "--batch"),
        ("mnist-mlp", ["--images", "5"], "--images"),
        ("mnist-mlp", ["--decay", "2"], "--decay"),
        ("mnist-mlp", ["--fill", "0.1", "0.1", "0"], "--fill"),
        ("mnist-mlp", ["--fill", "0.1", "0.1"], "--fill"),
        ("mnist-mlp", ["--dataset", "digits", "--batch", "2000"], "--batch"),
        ("mnist-mlp", ["--ceiling", "-1"], "--ceiling"),
        ("mnist-mlp", ["--dataset", "mnist", "--data", "/nowhere"], "--data"),
        ("learning-rates", ["--rates", "1", "1"], "--rates"),
        ("ablation", ["--sweeps", "colour"], "--sweeps"),
    ],
)
def test_bad_options_are_told(job, options, message, capsys, tmp_path):
    try:
        status = main([job, "--quiet", "--run-dir", str(tmp_path / "run"), *options])
    except SystemExit as stop:  # tyro's way
        status = stop.code
    error = capsys.readouterr().err
    assert status == 2 and message in error and "Traceback" not in error
    assert not (tmp_path / "run").exists()


def test_settings_leave_out_what_changes_no_number():
    settings = MnistMLP(epochs=3).settings()
    assert settings["job"] == "mnist-mlp" and "data" not in settings and settings["epochs"] == 3


@pytest.mark.parametrize("sweep", SWEEPS)
def test_a_case_changes_one_property(sweep):
    base, changed = card_device(), [device(case(sweep, value)) for value in SWEEPS[sweep][1]]
    own = {"asymmetry": {"up_down", "w_ref"}, "states": {"dw_min"}, "noise": {"noise"}, "reference": {"w_ref"}}[sweep]
    for other in changed:
        for name in ("dw_min", "up_down", "w_min", "w_max", "w_ref", "noise"):
            same = np.allclose(*(jax.tree.leaves(getattr(d, name)) for d in (base, other)), rtol=1e-5, atol=1e-6)
            assert same or name in own, f"{sweep} must leave {name}"
    assert len({tuple(float(leaf) for leaf in jax.tree.leaves(d) if np.ndim(leaf) == 0) for d in changed}) == len(
        changed
    )


def test_ablation_trains_every_device_and_seed_at_once(tmp_path, docs):
    path = tmp_path / "ablation"
    options = ["--epochs", "1", "--seeds", "2", "--rules", "sgd", "--sweeps", "reference", "--images", "50"]
    assert main(["ablation", *options, "--quiet", "--run-dir", str(path)]) == 0
    value = values(path)
    found = np.asarray(value["sgd_reference_test_accuracy_per_seed"])
    assert found.shape == (len(SWEEPS["reference"][1]), 2)
    assert np.all((found >= 0) & (found <= 1)) and np.unique(found).size > 1
    np.testing.assert_allclose(found.mean(axis=1), value["sgd_reference_test_accuracy"])
    page, pictures = published(path, docs)
    assert f"| pulsed SGD | {found[0].mean():.1%} |" in page and pictures == {"ablation.png"}


def test_learning_rates_beyond_the_ceiling_are_one(tmp_path, docs):
    path = tmp_path / "rates"
    options = ["--dataset", "digits", "--images", "100", "--batch", "10", "--epochs", "1", "--rates", "100", "1000"]
    options += ["--rule", "ttv2"]  # AGAD spends so few images on its first period
    assert main(["learning-rates", *options, "--quiet", "--run-dir", str(path)]) == 0
    value = values(path)
    below, above = value["ceiling_validation_by_epoch"]
    assert below == above and len(below) == 1
    assert value["no_ceiling_validation_by_epoch"][0] != below
    page, pictures = published(path, docs)
    assert f"| with the ceiling | {value['ceiling_test_accuracy'][0]:.2%} |" in page
    assert pictures == {"learning_rates.png"} and "Within 1 point of its own best" in page
    report = (path / "report.html").read_text()
    assert "Within 1 point of its own best" in report and (path / "learning_rates.png").stat().st_size > 5000


def test_a_run_of_learning_rates_is_resumed_to_the_bit(tmp_path):
    small = ["learning-rates", "--dataset", "digits", "--images", "50", "--batch", "10", "--rates", "1"]
    small += ["--rule", "ttv2", "--quiet"]
    runs = tmp_path / "whole", tmp_path / "part"
    assert main([*small, "--epochs", "2", "--run-dir", str(runs[0])]) == 0
    assert main([*small, "--epochs", "2", "--minutes", "0", "--run-dir", str(runs[1])]) == 0
    stopped = values(runs[1])
    assert stopped["epochs"] == 1 and np.shape(stopped["ceiling_validation_by_epoch"]) == (1, 1)
    assert main(["learning-rates", "--resume", "--minutes", "9", "--quiet", "--run-dir", str(runs[1])]) == 0
    assert values(runs[1]) == values(runs[0])


def test_several_runs_make_no_page(whole, docs, capsys):
    arguments = [str(whole), str(whole), "--machine", "a laptop", "--date", "2026-11-22"]
    assert publish.main(arguments) == 2 and "shows one" in capsys.readouterr().err
    (whole / "mnist_mlp_ageing.png").rename(whole / "other.png")
    try:
        assert publish.main([arguments[0], *arguments[2:]]) == 2 and "mnist_mlp_ageing.png" in capsys.readouterr().err
    finally:
        (whole / "other.png").rename(whole / "mnist_mlp_ageing.png")
    assert not any((docs / "results").iterdir())


def test_robustness_counts_neighbours_within_a_point():
    value = {
        "rates": [0.1, 1.0, 10.0, 100.0],
        "ceiling_test_accuracy": [0.95, 0.96, 0.955, 0.951],
        "no_ceiling_test_accuracy": [0.94, 0.96, 0.951, 0.3],
    }
    assert robustness(value) == (
        "Within 1 point of its own best: with the ceiling over a factor of 1000, without over a factor of 10."
    )
