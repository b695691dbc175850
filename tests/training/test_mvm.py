"""The matrix-vector job: its errors against plain numpy and closed forms, its cases, its run as a user makes it."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim.cards import load_card
from hfsim.devices.retention import CMORetention
from hfsim.draws import address, stream
from hfsim.errors import InputError
from hfsim.units import seconds
from training import publish
from training.__main__ import main
from training.mvm.cases import CASES, CHOICES, CMO, MAIN, TIMES, require_cases, setup
from training.mvm.configuration import MatrixVector
from training.mvm.results import metrics, notes, rmse_of_measured_points
from training.mvm.simulation import all_chips, case_errors, placed, require_solved

KEY = jax.random.key(3)
DONE = ("cmo", "wan", "cmo_wires", "acceptance", "no_drift", "read_noise", "pair", "wan_extrapolated")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small run of some cases."""
    path = tmp_path_factory.mktemp("runs") / "mvm"
    options = ["--chips", "3", "--size", "8", "--vectors", "6", "--quiet", "--run-dir", str(path)]
    assert main(["mvm", *options, "--cases", *DONE]) == 0
    return path


def values(path):
    """Metrics of a run by name."""
    return {name: entry["value"] for name, entry in json.loads((path / "metrics.json").read_text())["metrics"].items()}


def test_errors_are_those_of_a_plain_loop():
    """Two chips of the base case with converters, offset and error written out in float64."""
    size, vectors = 6, 4
    found = np.asarray(all_chips(setup(CASES["cmo"]), KEY, 2, size, vectors))
    assert found.shape == (2, len(TIMES), 2, 2)
    model = CMORetention.from_card(load_card(CMO))
    aged = jax.jit(lambda state, waited: model.conductance(model.wait(state, waited)))
    low, high, V_read = 9.0, 88.2, 0.2
    for chip in range(2):
        own = address(stream(KEY, "chip"), chip)
        W = np.asarray(jax.random.uniform(stream(own, "weights"), (size, size), minval=-1, maxval=1), float)
        x = np.asarray(jax.random.uniform(stream(own, "inputs"), (vectors, size), minval=-1, maxval=1), float)
        targets = (low + high) / 2 + (high - low) / 2 * W
        state = model.init((size, size), stream(own, "devices"))
        state = model.program(state, jnp.asarray(targets, jnp.float32))
        for place, time in enumerate(TIMES):
            G = np.asarray(aged(state, seconds(time)), float)
            for reading, rounded in enumerate((True, False)):
                V = V_read * (np.round(31 * x) / 31 if rounded else x)
                y = (V @ G - (low + high) / 2 * V.sum(axis=1, keepdims=True)) / ((high - low) / 2 * V_read)
                y = np.clip(np.round(y * 127 / 15), -127, 127) * 15 / 127 if rounded else y
                gain = np.sum(y * (x @ W)) / np.sum(y * y)
                errors = [np.sqrt(np.mean((f * y - x @ W) ** 2)) for f in (1.0, gain)]
                # float32 products; a code on the edge of a half may fall to the other side
                np.testing.assert_allclose(found[chip, place, reading], errors, rtol=2e-3 if rounded else 2e-4)


def test_the_benchmark_at_full_size_meets_reference_and_closed_form():
    """Means of 24 chips, each within 7 %: the mean within 1.5 %, four of which are allowed."""
    cmo = case_errors(setup(CASES["cmo"]), KEY, 24, 64, 100).mean(axis=0)
    times = [TIMES.index(time) for time in ("0 s", "1 s", "1 h", "1 day", "10 years")]
    np.testing.assert_allclose(cmo[times, 0, 0], [0.055, 0.073, 0.133, 0.166, 0.251], rtol=0.06)  # our numpy reference
    shift, sigma = -0.08900206 * np.log(seconds("10 years")), 0.41183342 + 0.04201137 * np.log(seconds("10 years"))
    closed = np.sqrt(64 / 3 * (shift**2 + sigma**2)) / 39.6
    assert cmo[-1, 1, 0] == pytest.approx(closed, rel=0.06)  # clipping takes 1 % of it
    wan = case_errors(setup(CASES["wan"]), KEY, 24, 64, 100).mean(axis=0)
    np.testing.assert_allclose(wan[times[1:4:2], 0, 0], [0.215, 0.397], rtol=0.06)
    assert wan[0, 0, 0] == wan[1, 0, 0] and wan[-1, 0, 0] == wan[-2, 0, 0]  # 0 s is 1 s, nothing after two days


