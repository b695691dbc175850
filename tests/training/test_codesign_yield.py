"""The study of yield: levels against the full circuit, slopes against differences, counts against closed forms."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.hybrid import MECHANISMS, transfer_line
from hfsim.studies import Quantile
from training import publish
from training.__main__ import main
from training.codesign import yield_results, yield_study
from training.codesign.yield_chips import (
    Chips,
    Levels,
    Spreads,
    Words,
    draw,
    published_filament,
    solve_cells,
    with_filament,
)
from training.codesign.yield_study import Count, scaled

SIZES = (12, 10, 4)
SPREADS = {"P_r": 0.1, "E_c": 0.1, "V_C": 0.03}


def small(mechanism, number=40):
    """A network of random words on its chips, and images that it mostly tells right."""
    rng = np.random.default_rng(0)
    layers = tuple(jnp.asarray(rng.integers(-511, 512, shape), float) for shape in zip(SIZES, SIZES[1:], strict=False))
    images = rng.uniform(-1, 1, (number, SIZES[0]))
    line = transfer_line(hfsim.load_card("cea-leti-2025-hybrid"), mechanism)
    chips = Chips.make(line, Words(layers), images, [0], Levels.solve(line))
    codes = chips.words.codes
    zero, one = jnp.zeros_like(codes), jnp.ones_like(codes)
    labels = jnp.argmax(chips.logits(chips.levels(codes, zero, one, zero)), axis=-1)
    return eqx.tree_at(lambda c: c.labels, chips, labels)


@pytest.fixture(scope="module", params=MECHANISMS)
def chips(request):
    with jax.enable_x64(True):  # left before other tests, which are of single precision
        return small(request.param)


# --------------------------------------------------------------------------------------------------- levels


def test_the_surfaces_are_the_circuit_within_three_deviations(chips, x64):
    # every corner of P_r +-30 %, ln E_c +-0.3, ln V_C +-0.1 of all codes, each solved on its own
    line = chips.line
    P_r, E_c, V_C = (x.ravel() for x in np.meshgrid([0.7, 1.0, 1.3], np.exp([-0.3, 0.0, 0.3]), np.exp([-0.1, 0, 0.1])))
    codes = jnp.arange(8.0)

    @jax.jit
    def solved(P_r, E_c, V_C):
        parts = lambda x: (x.capacitor.P_r, x.capacitor.kinetics.b)  # noqa: E731
        here = eqx.tree_at(parts, line, (line.capacitor.P_r * P_r, line.capacitor.kinetics.b * E_c))
        return with_filament(here, V_C).levels()

    corners = list(zip(P_r, E_c, V_C, strict=True))
    full = np.stack([solved(*corner) for corner in corners])
    surface = [chips.levels(codes * x, jnp.log(e) * jnp.ones(8), v * jnp.ones(8), 0.0) for x, e, v in corners]
    np.testing.assert_allclose(np.stack(surface), full, atol=0.15)


def test_cells_solved_one_by_one_have_the_levels_of_the_surfaces(chips, x64):
    # what the surfaces leave out is of second order in the spread of E_c within a line
    narrow, wide = (
        solve_cells(chips, Spreads(P_r=0.1, E_c=s, V_C=0.02), jax.random.key(1), tile=160) for s in (0.02, 0.16)
    )
    for solved, most in ((narrow, 0.08), (wide, 2.0)):
        error = np.asarray(solved.surface - solved.full)
        assert np.sqrt(np.mean(error**2)) < most and np.std(solved.full) > 20.0


def test_published_spreads_make_up_the_published_levels(chips, x64):
    known = Spreads(P_r=0.05, E_c=0.05, V_C=0.01)
    spreads = eqx.tree_at(lambda s: s.V_C, known, published_filament(chips.line, chips.levels, known))
    threshold, codes = chips.line.transistor.threshold_spread, jnp.arange(1.0, 8.0)

    def levels(key):
        devices = draw(spreads, threshold, (7,), key, cells=codes)
        return chips.levels(codes * devices.P_r, jnp.log(devices.E_c), devices.V_C, devices.V_T)

    drawn = jax.jit(jax.vmap(levels))(jax.random.split(jax.random.key(0), 4000))
    # published to first order; 4,000 draws
    assert np.sqrt(np.mean(np.var(drawn, axis=0))) == pytest.approx(8.7, rel=0.06)


# --------------------------------------------------------------------------------------------------- slopes


def test_the_quantile_has_the_slopes_of_differences(chips, x64):
    # the table of (quantile, parameter): every spread and the correlation
    statistic, keys = Quantile(q=0.95, samples=24, width=0.03), jax.random.split(jax.random.key(4), 24)
    start, step = jnp.array([0.1, 0.1, 0.03, 0.2]), 1e-6

    def lost(values):
        return statistic(1 - jax.lax.map(lambda key: chips.smooth_accuracy(Spreads(*values), key), keys))

    judge = jax.jit(lost)
    found = jax.jit(jax.grad(lost))(start)
    for place in range(4):
        expected = float(judge(start.at[place].add(step)) - judge(start.at[place].add(-step))) / (2 * step)
        assert expected != 0 and float(found[place]) == pytest.approx(expected, rel=1e-4, abs=1e-7), place


def test_wider_spreads_lose_more_and_none_lose_nothing(chips, x64):
    keys = jax.random.split(jax.random.key(5), 30)
    accuracy = eqx.filter_jit(
        lambda s: jnp.mean(jax.lax.map(lambda k: chips.right(chips.conductances(s, k)), keys)) / len(chips.labels)
    )
    still, narrow, wide = (
        float(accuracy(s)) for s in (None, Spreads(0.02, 0.02, 0.005), Spreads(P_r=0.3, E_c=0.3, V_C=0.1))
    )
    assert still > 0.97 and narrow > 0.9 and wide < narrow - 0.02


# --------------------------------------------------------------------------------------------------- counts


def test_a_yield_has_its_exact_interval():
    # 100 of 100 images is the nominal: one may be lost. Of n chips that all keep it, the lower end is 0.025^(1/n)
    judged = Count(np.full(50, 99), 100).judged(100.0)
    assert judged["yield"] == 1.0 and judged["low"] == pytest.approx(0.025 ** (1 / 50)) and judged["high"] == 1.0
    judged = Count(np.array([100] * 30 + [99] * 10 + [98] * 10), 100).judged(100.0)
    assert judged["yield"] == 0.8 and judged["low"] < 0.8 < judged["high"] and judged["misses"]
    assert judged["lost"] == 2.0 and judged["histogram"][100:] == [30, 10, 10]


def test_a_scaled_specification_stays_inside_its_bounds():
    spreads = scaled({"P_r": 0.1, "E_c": 0.29, "V_C": 0.02}, 1.5)
    np.testing.assert_allclose([spreads.P_r, spreads.E_c, spreads.V_C], [0.15, 0.3, 0.03], rtol=1e-6)


def test_a_small_study_runs_to_its_page(tmp_path, monkeypatch):
    for module in (yield_study, yield_results):
        monkeypatch.setattr(module, "MECHANISMS", ("saturation",))
    for name in ("REPEATS", "BISECTIONS"):
        monkeypatch.setattr(yield_study, name, 2)
    options = ["--chips", "40", "--steps", "2", "--epochs", "2", "--samples", "200", "--quiet"]
    run = tmp_path / "run"
    assert main(["codesign", "--study", "yield", *options, "--run-dir", str(run)]) == 0
    metrics = json.loads((run / "metrics.json").read_text())["metrics"]
    value = {name: entry["value"] for name, entry in metrics.items()}
    assert value["mechanisms"] == ["saturation"] and value["saturation_test_number"] == 360
    assert [len(value[f"saturation_{way}_curve"]) for way in ("gradient", "random", "grid")] == [2, 10, 8]
    assert value["saturation_test_nominal_yield"] == 1.0
    np.testing.assert_allclose(value["saturation_slopes_effects"], value["saturation_slopes_differences"], rtol=0.3)
    monkeypatch.setattr(publish, "DOCS", tmp_path)
    for name in ("results", "figures"):
        (tmp_path / name).mkdir()
    assert publish.main([str(run), "--machine", "a laptop", "--date", "2026-11-23"]) == 0
    page = (tmp_path / "results" / "codesign-yield.md").read_text()
    assert "| by gradient, times a factor for images |" in page and "of the chips" in page


@pytest.mark.parametrize(("option", "value"), [("--samples", "2000"), ("--dataset", "mnist")])
def test_wrong_options_are_named(option, value, tmp_path, capsys):
    run = tmp_path / "run"
    try:
        status = main(["codesign", "--study", "yield", "--quiet", "--run-dir", str(run), option, value])
    except SystemExit as stop:
        status = stop.code
    assert status == 2 and option in capsys.readouterr().err and not run.exists()
