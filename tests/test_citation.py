"""What is cited for what was run."""

import importlib
import re
from pathlib import Path

import pytest

import hfsim
from hfsim.citation import _references
from hfsim.devices import ferroelectric_capacitor
from hfsim.errors import InputError
from hfsim.hybrid import transfer_line


def test_models_inside_models_are_cited_once(card):
    line = transfer_line(card, "saturation")
    found = hfsim.citation(line, card, ferroelectric_capacitor(card))
    assert found[0].startswith("The hfsim authors") and len(found) == len(set(found))
    text = "\n".join(found)
    for name in ("Martemucci", "Alessandri", "Enz", "Ielmini"):
        assert name in text, name
    assert "Stanford" not in text
    assert card.header["citation"] in text


def test_every_reference_belongs_to_modules_that_name_it():
    for entry in _references():
        for name in entry["modules"]:
            module = importlib.import_module(f"hfsim.{name}")
            years = set(re.findall(r"\((\d{4})\)", entry["text"]))
            said = Path(module.__file__).read_text(encoding="utf-8")
            if name not in ("hybrid", "devices.ferroelectric.domains"):  # a room; a model made of another's classes
                assert any(f"({year})" in said for year in years), (name, entry["text"])


def test_every_device_with_a_source_has_a_reference():
    listed = {name for entry in _references() for name in entry["modules"]}
    rooms = ("devices.ferroelectric", "devices.memristor", "devices.retention", "learning")
    for room in rooms:
        package = importlib.import_module(f"hfsim.{room}")
        for model in vars(package).values():
            module = getattr(model, "__module__", "").removeprefix("hfsim.")
            if not isinstance(model, type) or not module.startswith(room):
                continue
            said = importlib.import_module(f"hfsim.{module}").__doc__ or ""
            if re.search(r"\((19|20)\d\d\)", said) and module not in ELSEWHERE:
                assert module in listed, module


ELSEWHERE = {
    "devices.ferroelectric.surroundings",  # a remark on how to measure
    "learning.row_transfer",  # the base of Tiki-Taka, cited there
    "learning.buffered_transfer",
}


def test_what_is_no_model_is_refused():
    with pytest.raises(InputError, match="objects"):
        hfsim.citation(3.0)