def test_chips_do_not_depend_on_how_many_there_are_and_differ():
    ready = setup(CASES["cmo"])
    two, three = (np.asarray(all_chips(ready, KEY, chips, 6, 4)) for chips in (2, 3))
    np.testing.assert_array_equal(two, three[:2])
    assert len(np.unique(three[:, 1, 1, 0])) == 3


@pytest.mark.parametrize("case", CHOICES, ids=lambda case: case.name)
def test_every_choice_changes_its_model(case):
    """Nothing is accepted and ignored: some number or static option differs from the base case."""
    base, other = setup(CASES["cmo"]), setup(case)
    assert jax.tree.structure(base) != jax.tree.structure(other) or any(
        not np.array_equal(a, b) for a, b in zip(jax.tree.leaves(base), jax.tree.leaves(other), strict=True)
    )


def test_weights_are_placed_on_levels_and_by_column():
    W = np.random.default_rng(0).uniform(-1, 1, (5, 4)).astype(np.float32)
    levels, scale = placed(setup(CASES["levels"]), jnp.asarray(W))
    grid = np.linspace(-1, 1, 35)
    nearest = grid[np.abs(W[..., None] - grid).argmin(axis=-1)]
    np.testing.assert_allclose(levels, 48.6 + 39.6 * nearest, rtol=1e-5)
    assert scale == 1
    filled, scale = placed(setup(CASES["per_column"]), jnp.asarray(W))
    most = np.abs(W).max(axis=0)
    np.testing.assert_allclose(scale, most, rtol=1e-6)
    np.testing.assert_allclose(filled, 48.6 + 39.6 * W / most, rtol=1e-5)


def test_wires_are_those_of_the_cards_and_are_solved():
    for case in MAIN[3:]:
        lines = setup(case).rounded.wires
        assert lines is not None and float(lines.r_wl) == float(lines.r_bl) == pytest.approx(0.35)
    ends = setup(CASES["both_ends"]).exact.wires
    assert ends is not None and (ends.driven, ends.sensed) == ("both", "both")
    require_solved(setup(CASES["cmo_wires"]), KEY, 16)
    ready = setup(CASES["cmo_wires"])
    starved = dataclasses.replace(ready.rounded, wires=dataclasses.replace(ready.rounded.wires, iterations=1, r_wl=1e5))
    with pytest.raises(InputError, match="iterations"):
        require_solved(dataclasses.replace(ready, rounded=starved), KEY, 16)


def test_the_extrapolated_spread_goes_on_as_between_a_second_and_a_day():
    plain, on = (setup(CASES[name]).retention for name in ("wan", "wan_extrapolated"))
    levels = np.asarray([1.0, 10.0, 30.0], np.float32)

    def sigma(model, time):
        return np.asarray(model.sigma(model.wait(model.place(model.init((3,), KEY), levels), seconds(time))))

    first, day = sigma(plain, "1 s"), sigma(plain, "1 day")
    np.testing.assert_allclose(sigma(on, "1 s"), first, rtol=1e-5)
    np.testing.assert_allclose(sigma(on, "1 day"), day, rtol=1e-5)
    along = np.log(seconds("10 years")) / np.log(86400.0)
    np.testing.assert_allclose(sigma(on, "10 years"), first + along * (day - first), rtol=1e-4)


def test_measured_points_follow_the_closed_form():
    points = rmse_of_measured_points(64)
    # 1 s: shift 0.24, sigma 0.49 uS; one week: 1.66 and 1.06 uS; over 39.6 uS, times sqrt(64/3)
    np.testing.assert_allclose(points[[0, -1]], [0.06364, 0.22973], rtol=1e-3)


