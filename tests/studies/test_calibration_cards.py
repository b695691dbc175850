"""Fits become cards with their provenance, and cards become the same models again."""

import dataclasses

import jax
import numpy as np
import pytest

import hfsim
from hfsim import InputError
from hfsim.devices import FerroelectricCapacitor, GB2Kinetics
from hfsim.devices.ferroelectric import OhmicLeakage, ParallelLeakage
from hfsim.devices.pulsed import AdditiveNoise, PiecewiseStep, SoftBounds, StepTable, pulsed_device
from hfsim.studies import Tie
from hfsim.studies.calibration import calibrate, fitted_card, from_card
from hfsim.studies.calibration.card import Provenance, default_sections
from tests.curves import LINE, Line, curve

X = np.linspace(-1.0, 2.0, 25)
TOLD = Provenance("loop.tsv", "2025-11-03", 101, "0.2 uC/cm2", {"P_r": 0.4, "kinetics.b": np.inf})


@pytest.fixture(scope="module")
def fitted():
    y = 1.5 + 0.7 * X + 0.1 * np.random.default_rng(0).normal(size=X.size)
    trace = dataclasses.replace(curve(X, y), about={"file": "sweep.csv"})
    return calibrate(Line(0.0, 1.0), trace, LINE, ["b"], ties=[Tie("a", "b", 2.0)], starts=1)


@pytest.fixture(scope="module")
def capacitor():
    card = hfsim.load_card("hzo-8nm-switching")
    leakage = ParallelLeakage((OhmicLeakage(sigma=1e-4), OhmicLeakage(sigma=2e-4, E_A=0.3)))
    kinetics = card.build(GB2Kinetics, "kinetics", nodes=32)
    return card.build(FerroelectricCapacitor, "ferroelectric_capacitor", kinetics=kinetics, leakage=leakage)


def test_a_card_of_a_fit_says_where_each_value_comes_from(fitted, tmp_path):
    card = fitted.card("line", "A line", date="2025-11-03")
    hfsim.write_card(card, tmp_path / "line.toml")
    read = hfsim.load_card(tmp_path / "line.toml")
    slope, offset = read.section("line")["b"], read.section("line")["a"]
    assert slope.value == pytest.approx(fitted["b"], rel=1e-6) and slope.unit == "uS"
    for part in (
        "fitted: sweep.csv, 2025-11-03, 25 values",
        f"standard error {fitted.error('b'):.2g}",
        "residual",
        "hfsim ",
    ):
        assert part in slope.source
    assert "2 times b" in offset.source
    again = from_card(read, Line(0.0, 1.0))
    assert float(again.b) == pytest.approx(float(fitted.model.b), rel=1e-6)


def test_a_capacitor_comes_back_with_all_of_its_parts(capacitor):
    card = fitted_card(capacitor, TOLD, name="x", title="y")
    sections = default_sections(capacitor)
    assert sections[""] == "ferroelectric_capacitor" and sections["kinetics"] == "kinetics"
    assert len(set(sections.values())) == len(sections)
    other = jax.tree.map(lambda v: 0.9 * v, capacitor)
    again = from_card(hfsim.cards.read_card(hfsim.cards.format_card(card)), other)
    for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(capacitor), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert again.kinetics.nodes == 32
    assert "standard error 0.4 (1.8%)" in card.section("ferroelectric_capacitor")["P_r"].source
    assert "not identified" in card.section("kinetics")["b"].source
    assert card.section("kinetics")["a"].source.startswith("chosen: held at this value")


def test_entries_of_a_base_card_stay_where_values_do(capacitor):
    base = hfsim.load_card("hzo-8nm-switching")
    bare = dataclasses.replace(capacitor, leakage=None)
    card = fitted_card(bare, TOLD, name="x", title="y", base=base)
    assert card.section("kinetics")["a"] == base.section("kinetics")["a"]
    assert card.section("ferroelectric_capacitor")["P_r"].source.startswith("fitted: loop.tsv")
    assert "E_bi" not in card.section("ferroelectric_capacitor")  # its default needs no entry
    moved = dataclasses.replace(bare, t=bare.t * 2)
    source = fitted_card(moved, TOLD, name="x", title="y", base=base).section("ferroelectric_capacitor")["t"].source
    assert source.startswith("chosen: held at this value in the fit of loop.tsv")


def test_cards_of_pulsed_devices_are_those_of_the_library():
    common = {"dw_min": 0.05, "up_down": 0.1, "w_min": -1.0, "w_max": 1.2, "G_0": 50.0, "g": 30.0}
    told = TOLD._replace(errors={"dw_min": 1e-3, "table.up": 0.1})
    for device in (
        SoftBounds(**common, noise=AdditiveNoise(0.3)),
        PiecewiseStep(**common, noise=AdditiveNoise(0.3), table=StepTable([1.0, 0.5], [0.7, 0.9])),
    ):
        again = pulsed_device(fitted_card(device, told, name="x", title="y"))
        assert type(again) is type(device)
        for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(device), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_what_no_card_can_hold_is_refused(fitted, capacitor):
    nameless = dataclasses.replace(fitted, traces=(curve(X, X),))
    with pytest.raises(InputError, match="`data` must say what was fitted"):
        nameless.card("x", "y", date="today")
    assert "simulated" in nameless.card("x", "y", date="today", data="simulated").section("line")["b"].source
    with pytest.raises(InputError, match="`date`"):
        fitted.card("x", "y", date=" ")
    with pytest.raises(InputError, match="`sections` must name a section for GB2Kinetics"):
        fitted_card(capacitor, TOLD, name="x", title="y", sections={"": "a"})
    with pytest.raises(InputError, match="be one device"):
        fitted_card(Line(np.ones((2, 2)), 1.0), TOLD, name="x", title="y")
