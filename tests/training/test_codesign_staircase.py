"""The staircase study, small; full scale by `python -m training codesign`."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim import InputError
from hfsim.studies import check
from training import publish
from training.__main__ import main
from training.codesign import staircase_model as model
from training.codesign import staircase_study as study
from training.codesign.configuration import CoDesign

pytestmark = pytest.mark.optimised


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of few steps, on few samples."""
    patch = pytest.MonkeyPatch()
    for name, value in {"ENERGIES": (0.5,), "EXPONENTS": (0.0,), "SYNAPSES": 3, "SEEDS": 2}.items():
        patch.setattr(study, name, value)
    patch.setattr(model, "_DEVICES", 500)
    patch.setattr(model, "MECHANISMS", ("saturation",))
    for module in ("staircase_tables", "staircase_figures"):
        patch.setattr(f"training.codesign.{module}.MECHANISMS", ("saturation",))
    path = tmp_path_factory.mktemp("runs") / "staircase"
    small = ["--steps", "6", "--chips", "3", "--epochs", "1", "--samples", "200", "--dataset", "digits"]
    assert main(["codesign", *small, "--quiet", "--checkpoint-seconds", "0", "--run-dir", str(path)]) == 0
    yield path
    patch.undo()


def test_a_few_steps_already_straighten_the_levels(run, tmp_path, monkeypatch):
    metrics = json.loads((run / "metrics.json").read_text())["metrics"]
    found = metrics["found"]["value"]
    one = found["design saturation"]
    assert metrics["saturation_smallest_gap"]["value"] > metrics["saturation_smallest_gap_before"]["value"]
    assert one["curve"][-1][1] < one["curve"][0][1] and len(found["searches saturation"]["random"]["curve"]) >= 30
    checked = found["check saturation"]["before"]["misread"]
    assert checked["low"] <= checked["measured"] <= checked["high"]
    assert checked["measured"] == pytest.approx(checked["claimed"], abs=0.03)
    assert all(len(found["accuracy"]["accuracy"][which]) == 2 for which in ("published", "saturation", "even"))
    assert len(found["front saturation"]["after"]) == 1 and len(found["tolerances saturation"]["effects"]) == 8
    made = np.asarray(one["values"]["after"]["cells"])
    np.testing.assert_allclose(made, 0.01 * np.round(made / 0.01), atol=1e-9)
    monkeypatch.setattr(publish, "DOCS", tmp_path)
    for folder in ("results", "figures"):
        (tmp_path / folder).mkdir()
    publish.publish([run], "a machine", "2026-11-23")
    assert "as published" in (tmp_path / "results" / "codesign-staircase.md").read_text()


def test_the_counts_of_drawn_synapses_are_those_of_the_normal_law():
    line = model.published("saturation")
    found = model.as_json(model.describe(line, jnp.float32(model.sigma())))
    claimed = {"misread": max(found["misreads"]), "weight error": found["weight_error"]}
    checked = check(line, claimed, model.counted("saturation"), jax.random.key(3), repeats=4)
    assert checked["misread"].measured == pytest.approx(claimed["misread"], abs=0.015)
    assert checked["weight error"].measured == pytest.approx(claimed["weight error"], rel=0.03)


def test_spreads_that_follow_the_conductance_keep_their_middle():
    line = model.published("saturation")
    flat, rising = (np.asarray(model.free_spread("saturation", q)(line)) for q in (0.0, 1.0))
    assert flat == pytest.approx(8.7, abs=0.25)
    below = np.asarray(line.levels()) < 50
    assert np.all(rising[below] < flat[below]) and np.all(rising[~below] > flat[~below])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"steps": 0}, "--steps"),
        ({"study": "yield", "samples": 5}, "--samples"),
        ({"study": "ten-years", "dataset": "mnist"}, "--dataset"),
    ],
)
def test_wrong_options_are_named(options, told):
    with pytest.raises(InputError, match=told):
        CoDesign(**options)
