"""The character job on a small text: its losses against other computations, its run as a user makes it."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from training import checkpoint, publish
from training.__main__ import main
from training.char_lstm.configuration import CharLSTM
from training.char_lstm.job import CharLSTMJob
from training.char_lstm.reader import frequencies_loss
from training.data.text import batches
from training.pulsed.images import TIMES

SIZES = {"epochs": 1, "batch": 4, "sequence": 10, "chunk": 11, "hidden": 4, "layers": 1, "sample": 12}
OPTIONS = ["--products", "exact", "--quiet"]
for name, size in SIZES.items():
    OPTIONS += [f"--{name}", str(size)]


@pytest.fixture(scope="module")
def quick():
    """Every compilation of this module: as tests.quick_compilation, for what modules share."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """A text of 1,000 characters that repeats itself: 22 batches, two steps."""
    path = tmp_path_factory.mktemp("texts") / "tale.txt"
    path.write_text(("abc, bca; cab.\n" * 80)[:1000], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory, text, quick):
    """A run of both rules that was never stopped."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    assert main(["char-lstm", *OPTIONS, "--text", str(text), "--run-dir", str(path)]) == 0
    return path


def values(path):
    """Metrics of a run by name."""
    return {name: entry["value"] for name, entry in json.loads((path / "metrics.json").read_text())["metrics"].items()}


def test_metrics_and_report(whole, text):
    value, html = values(whole), (whole / "report.html").read_text()
    assert value["vocabulary"] == 8 and value["characters"] == [900, 50, 50]
    assert value["epochs_at_points"] == [0.5, 1.0] and value["epochs"] == 1
    for rule in ("float", "agad"):
        for name in ("validation_loss_at_points", "training_loss_at_points"):
            assert all(0.1 < loss < 3 for loss in value[f"{rule}_{name}"])
            assert len(value[f"{rule}_{name}"]) == 2
        # the curve's last point is the whole validation part here, under the same weights
        assert value[f"{rule}_validation_loss_at_points"][-1] == pytest.approx(value[f"{rule}_validation_loss"])
        assert value[f"{rule}_test_loss_bits"] == pytest.approx(value[f"{rule}_test_loss"] / np.log(2))
        assert len(value[f"{rule}_text"]) == 12 and set(value[f"{rule}_text"]) <= set("abc,; .\n")
    assert value["float_training_loss_at_points"][1] < value["float_training_loss_at_points"][0]
    assert len(value["agad_loss_by_age"]) == len(TIMES) and "float_loss_by_age" not in value
    assert value["agad_loss_by_age"][-1] != value["agad_test_loss"]
    assert html.count("data:image/png;base64,") == 2 and "What they write" in html
    settings = json.loads((whole / "metrics.json").read_text())["configuration"]
    assert settings["text"].startswith("sha256 ") and str(text) not in json.dumps(settings)
