"""How models and cards show themselves in a notebook."""

import jax.numpy as jnp

import hfsim
from hfsim.devices import Pulse, ferroelectric_capacitor
from hfsim.display import number, table


def test_numbers_are_short():
    assert number(0.123456) == "0.1235"
    assert number(jnp.array([1.0, 2.5])) == "1, 2.5"
    assert number(jnp.full((3, 4), 2.0)) == "2 ± 0 (3 × 4)"


def test_texts_are_escaped():
    assert "<script>" not in table("<script>", ["a<b"], [["c&d"]])
    assert "c&amp;d" in table("x", ["a"], [["c&d"]])


def test_a_model_shows_every_parameter_with_its_unit(card):
    model = ferroelectric_capacitor(card, nodes=8)
    shown = model._repr_html_()
    for name, spec, _ in hfsim.parameters(model):
        assert f">{name}</td>" in shown and f">{spec.unit}</td>" in shown
    assert "12" in Pulse(voltage=12.0, width=3.0)._repr_html_()


def test_a_card_shows_every_source(card):
    shown = card._repr_html_()
    assert shown.count("<tr>") == 1 + sum(len(entries) for entries in card.sections.values())
    assert "drive_starvation.V_SL" in shown
