"""Device cards: every refusal names its place, what is written comes back, what is shipped builds its models."""

import dataclasses
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hfsim
from hfsim.cards import DISTRIBUTIONS, SOURCES, Card, Entry, format_card, load_card, read_card, write_card
from hfsim.circuits import SenseAmplifier
from hfsim.errors import InputError
from hfsim.hybrid import MECHANISMS, ferroelectric_capacitor, transfer_line
from hfsim.parameters import specifications
from tests.declared_models import model_classes

HEADER = """
[card]
name = "test"
title = "A card of this test"
citation = "nowhere"
"""
AMPLIFIER = """
[amplifier]
V_ref = { value = 320.0, unit = "mV", source = "chosen: for this test" }
sigma_os = { value = 0.01, unit = "V", source = "literature: a paper" }
sigma_n = { value = 2, unit = "mV", source = "stated: figure 1" }
"""
SHIPPED = hfsim.available_cards()


def amplifier_card(old: str = "", new: str = "") -> Card:
    """The test's card, with a piece of its text replaced."""
    text = HEADER + AMPLIFIER
    assert old in text
    return read_card(text.replace(old, new, 1) if old else text)


def refusal(call) -> str:
    with pytest.raises(InputError) as caught:
        call()
    return str(caught.value)


# ------------------------------------------------------------------------------------------- reading


def test_values_are_converted_to_the_unit_of_the_parameter():
    amplifier = amplifier_card().build(SenseAmplifier, "amplifier")
    assert float(amplifier.V_ref) == pytest.approx(0.32)
    assert float(amplifier.sigma_os) == pytest.approx(10.0)
    assert float(amplifier.sigma_n) == 2.0
    assert float(amplifier.V_os) == 0.0  # the default


def test_a_quantity_comes_in_the_unit_asked_for():
    card = amplifier_card()
    assert card.quantity("amplifier", "V_ref", "V") == pytest.approx(0.32)
    assert card.quantity("amplifier", "V_ref", "uV") == pytest.approx(3.2e5)


def test_a_list_of_values_becomes_a_tuple():
    card = amplifier_card("value = 320.0", "value = [320.0, 330]")
    assert card.quantity("amplifier", "V_ref", "V") == pytest.approx((0.32, 0.33))
    assert card.build(SenseAmplifier, "amplifier").V_ref.shape == (2,)


def test_values_given_beside_the_card_replace_its_own():
    amplifier = amplifier_card().build(SenseAmplifier, "amplifier", V_ref=0.5, V_os=[0.0, 0.01])
    assert float(amplifier.V_ref) == 0.5 and amplifier.V_os.shape == (2,)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("V_ref = {", "V_fer = {", "`amplifier.V_fer` must be a parameter of SenseAmplifier (V_ref, sigma_os"),
        ('unit = "mV"', 'unit = "mA"', "`amplifier.V_ref.unit` must be convertible to V, but was 'mA'"),
        ("value = 320.0", "value = 32000", "`SenseAmplifier.V_ref` must lie in [-5, 5] V, but was 32"),
        ("sigma_os", "#", "`amplifier.sigma_os` must be given for SenseAmplifier, but was missing from card test"),
    ],
)
def test_a_section_that_does_not_fit_its_model_is_refused(old, new, message):
    assert message in refusal(lambda: amplifier_card(old, new).build(SenseAmplifier, "amplifier"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (', source = "stated: figure 1"', "", "`amplifier.sigma_n.source` must be given, but was missing"),
        ("value = 2, ", "", "`amplifier.sigma_n.value` must be given, but was missing"),
        ('unit = "V", ', "", "`amplifier.sigma_os.unit` must be given, but was missing"),
        ('unit = "V"', 'unit = "volt"', "`amplifier.sigma_os.unit` must be a unit such as uS or MV/cm, but was 'volt'"),
        ('unit = "V"', "unit = 3", "`amplifier.sigma_os.unit` must be a unit such as uS or MV/cm, but was 3"),
        ('unit = "V"', 'unit = "V", note = "x"', "`amplifier.sigma_os.note` must be one of value, unit, source"),
        ("stated: figure 1", "rumoured: figure 1", '`amplifier.sigma_n.source` must be "kind: where or why"'),
        ("chosen: for this test", "chosen", '`amplifier.V_ref.source` must be "kind: where or why"'),
        ("chosen: for this test", "chosen: ", '`amplifier.V_ref.source` must be "kind: where or why"'),
        ('"chosen: for this test"', "7", '`amplifier.V_ref.source` must be "kind: where or why"'),
        ("value = 320.0", "value = nan", "`amplifier.V_ref.value` must be finite, but was nan"),
        ("value = 320.0", "value = [1.0, inf]", "`amplifier.V_ref.value` must be finite"),
        ("value = 320.0", "value = []", "`amplifier.V_ref.value` must be a number or a list of numbers"),
        ("value = 320.0", "value = true", "`amplifier.V_ref.value` must be a number or a list of numbers"),
        ("value = 320.0", 'value = "320"', "`amplifier.V_ref.value` must be a number or a list of numbers"),
        ("[amplifier]", "amplifier = 3\n[rest]", "`amplifier` must be a section of entries, but was 3"),
        ("V_ref = {", "V_ref = 3 #", "`amplifier.V_ref` must be a table { value, unit, source }, but was 3"),
        ("[card]", "[header]", "`card` must begin with [card] holding name, title and citation"),
        ('citation = "nowhere"', "", "`card` must begin with [card] holding name, title and citation"),
        ('name = "test"', "name = 3", "`card.name` must be a text"),
        ('name = "test"', 'name = "test"\nauthor = "x"', "`card.author` must be a text, one of citation, doi, name"),
        ("[card]", "[card", "`card` must be valid TOML, but was text"),
    ],
)
def test_a_text_that_is_no_card_is_refused(old, new, message):
    if old == "[amplifier]":  # a bare value has to stand before the first table
        text = "amplifier = 3" + HEADER
        assert message in refusal(lambda: read_card(text))
    else:
        assert message in refusal(lambda: amplifier_card(old, new))


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_source_is_accepted_with_a_reason(kind):
    card = amplifier_card("stated: figure 1", f"{kind}: here is why")
    assert card.sections["amplifier"]["sigma_n"].source == f"{kind}: here is why"


