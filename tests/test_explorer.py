"""The notebook's explorer: sliders move parameters, and the panels follow."""

import hashlib

import pytest

from hfsim.devices import ferroelectric_capacitor
from hfsim.errors import InputError

pytest.importorskip("ipywidgets")
from hfsim.explorer import Explorer


def bar(model, axes):
    axes.bar(["P_r"], [float(model.P_r)])
    axes.set_ylim(0, 100)


@pytest.fixture(scope="module")
def capacitor():
    import hfsim

    return ferroelectric_capacitor(hfsim.load_card("cea-leti-2025-hybrid"), nodes=8)


def digest(explorer):
    return hashlib.sha256(explorer.image.value).hexdigest()


def test_a_moved_slider_moves_its_parameter_and_the_picture(capacitor):
    explorer = Explorer(capacitor, ["P_r", "kinetics.tau0"], {"remanent polarisation": bar})
    before, start = digest(explorer), float(capacitor.P_r)
    assert bytes(explorer.image.value).startswith(b"\x89PNG")
    explorer.sliders["P_r"].value = 2 * start
    assert float(explorer.model.P_r) == pytest.approx(2 * start) and digest(explorer) != before
    assert float(capacitor.P_r) == start
    explorer.reset()
    assert float(explorer.model.P_r) == pytest.approx(start, rel=1e-6) and digest(explorer) == before


def test_sliders_stay_inside_the_bounds_and_follow_the_scale(capacitor):
    ranges = {"P_r": (5.0, 40.0)}
    explorer = Explorer(capacitor, ["P_r", "kinetics.tau0"], {"remanent polarisation": bar}, ranges=ranges)
    assert (explorer.sliders["P_r"].min, explorer.sliders["P_r"].max) == (5.0, 40.0)
    tau0 = float(capacitor.kinetics.tau0)
    assert 10 ** explorer.sliders["kinetics.tau0"].max == pytest.approx(4 * tau0)
    assert "uC/cm2" in explorer.sliders["P_r"].description


def test_what_a_model_refuses_is_told_and_the_figure_stays(capacitor):
    def picky(model, axes):
        if float(model.P_r) > 30:
            raise InputError("P_r", "stay small", float(model.P_r))
        bar(model, axes)

    explorer = Explorer(capacitor, ["P_r"], {"picky": picky}, ranges={"P_r": (1.0, 60.0)})
    before = digest(explorer)
    explorer.sliders["P_r"].value = 50.0
    assert "stay small" in explorer.message.value and digest(explorer) == before
    explorer.reset()
    assert explorer.message.value == ""


@pytest.mark.parametrize(
    ("names", "panels", "ranges", "told"),
    [
        (["nothing"], {"bar": bar}, None, "variables"),
        (["P_r"], {}, None, "panels"),
        (["P_r"], {"bar": bar}, {"P_r": (1e6, 2e6)}, "P_r"),
    ],
)
def test_wrong_explorers_are_refused(capacitor, names, panels, ranges, told):
    with pytest.raises(InputError, match=told):
        Explorer(capacitor, names, panels, ranges=ranges)
