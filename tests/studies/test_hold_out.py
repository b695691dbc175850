"""Fit on some curves, predict the rest."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hfsim import InputError
from hfsim.studies.calibration import hold_out, predict
from tests.curves import LINE, Line, curve

X = np.linspace(-1.0, 2.0, 25)


@pytest.fixture(scope="module")
def curves():
    noise = np.random.default_rng(3).normal(size=(4, X.size))
    return [curve(X, 1.0 + 0.5 * X + 0.1 * e, name=f"c{i}") for i, e in enumerate(noise)]


@pytest.fixture(scope="module")
def held(curves):
    return hold_out(Line(0.0, 1.0), curves, LINE, ["a", "b"], slice(1, None, 2), starts=1)


def test_the_fit_has_seen_only_its_own_curves(curves, held):
    y = np.concatenate([curves[0]["current"], curves[2]["current"]])
    slope, offset = np.polyfit(np.tile(X, 2), y, 1)
    np.testing.assert_allclose(held.calibration.values, [offset, slope], rtol=1e-6)
    assert [t.name for t in held.calibration.traces] == ["c0", "c2"] and [t.name for t in held.traces] == ["c1", "c3"]
    left = np.concatenate([offset + slope * X - curves[i]["current"] for i in (1, 3)])
    assert held.held_out == pytest.approx(np.sqrt(np.mean(left**2)), rel=1e-4)
    assert held.fitted == held.calibration.rms and len(held.rows()) == 4
    assert "2 traces held out" in str(held) and "<table>" in held._repr_html_()


def test_curves_are_chosen_by_rule_name_or_place(curves, held):
    for chosen in (["c1", "c3"], lambda trace: trace.name in "c1 c3", slice(1, None, 2)):
        same = hold_out(Line(0.0, 1.0), curves, LINE, ["a", "b"], chosen, starts=1)
        assert same.held_out == pytest.approx(held.held_out, rel=1e-6)
    for chosen in (["c9"], [], lambda trace: True):
        with pytest.raises(InputError, match="held"):
            hold_out(Line(0.0, 1.0), curves, LINE, ["a", "b"], chosen)


def test_any_model_can_be_asked(curves):
    predicted, residuals = predict(Line(1.0, 0.5), curves[:2], LINE)
    np.testing.assert_allclose(predicted[1], 1 + 0.5 * X, rtol=1e-7)
    np.testing.assert_allclose(residuals[0], 1 + 0.5 * X - curves[0]["current"], atol=1e-7)


def test_the_figure_shows_what_was_held_out(held):
    axes = held.plot()
    assert "held out" in axes[0].get_title() and len(axes[0].lines) == 4
    plt.close("all")