def test_a_missing_section_is_refused_with_those_there_are():
    message = refusal(lambda: amplifier_card().section("memristor"))
    assert "`section` must be one of amplifier of card test, but was 'memristor'" in message


def test_a_missing_quantity_is_refused_with_those_there_are():
    message = refusal(lambda: amplifier_card().quantity("amplifier", "gain", "1"))
    assert "`amplifier.gain` must be in card test, but was not among V_ref, sigma_os, sigma_n" in message


# --------------------------------------------------------------------------------------------- spreads

SPREAD = """
[amplifier_spread]
V_ref = { value = 5.0, unit = "mV", distribution = "normal", source = "chosen: for this test" }
"""


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_a_section_of_spreads_names_its_distributions(kind):
    card = read_card(HEADER + AMPLIFIER + SPREAD.replace("normal", kind))
    assert card.sections["amplifier_spread"]["V_ref"] == Entry(5.0, "mV", "chosen: for this test", kind)
    assert read_card(format_card(card)) == card
    assert card.sections["amplifier"]["V_ref"].distribution == ""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            ', distribution = "normal"',
            "",
            "`amplifier_spread.V_ref.distribution` must be given, but was missing: write { value = , unit = , dis",
        ),
        ('"normal"', '"gaussian"', "`amplifier_spread.V_ref.distribution` must be one of normal, relative normal"),
        ('"normal"', "3", "`amplifier_spread.V_ref.distribution` must be one of normal, relative normal"),
        ('"normal"', '["normal"]', "`amplifier_spread.V_ref.distribution` must be one of normal, relative normal"),
        ("amplifier_spread", "amplifiers", "`amplifiers.V_ref.distribution` must be one of value, unit, source"),
    ],
)
def test_a_wrong_section_of_spreads_is_refused(old, new, message):
    assert old in SPREAD
    assert message in refusal(lambda: read_card(HEADER + SPREAD.replace(old, new, 1)))


@pytest.mark.parametrize("name", ["amplifier_spread", "amplifier_gradient"])
def test_a_spread_is_no_model(name):
    card = read_card(HEADER + SPREAD)
    message = refusal(lambda: card.build(SenseAmplifier, name))
    assert f"`section` must hold a model's values, but was '{name}'" in message


# -------------------------------------------------------------------------------------------- loading


def test_an_unknown_card_is_refused_with_those_there_are():
    message = refusal(lambda: load_card("cea-leti-2052"))
    assert f"`card` must be one of {', '.join(SHIPPED)}" in message and "but was 'cea-leti-2052'" in message


