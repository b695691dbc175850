"""The study of ten years, small: laws against closed forms, slopes against differences, whole chips, refusals."""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hfsim import InputError
from hfsim.draws import address, stream
from hfsim.studies import Expectation, Found, Objective, Term
from training import publish
from training.__main__ import main
from training.codesign import ten_years_study as study
from training.codesign.configuration import CoDesign
from training.codesign.ten_years_check import Checked, check
from training.codesign.ten_years_energy import ACCEPTANCES, LEVELS, Costs, Counts, fitted
from training.codesign.ten_years_model import LIFE, ROOM, Layer, RetrainedObjective, Task, TenYears, loss_after
from training.data.digits import load_digits

GAIN = (88.2 - 9.0) / 2
LOG_LIFE = np.log(LIFE) - 1.18 / 8.617333262e-5 * (1 / ROOM - 1 / 300.0)
SHIFT, SIGMA = -0.08900206 * LOG_LIFE, 0.41183342 + 0.04201137 * LOG_LIFE
COUNTS = Counts(jnp.linspace(12.0, 6.0, len(LEVELS)), jnp.linspace(120.0, 20.0, len(LEVELS)))


def small_task(steps: int = 12) -> Task:
    return Task.of(load_digits(), jax.random.key(0), steps, samples=120, hidden=(6,))


def errors(**chosen):
    """What ten years make of 60,000 equal weights, in weights."""
    network = (Layer(jnp.full((200, 300), 0.25).at[:, 0].set(1.0).at[0].set(1.0), jnp.zeros(300)),)
    planned = TenYears.from_card(**chosen).planned(network)
    aged = planned.aged(jax.random.key(3), LIFE)[0].W
    return np.asarray(aged - network[0].W)[1:, 1:]


def test_the_published_point_shifts_and_spreads_by_the_law():
    found = errors()
    assert found.mean() == pytest.approx(SHIFT / GAIN, rel=0.01)
    # programming of the published acceptance and one read come on top of the relaxation
    assert found.std() == pytest.approx(np.hypot(SIGMA, 0.26) / GAIN, rel=0.02)


def test_overshoot_meets_the_weight_in_the_tenth_year():
    assert errors(overshoot=LIFE).mean() == pytest.approx(0.0, abs=0.02 * abs(SHIFT) / GAIN)
    assert errors(overshoot=1e12).mean() > 0.003  # later still: not yet lost


def test_references_take_out_what_is_common_and_add_their_own_spread():
    plain = errors().std()
    for number in (1.0, 4.0):
        found = errors(references=number, reference_weight=1.0)
        assert found.mean() == pytest.approx(0.0, abs=0.12 * abs(SHIFT) / GAIN / np.sqrt(number))
        assert found.std() == pytest.approx(plain * np.sqrt(1 + 1 / number), rel=0.05)
    half = errors(references=8.0, reference_weight=0.5).mean()
    assert half == pytest.approx(SHIFT / GAIN / 2, rel=0.1)


def test_the_spread_of_programming_passes_through_both_published_laws():
    for acceptance, slope, offset in ((0.2, 0.00106879, 0.00081107), (2.0, 0.01129027, 0.01121854)):
        found = TenYears.from_card(acceptance=acceptance).programmed.programming
        assert float(found.slope) == pytest.approx(slope, rel=1e-5)
        assert float(found.offset) == pytest.approx(offset, rel=1e-5)
    between = TenYears.from_card(acceptance=np.sqrt(0.4)).programmed.programming
    assert float(between.slope) == pytest.approx(np.sqrt(0.00106879 * 0.01129027), rel=1e-5)


def test_the_fit_of_counts_finds_what_made_them():
    made = np.stack([np.asarray(COUNTS.pulses(jnp.asarray(LEVELS), a)) for a in ACCEPTANCES])
    found = fitted(made)
    np.testing.assert_allclose(found.approach, COUNTS.approach, rtol=1e-3)
    np.testing.assert_allclose(found.search, COUNTS.search, rtol=1e-3)
    assert np.all(np.asarray(fitted(made[::-1]).approach) >= 0)  # counts that fall with finer acceptance fit no A


def test_energy_is_pulses_and_reads():
    task, costs = small_task(), Costs.of(COUNTS)
    network = (Layer(jnp.zeros((64, 10)), jnp.zeros(10)),)
    task = dataclasses.replace(task, judged_images=jnp.full((3, 64), 0.5))
    level = LEVELS.index(50.0)
    model = TenYears.from_card(G_min=20.0, G_max=80.0, references=2.0)
    programming, reading = costs.of_design(model.planned(network), task)
    pulses = float(COUNTS.approach[level] + COUNTS.search[level] / 0.2)
    each = pulses * float(costs.pulse_energy[level]) + (pulses + 1) * 50.0 * 0.2**2 * 1.0
    assert float(programming) == pytest.approx(64 * 12 * each * 1e-6, rel=1e-4)
    # every vector is scaled to its largest input, so all lines are at full scale; six uses a day
    assert float(reading) == pytest.approx(6 * 3652.5 * 64 * 12 * 50.0 * 0.04 * 1e-6, rel=1e-4)
    assert 150 < float(costs.pulse_energy[0]) < float(costs.pulse_energy[-1]) < 1.35 * 350  # pJ of V I t


