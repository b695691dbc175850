"""The page on Monte Carlo: its examples run as they stand, and say what they say."""

import inspect
import re
from pathlib import Path

import numpy as np

from hfsim.cli import main
from hfsim.io import Coordinate
from hfsim.studies import Output, Until
from hfsim.studies.study_file import STUDY, TABLES

PAGE = Path(__file__).parents[2] / "docs" / "monte_carlo.md"


def test_the_examples_run():
    scope = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S):
        exec(compile(block, PAGE.name, "exec"), scope)
    study, shares, rare = scope["study"], scope["shares"], scope["rare"]
    assert study.chips == 300 and "error (time 10 years)" in repr(study)
    np.testing.assert_array_equal(scope["again"]["error"], study.dataset.error.values[scope["bad"]])
    assert not scope["again"]["works"] and 0.1 < study.probability("works").value < 0.9
    assert shares.factors == ("drift", "sigma_1", "experiment") and shares.total["error"].value.shape == (3, 7)
    # after 1 s nothing has drifted; after ten years the drift makes most of the spread
    assert np.argmax(shares.total["error"].value[:, 0]) == 2 and np.argmax(shares.total["error"].value[:, -1]) == 0
    assert rare.probability.low < 1e-5 < rare.probability.high and rare.effective > 30


def test_the_study_of_the_file_runs_and_is_shown(tmp_path, monkeypatch, capsys):
    text = PAGE.read_text(encoding="utf-8")
    (file,) = re.findall(r"```toml\n(.*?)```", text, re.S)
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "def read_errors" in block)
    (tmp_path / "study.toml").write_text(file)
    (tmp_path / "study.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    assert main(["montecarlo", "study.toml", "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "reads of a 16 x 16 array" in printed and "stopped by error at" in printed and "error (time 10 y" in printed
    assert main(["show", "study.zarr", "--plot", "error", "--output", "error.png"]) == 0
    assert capsys.readouterr().out == printed + "error.png\n" and (tmp_path / "error.png").stat().st_size > 1000


def test_the_page_names_every_key_of_the_file():
    (file,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    tables = {name.partition(".")[0] for name in re.findall(r"^\[(.*?)\]", file, re.M)}
    assert tables == TABLES
    assert set(re.findall(r"^(\w+) =", file.partition("\n\n")[0], re.M)) == STUDY
    for kind in (Output, Coordinate, Until):
        for key in inspect.signature(kind).parameters:
            assert re.search(rf"\b{key} =", file), key


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / target).exists(), target