def test_a_missing_file_is_refused(tmp_path):
    assert "`card` must be a readable TOML file" in refusal(lambda: load_card(tmp_path / "none.toml"))


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "card.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "`card` must be a readable TOML file" in refusal(lambda: load_card(path))


def test_a_file_that_is_no_toml_is_refused_by_its_path(tmp_path):
    path = tmp_path / "card.toml"
    path.write_text("[card\n", encoding="utf-8")
    message = refusal(lambda: load_card(path))
    assert "must be valid TOML" in message and str(path) in message


# -------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_formatted_reads_back_as_it_was(name):
    card = load_card(name)
    assert read_card(format_card(card)) == card


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_survives_the_file_to_the_bit(value):
    card = Card({"name": "n", "title": "t", "citation": "c"}, {"s": {"k": Entry(value, "1", "chosen: any")}})
    again = read_card(format_card(card)).sections["s"]["k"].value
    assert np.float64(again).tobytes() == np.float64(value).tobytes()


def test_a_written_card_loads_from_its_path(tmp_path):
    card, path = amplifier_card(), tmp_path / "mine.toml"
    write_card(card, path)
    assert load_card(path) == card == load_card(str(path))


def test_writing_over_a_card_leaves_the_new_one_alone_in_the_folder(tmp_path):
    path = tmp_path / "mine.toml"
    write_card(load_card(SHIPPED[0]), path)
    write_card(amplifier_card(), path)
    assert load_card(path) == amplifier_card()
    assert os.listdir(tmp_path) == ["mine.toml"]


def test_a_write_that_fails_leaves_the_old_card_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "mine.toml"
    write_card(amplifier_card(), path)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    message = refusal(lambda: write_card(load_card(SHIPPED[0]), path))
    assert "`path` must be writable" in message and "No space left" in message
    assert load_card(path) == amplifier_card()
    assert os.listdir(tmp_path) == ["mine.toml"]


def test_a_folder_that_is_missing_is_refused(tmp_path):
    assert "`path` must be writable" in refusal(lambda: write_card(amplifier_card(), tmp_path / "no" / "c.toml"))


# ----------------------------------------------------------------------------------- the shipped cards

# what a measurement was made at or gave, rather than a model's parameters
FACTS = ("array_read", "conditions", "spread", "states")


def models_of(entries) -> list[type]:
    """The classes that declare every entry as a parameter and get each parameter that has no default."""

    def fits(model):
        specs = specifications(model)
        fields = (f for f in dataclasses.fields(model) if f.name in specs)
        needed = {f.name for f in fields if f.default is dataclasses.MISSING}
        return needed <= set(entries) <= set(specs)

    return [model for model in model_classes() if fits(model)]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_section_of_a_shipped_card_holds_a_model(name):
    # names, units and bounds; what its nested models are is for the tests of the models
    card = load_card(name)
    assert card.name == name
    for section, entries in card.sections.items():
        if section in FACTS or section == "correlation":
            continue
        base = section.removesuffix("_spread").removesuffix("_gradient")
        models = models_of(card.sections[base])
        assert models, f"[{base}] is no model's"

        def inside(model, section=section, entries=entries):
            specs = specifications(model)
            try:
                values = {key: np.atleast_1d(card.quantity(section, key, specs[key].unit)) for key in entries}
            except InputError:
                return False
            return all(np.all((specs[k].lower <= v) & (v <= specs[k].upper)) for k, v in values.items())

        if section == base:
            assert any(map(inside, models)), f"[{section}] has a unit or value that no model takes"
        else:
            assert any(set(entries) <= set(specifications(model)) for model in models), section


@pytest.mark.parametrize(
    "name", [n for n in SHIPPED if {"ferroelectric_capacitor", "kinetics"} <= set(load_card(n).sections)]
)
def test_a_shipped_ferroelectric_card_has_a_capacitor(name):
    assert float(ferroelectric_capacitor(load_card(name)).switching_charge) > 0


def test_the_hybrid_card_builds_both_mechanisms(card):
    for mechanism in MECHANISMS:
        assert float(transfer_line(card, mechanism).drive.V_SL) == 3.5


def test_an_unknown_mechanism_is_refused(card):
    message = refusal(lambda: transfer_line(card, "resonance"))
    assert "`mechanism` must be one of saturation, starvation, but was 'resonance'" in message
