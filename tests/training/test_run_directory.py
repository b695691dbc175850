"""Run directories are claimed once and never overwritten."""

import json
import os

import pytest

from hfsim.errors import InputError
from training import run_directory
from training.run_directory import claim, claim_next, latest, recorded_configuration, write_bytes, write_json


def test_default_directories_are_numbered_and_claimed(tmp_path):
    assert claim_next(tmp_path, "onchip", {}).name == "onchip-001"
    for name in ("onchip-007", "onchip-old", "other-009"):
        (tmp_path / name).mkdir()
    assert latest(tmp_path, "onchip").name == "onchip-007"
    assert claim_next(tmp_path, "onchip", {"a": 1}).name == "onchip-008"
    assert recorded_configuration(tmp_path / "onchip-008") == {"a": 1}


def test_of_two_runs_one_gets_the_directory(tmp_path, monkeypatch):
    """The second one looked before the first one wrote."""
    claim(tmp_path / "run", {"run": 1})
    monkeypatch.setattr(run_directory, "require_unclaimed", lambda path: None)
    with pytest.raises((InputError, FileExistsError)):
        claim(tmp_path / "run", {"run": 2})
    assert recorded_configuration(tmp_path / "run") == {"run": 1}


def test_results_are_readable_by_others(tmp_path):
    write_json(tmp_path / "metrics.json", {})
    assert (tmp_path / "metrics.json").stat().st_mode & 0o777 == 0o666 & ~run_directory._umask()


def test_latest_refuses_an_empty_parent(tmp_path):
    with pytest.raises(InputError, match="--resume"):
        latest(tmp_path, "onchip")


def test_a_directory_with_files_is_not_claimed(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="new or empty"):
        claim(tmp_path, {"job": "onchip"})
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_file_is_no_directory(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(InputError, match="--run-dir"):
        claim(path, {})
    assert path.read_text() == "mine"


def test_a_claimed_directory_tells_its_configuration(tmp_path):
    claim(tmp_path / "run", {"job": "onchip", "seed": 3})
    assert recorded_configuration(tmp_path / "run") == {"job": "onchip", "seed": 3}


@pytest.mark.parametrize("content", [None, "not json", "[1]"])
def test_a_foreign_directory_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "configuration.json").write_text(content)
    with pytest.raises(InputError, match="--run-dir"):
        recorded_configuration(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"
    write_json(path, {"a": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_bytes(path, b"new")
    assert json.loads(path.read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["metrics.json"]


def test_json_refuses_what_json_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
