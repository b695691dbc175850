"""The staircase study, small; full scale by `python -m training codesign`."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim import InputError
from hfsim.studies import check
from training.__main__ import main
from training.codesign import staircase_model as model
from training.codesign import staircase_page
from training.codesign import staircase_study as study
from training.codesign.configuration import CoDesign


def test_a_few_steps_already_straighten_the_levels(tmp_path, monkeypatch):
    """The other stages call what tests/studies tests: to compile them takes minutes."""
    whole = study.stages
    kept = ("design saturation", "check saturation", "accuracy")
    monkeypatch.setattr(study, "stages", lambda config: [s for s in whole(config) if s.name in kept])
    monkeypatch.setattr(study, "SEEDS", 2)
    monkeypatch.setattr(model, "_DEVICES", 500)
    for module in ("model", "tables", "figures"):
        monkeypatch.setattr(f"training.codesign.staircase_{module}.MECHANISMS", ("saturation",))
    run = tmp_path / "run"
    small = ["--steps", "6", "--chips", "3", "--epochs", "1", "--samples", "200", "--dataset", "digits", "--quiet"]
    assert main(["codesign", *small, "--checkpoint-seconds", "0", "--run-dir", str(run)]) == 0
    result = json.loads((run / "metrics.json").read_text())
    metrics, found = result["metrics"], result["metrics"]["found"]["value"]
    assert metrics["saturation_smallest_gap"]["value"] > metrics["saturation_smallest_gap_before"]["value"]
    one, checked = found["design saturation"], found["check saturation"]["before"]["misread"]
    assert one["curve"][-1][1] < one["curve"][0][1] and checked["low"] <= checked["measured"] <= checked["high"]
    assert all(len(found["accuracy"]["accuracy"][which]) == 2 for which in ("published", "saturation", "even"))
    made = np.asarray(one["values"]["after"]["cells"])
    np.testing.assert_allclose(made, 0.01 * np.round(made / 0.01), atol=1e-9)
    page = staircase_page.page([{**result, "machine": "a laptop", "date": "2026-11-23"}])
    assert "saturation, as published" in page and "even" in page


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
        ({"study": "ten-years", "samples": 5}, "--samples"),
        ({"study": "ten-years", "dataset": "mnist"}, "--dataset"),
    ],
)
def test_wrong_options_are_named(options, told):
    with pytest.raises(InputError, match=told):
        CoDesign(**options)
