"""Studies from a file: what it says is what runs, and what it says wrongly is told in one line."""

import jax.numpy as jnp
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

def leaves(devices, key):
    raise SystemExit(7)

def decides(devices, key):
    return 1.0 if devices[0] > 1 else 2.0

def refuses(factor):
    raise ValueError(f"bad {factor}")
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
    (tmp_path / "exit.py").write_text("import sys\nsys.exit(7)\n")
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
        ("chips = 96", "chips = 0", "`study.chips` must be a whole number from 1"),
        ("seed = 1", "seed = 4294967296", "`study.seed` must be a whole number from 0 to 4,294,967,295"),
        ("seed = 1", "seed = -1", "`study.seed`"),
        ('store = "study.zarr"', "store = 5", "`study.store` must be a text, but was 5"),
        ("seed = 1", "name = 5", "`study.name` must be a text, but was 5"),
        ("seed = 1", "date = 10:00:00", "`study.date` must be a text"),
        ('dims = ["time"]', "dims = 5", "`outputs.error.dims` must be a list of names, but was 5"),
        ('dims = ["time"]', 'dims = "time"', "`outputs.error.dims` must be a list of names"),
        ("[1.0, 3600.0]", "[[1.0], [1.0, 2.0]]", "`coordinates.time` must be numbers or texts in a row"),
        ("[coordinates.time]", '[until]\noutput = "error"\nrelative = "a"\n[coordinates.time]', "`half_width`"),
        (
            "study.py:population",
            "study.py:experiment",
            "`study.population` must make the devices of a chip, but was st",
        ),
        ("study.py:experiment", "study.py:drawn", "numbers, but was stopped by TypeError: drawn() takes 1"),
        ("study.py:experiment", "study.py:decides", "TracerBoolConversionError"),
        ("study.py:experiment", "study.py:decides", "at study.py:21."),
        ("study.py:experiment", "study.py:leaves", "stopped by SystemExit: 7 at study.py:18."),
        ("study.py:experiment", "exit.py:experiment", "stopped by SystemExit: 7 at exit.py:2."),
        ("[coordinates.time]", '[until]\noutput = "error"\n[coordinates.time]', "half_width"),
    ],
)
def test_what_is_wrong_is_told(folder, old, new, told, capsys):
    (folder / "study.toml").write_text(STUDY.replace(old, new))
    assert main(["montecarlo", str(folder / "study.toml"), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert told in said and said.startswith("error: ") and said.count("\n") == 1


def test_a_rule_with_a_label_that_is_not_there_is_told(folder, capsys):
    rule = '[until]\noutput = "error"\nhalf_width = 0.1\nat = { time = "1 h" }\n'
    (folder / "study.toml").write_text(STUDY + rule)
    assert main(["montecarlo", str(folder / "study.toml")]) == 2
    assert capsys.readouterr().err == "error: `at.time` must be one of 1.0, 3600.0, but was '1 h'.\n"


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        (
            "refuses",
            "factor = 3",
            "`study.experiment` must be made of the arguments, but was stopped by ValueError: bad 3",
        ),
        ("scaled", "power = 3", "`arguments` must fit study.experiment"),
    ],
)
def test_a_factory_that_fails_is_told(folder, name, arguments, told):
    (folder / "study.toml").write_text(STUDY.replace(":experiment", f":{name}") + f"[arguments]\n{arguments}\n")
    with pytest.raises(InputError) as error:
        read_study_file(folder / "study.toml")
    assert str(error.value).startswith(told)


def test_a_date_and_labels_of_texts_are_kept(folder):
    text = STUDY.replace("seed = 1", "date = 2026-01-31").replace("[1.0, 3600.0]", '["soon", "late"]')
    (folder / "study.toml").write_text(text)
    assert "error (time late)" in repr(read_study_file(folder / "study.toml").run())
    assert read_study(folder / "study.zarr").dataset.attrs["date"] == "2026-01-31"


def test_the_code_is_read_anew_each_time(folder):
    def factor():
        study = read_study_file(folder / "study.toml")
        return float(study.experiment(jnp.array([0.0, 2.0]), None)["error"][0])

    assert factor() == 1.0
    (folder / "study.py").write_text(CODE.replace("[1.0, 2.0]", "[3.0, 2.0]"))  # as long, and within the same second
    assert factor() == 3.0
    (folder / "study.py").write_text(CODE + "\nraise RuntimeError('half-way')\n")
    for _ in range(2):
        with pytest.raises(InputError, match="stopped by RuntimeError: half-way"):
            factor()
    (folder / "study.py").write_text(CODE)
    study = read_study_file(folder / "study.toml")
    assert factor() == 1.0 and study.experiment.__globals__ is study.population.__globals__


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="readable"):
        read_study_file(tmp_path / "none.toml")
