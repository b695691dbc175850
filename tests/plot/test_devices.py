"""Figures of devices: what is drawn is what the models give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hfsim
from hfsim.devices import ferroelectric_capacitor
from hfsim.devices.ferroelectric import hysteresis_loop
from hfsim.devices.memristor import JartVCM, Stanford
from hfsim.devices.pulsed import pulsed_device
from hfsim.devices.retention.from_card import retention
from hfsim.errors import InputError
from hfsim.hybrid import transfer
from hfsim.plot import card_figure, panels

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def closed():
    yield
    matplotlib.pyplot.close("all")


def test_a_loop_is_that_of_the_instrument(card):
    capacitor = ferroelectric_capacitor(card, nodes=16)
    (line,) = capacitor.plot(2.5, period=1e5).lines
    seen = hysteresis_loop(capacitor, 2.5, 1e5, steps=200)
    np.testing.assert_allclose(line.get_ydata(), seen.polarisation, atol=1e-3)
    with pytest.raises(InputError, match="voltages"):
        capacitor.plot()


def test_a_staircase_sets_and_resets_a_filament():
    memristor = hfsim.load_card("stanford-gap-2014").build(Stanford, "stanford")
    (line,) = memristor.plot(1.8, -1.5, steps=10).lines
    voltage, G = line.get_data()
    assert len(G) == 40 and voltage[9] == pytest.approx(1.8) and voltage[29] == pytest.approx(-1.5)
    assert G[19] > 20 * G[0] and G[-1] == pytest.approx(G[0], rel=0.2)


def test_devices_without_draws_take_no_key():
    axes = JartVCM.from_card(hfsim.load_card("jart-vcm-v1b")).plot(-1.3, 1.5, steps=2, dwell=1e3)
    assert np.all(np.isfinite(axes.lines[0].get_ydata()))


def test_pulses_go_up_then_down():
    axes = pulsed_device(hfsim.load_card("ecram-li-2018")).plot(pulses=20, devices=3)
    for line in axes.lines:
        G = line.get_ydata()
        assert len(G) == 40 and G[19] > G[0] and G[-1] < G[19]


def test_relaxation_draws_mean_and_spread():
    model = retention(hfsim.load_card("cmo-hfox-2025"))
    axes = model.plot(20.0, 70.0)
    state = model.wait(model.program(model.init((2,), jax.random.key(0)), jnp.array([20.0, 70.0])), 10 * 365.25 * 86400)
    for place, (line, band) in enumerate(zip(axes.lines, axes.collections, strict=True)):
        mean, sigma = float(model.mean(state)[place]), float(model.sigma(state)[place])
        assert line.get_ydata()[-1] == pytest.approx(mean, rel=1e-4)
        ends = band.get_paths()[0].vertices
        last = ends[ends[:, 0] == ends[:, 0].max(), 1]
        assert last.max() - last.min() == pytest.approx(2 * sigma, rel=1e-3)


def test_levels_are_named_by_their_means(card):
    axes = transfer(card, "measured").plot(draws=50)
    said = [text.get_text() for text in axes.get_legend().get_texts()]
    assert [float(text.split(":")[1]) for text in said] == pytest.approx(card.section("levels")["mean"].value, abs=0.06)


def test_every_card_has_a_panel():
    for name in hfsim.available_cards():
        assert panels(hfsim.load_card(name)), name


def test_a_card_is_drawn_whole():
    figure = hfsim.load_card("reram-om-2022").plot()
    assert [ax.get_title() for ax in figure.axes] == ["identical pulses"]


def test_a_card_without_devices_is_refused():
    empty = hfsim.Card({"name": "none", "title": "nothing", "citation": "nobody"}, {})
    with pytest.raises(InputError, match="describe a capacitor"):
        card_figure(empty)
