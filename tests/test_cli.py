"""The command line `hfsim`."""

import subprocess
import sys

import pytest

import hfsim
from hfsim.cli import main


def test_cards_are_listed_with_their_titles(capsys):
    assert main(["cards"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(hfsim.available_cards())


def test_a_card_is_shown_with_its_sources(capsys):
    assert main(["device", "show", "stanford-gap-2014"]) == 0
    shown = capsys.readouterr().out
    for name, entry in hfsim.load_card("stanford-gap-2014").sections["stanford"].items():
        assert f"  {name} = " in shown and entry.source in shown


def test_a_card_is_drawn_to_a_file(tmp_path, capsys):
    target = tmp_path / "card.png"
    assert main(["device", "plot", "reram-om-2022", "--output", str(target)]) == 0
    assert target.read_bytes().startswith(b"\x89PNG") and str(target) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["device", "show", "nope"], "`card` must be one of"),
        (["device", "plot", "reram-om-2022", "--output", "x.doc"], "`--output` must end in"),
        (["device", "plot", "reram-om-2022", "--output", "/nowhere/x.png"], "directory that exists"),
        (["read", "."], "`file` must be a file, but was ., a directory"),
        (["read", "missing.csv", "--output", "x.png"], "`--output` must go with --plot, but was x.png alone"),
        (["show", "missing.zarr", "--output", "x.png"], "`--output` must go with --plot, but was x.png alone"),
        (["show", "missing.zarr"], "`store` must be the store of a study, but was missing.zarr, where there is none"),
    ],
)
def test_bad_input_ends_in_one_line(arguments, told, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and told in said and said.count("\n") == 1


def test_a_file_of_an_instrument_is_read(tmp_path, capsys):
    (tmp_path / "ramp.csv").write_text("V (V),I (uA)\n0,0\n0.5,1.0\n1.0,2.5\n")
    (tmp_path / "empty.csv").write_text("")
    assert main(["read", str(tmp_path / "ramp.csv"), "--plot", "--output", str(tmp_path / "ramp.svg")]) == 0
    assert "voltage [V]" in capsys.readouterr().out and (tmp_path / "ramp.svg").stat().st_size > 1000
    assert main(["read", str(tmp_path / "empty.csv")]) == 2
    assert "empty" in capsys.readouterr().err


def test_a_reader_that_leaves_ends_it_quietly():
    shell = f"{sys.executable} -m hfsim device show cea-leti-2025-hybrid | head -1"
    found = subprocess.run(shell, shell=True, capture_output=True, text=True, check=True)
    assert found.stdout.startswith("cea-leti-2025-hybrid") and found.stderr == ""
