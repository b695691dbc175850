"""Studies from a file: what it says is what runs, and what it says wrongly is told in one line."""

import pytest

from hfsim.cli import main
from hfsim.errors import InputError
from hfsim.studies.results import read_study
from hfsim.studies.study_file import read_study_file

CODE = """
import jax
import jax.numpy as jnp

def population(key):
    return 1.0 + 0.1 * jax.random.normal(key, (4,))

def experiment(devices, key):
    return {"error": jnp.std(devices) * jnp.array([1.0, 2.0]), "works": jnp.max(devices) < 1.2}

def scaled(factor):
    return lambda devices, key: {"error": factor * jnp.std(devices)}

def drawn(factor):
    return population
"""
STUDY = """
[study]
experiment = "study.py:experiment"
population = "study.py:population"
chips = 96
seed = 1
chunk = 64
store = "study.zarr"

[outputs.error]
unit = "uS"
dims = ["time"]

[coordinates.time]
values = [1.0, 3600.0]
unit = "s"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "study.py").write_text(CODE)
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path


def test_a_study_runs_from_its_file_and_is_shown_from_its_store(folder, capsys):
    assert main(["montecarlo", str(folder / "study.toml"), "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "error (time 1 h)" in printed and "uS" in printed and "96 chips" in printed
    assert main(["show", str(folder / "study.zarr")]) == 0
    assert capsys.readouterr().out == printed
    study = read_study(folder / "study.zarr")
    assert study.dataset["error"].dims == ("chip", "time") and study.dataset["time"].attrs["units"] == "s"
    # again: nothing is computed, nothing changes; another study does not go into this store
    before = study.dataset["error"].values
    (folder / "study.toml").write_text(STUDY.replace("seed = 1", "seed = 2"))
    assert main(["montecarlo", str(folder / "study.toml"), "--quiet"]) == 2
    assert "store" in capsys.readouterr().err
    assert (read_study(folder / "study.zarr").dataset["error"].values == before).all()


def test_arguments_make_experiment_and_population(folder):
    text = STUDY.replace(":experiment", ":scaled").replace(":population", ":drawn").replace('dims = ["time"]', "")
    text = text[: text.index("[coordinates")].replace('store = "study.zarr"', "") + "[arguments]\nfactor = 3.0\n"
    (folder / "study.toml").write_text(text)
    study = read_study_file(folder / "study.toml").run()
    assert float(study.mean("error").value) == pytest.approx(3 * 0.08, rel=0.2)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[study]", "[study", "valid TOML"),
        ("chips = 96", 'chips = "many"', "study.chips"),
        ("chips = 96", "", "study.chips"),
        ("seed = 1", "speed = 1", "speed"),
        ("study.py:experiment", "study.py:nothing", "study.experiment"),
        ("study.py:experiment", "missing.py:experiment", "importable"),
        ("study.py:experiment", "study", "file.py:name"),
        ('unit = "uS"', 'units = "uS"', "outputs.error"),
        ("[outputs.error]", "[outputs.wrong]", "wrong"),
        ("[coordinates.time]", '[until]\noutput = "error"\n[coordinates.time]', "half_width"),
    ],
)
def test_what_is_wrong_is_told(folder, old, new, told, capsys):
    (folder / "study.toml").write_text(STUDY.replace(old, new))
    assert main(["montecarlo", str(folder / "study.toml"), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert told in said and said.startswith("error: ") and said.count("\n") == 1


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="readable"):
        read_study_file(tmp_path / "none.toml")