def test_gradients_through_retraining_are_the_differences():
    with jax.enable_x64(True):
        design, measures = study.slope_case(study.double(small_task()), Costs.of(COUNTS))
        z, step = design.start(), study.DIFFERENCE
        gradient, run = np.asarray(jax.jit(jax.jacrev(measures))(z)), jax.jit(measures)
        for place, label in enumerate(design.labels):
            e = step * jnp.eye(len(z))[place]
            difference = np.asarray(run(z + e) - run(z - e)) / (2 * step)
            np.testing.assert_allclose(gradient[:, place], difference, rtol=2e-5, atol=1e-8, err_msg=label)
            assert gradient[0, place] != 0, label
        assert design.labels == [variable.name for variable in study.VARIABLES]


def test_whole_chips_agree_with_the_model():
    data, task, costs = load_digits(), small_task(), Costs.of(COUNTS)
    images, labels = (jnp.asarray(part) for part in data.validation)
    found = check(
        TenYears.from_card(references=1.0, reference_weight=1.0, acceptance=2.0),
        task,
        costs,
        images,
        labels,
        jax.random.key(1),
        chips=3,
        networks=1,
    )
    fresh, _, aged, _ = found.accuracy
    assert found.missed == 0 and 0.6 < aged <= fresh + 0.05
    assert found.programming > 0 and found.reading > 0


def test_what_is_refused():
    with pytest.raises(InputError, match="acceptance"):
        TenYears.from_card(acceptance=5.0)
    with pytest.raises(InputError, match="retention"):
        dataclasses.replace(
            TenYears.from_card(), retention=dataclasses.replace(TenYears.from_card().retention, window=None)
        )
    with pytest.raises(InputError, match="--dataset"):
        CoDesign(study="ten-years", dataset="mnist")


def test_a_search_judges_the_mean_of_its_networks():
    task, model, key = small_task(3), TenYears.from_card(), jax.random.key(2)
    terms = [Term("loss", loss_after(task), statistic=Expectation(2))]
    single = RetrainedObjective(terms, task)
    each = []
    for number in range(2):
        own = address(key, number)
        planned = model.planned(model.retrained(task, stream(own, "retraining")))
        each.append(float(Objective.__call__(single, planned, own).value))
    assert each[0] != each[1]
    assert float(RetrainedObjective(terms, task, 2)(model, key).value) == pytest.approx(np.mean(each), rel=1e-4)


def test_a_small_run_and_its_page(tmp_path, monkeypatch):
    """Searches, slopes and whole chips, each tested by itself, are stood in for: to compile all takes minutes."""
    task = small_task(3)
    made = np.stack([np.asarray(COUNTS.pulses(jnp.asarray(LEVELS), a)) for a in ACCEPTANCES])
    ages = np.linspace(0.9, 0.8, 4)
    checked: Any = (ages, 1 - ages, 1.0, 2.0, 0)
    monkeypatch.setattr(study, "BUDGETS", ())
    for name in ("RETRAININGS", "NETWORKS", "CHIPS", "FRESH_CHIPS"):
        monkeypatch.setattr(study, name, 1)
    monkeypatch.setattr(study, "simulated_counts", lambda key: made)
    monkeypatch.setattr(study.Task, "of", lambda data, key: task)
    monkeypatch.setattr(study, "search", lambda design, objective, key, *, number, together, grid: _start(design))
    monkeypatch.setattr(study, "check", lambda model, **options: Checked(*checked))
    slopes = {"measures": ["loss"], "labels": ["G_min"], "gradient": [[1.0]], "differences": [[1.0]]}
    monkeypatch.setattr(study.Study, "slopes", lambda self, found: slopes)
    path = tmp_path / "run"
    small = ["--steps", "2", "--restarts", "1", "--chips", "2", "--quiet"]
    assert main(["codesign", "--study", "ten-years", *small, "--run-dir", str(path)]) == 0
    result = json.loads((path / "metrics.json").read_text())
    found = {name: entry["value"] for name, entry in result["metrics"].items()}
    assert len(found["gradient"]["curve"]) == 2 and found["gradient"]["curve"][-1][0] == 10
    assert found["published"]["energy"] > 0 and found["published"]["gradient_seconds"] > 0
    assert set(found["parts"]["without"]) == {"window", "acceptance", "overshoot", "references", "training noise"}
    monkeypatch.setattr(publish, "DOCS", tmp_path / "docs")
    for folder in ("results", "figures"):
        (tmp_path / "docs" / folder).mkdir(parents=True)
    publish.publish([path], "a machine", "a day")
    page = (tmp_path / "docs" / "results" / "codesign-ten-years.md").read_text()
    assert "overshoot" in page and "nan" not in page


def _start(design) -> Found:
    return Found(np.asarray(design.start()), 1.0, {"loss": 1.0, "energy": 1.0}, np.ones((1, 2)))