def test_metrics_and_report_of_a_small_run(small):
    value = values(small)
    assert value["times"][1:3] == [1.0, 3600.0] and len(value["cmo_rmse"]) == len(TIMES)
    for name in DONE:
        assert all(x > 0 for x in value[f"{name}_rmse"]) and all(x >= 0 for x in value[f"{name}_rmse_sd"])
    assert value["no_drift_rmse"][-1] < value["cmo_rmse"][-1]
    assert value["acceptance_rmse_unquantised"][0] > 5 * value["cmo_rmse_unquantised"][0]
    assert value["pair_rmse_unquantised"][1] < value["cmo_rmse_unquantised"][1]
    assert value["read_noise_rmse_unquantised"][-1] != value["cmo_rmse_unquantised"][-1]
    assert value["cmo_wires_rmse_unquantised"][0] > value["cmo_rmse_unquantised"][0]
    assert value["wan_extrapolated_rmse"][-1] > value["wan_rmse"][-1]
    ratio = np.asarray(value["wan_rmse"]) / np.asarray(value["cmo_rmse"])
    np.testing.assert_allclose(value["ratio_wan_to_cmo_wires_none"], ratio, rtol=1e-5)
    assert value["published_rmse"] == [0.06, 0.2]
    html = (small / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 3 and "35 levels" not in html and "no drift of the mean" in html
    said = " ".join(notes({**value, "outputs_rmse": value["cmo_rmse"]}))
    assert "The article says 0.06 at 1 s and 0.2 at 10 years" in said and "10 to 20 times at 1 s" in said


def test_a_run_cut_short_and_resumed_equals_one_that_was_not(tmp_path):
    options = ["--chips", "2", "--size", "5", "--vectors", "3", "--quiet", "--cases", "cmo", "acceptance", "no_clip"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main(["mvm", *options, "--run-dir", str(whole)]) == 0
    assert main(["mvm", *options, "--run-dir", str(cut), "--minutes", "0"]) == 0
    assert "acceptance_rmse" not in values(cut) and "1 of 3 cases" in (cut / "report.html").read_text()
    assert main(["mvm", "--resume", "--quiet", "--run-dir", str(cut), "--minutes", "60"]) == 0
    assert values(cut) == values(whole)


def test_one_chip_has_no_spread():
    errors = {"cmo": np.ones((1, len(TIMES), 2, 2), np.float32)}
    assert metrics(errors, 64)["cmo_rmse_sd"]["value"] == [None] * len(TIMES)


def test_bad_options_are_named(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["mvm", "--chips", "0"])
    assert stop.value.code == 2 and "--chips" in capsys.readouterr().err
    assert main(["mvm", "--cases", "dream"]) == 2 and "dream" in capsys.readouterr().err
    with pytest.raises(InputError, match="--cases"):
        require_cases(("cmo", "x"))
    assert require_cases(()) == tuple(CASES.values()) and MatrixVector().settings()["cases"] == []
    assert not list(tmp_path.iterdir())


def test_a_run_is_published(small, tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "DOCS", tmp_path)
    for folder in ("results", "figures"):
        (tmp_path / folder).mkdir()
    assert publish.main([str(small), "--machine", "a laptop", "--date", "2026-11-22"]) == 0
    kept = json.loads((tmp_path / "results" / "mvm.json").read_text())[0]["command"]
    assert kept.startswith("python -m training mvm") and "--run-dir" not in kept and str(small) not in kept
    page = (tmp_path / "results" / "mvm.md").read_text()
    assert "| CMO/HfOx | " in page and "python -m training mvm" in page and "a laptop" in page
    assert f"{values(small)['no_drift_rmse'][-1]:.3f}" in page
    assert (tmp_path / "figures" / "mvm_over_time.png").exists()
    assert publish.main([str(tmp_path), "--machine", "", "--date", ""]) == 2
