"""What is cited for what was run."""

import importlib
import re
from pathlib import Path

import pytest

import hfsim
from hfsim.citation import _entry, _references
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


def test_bibtex_has_every_reference_under_a_key_of_its_own(card):
    line = transfer_line(card, "saturation")
    entries = hfsim.citation(line, card, style="bibtex")
    assert len(entries) == len(hfsim.citation(line, card))
    keys = [re.match(r"@(article|misc)\{([^,]+),\n", entry)[2] for entry in entries]
    assert len(set(keys)) == len(keys) and keys[0] == "hfsim" and f"hfsim:{card.header['name']}" in keys
    assert all(entry.count("{") == entry.count("}") for entry in entries)
    (article,) = [entry for entry in entries if entry.startswith("@article{Martemucci2025")]
    for field in ("author = {Martemucci and others}", "volume = {8}", "pages = {921}", "year = {2025}"):
        assert field in article
    assert "doi = {10.1038/s41928-025-01454-7}" in article


def test_keys_of_all_references_differ():
    keys = [_entry(reference).splitlines()[0] for reference in _references()]
    assert len(set(keys)) == len(keys)


def test_every_reference_belongs_to_modules_that_name_it():
    for entry in _references():
        for name in entry["modules"]:
            module = importlib.import_module(f"hfsim.{name}")
            said = Path(module.__file__).read_text(encoding="utf-8")
            if name not in ("hybrid", "devices.ferroelectric.domains"):  # a room; a model made of another's classes
                assert f"({entry['year']})" in said, (name, entry)


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
    with pytest.raises(InputError, match="style"):
        hfsim.citation(hfsim.load_card("cea-leti-2025-hybrid"), style="ris")
