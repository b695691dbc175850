"""The README's examples run as they stand."""

import re
from pathlib import Path

import numpy as np
import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def scopes():
    found = []
    for block in re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S):
        assert block.count("\n") <= 18
        found.append({})
        exec(compile(block, "README.md", "exec"), found[-1])
    return found


def test_the_python_examples_run(scopes):
    learnt, pulsed, matrix = scopes
    assert int(learnt["state"].samples) == 100 and int(learnt["state"].transfers) == 11
    arrays = pulsed["state"].arrays[0]
    assert int(arrays.fast.pulses.sum()) > 0 and float(arrays.slow.devices.rest.clock.seconds) == 3.156e8
    error = np.asarray(matrix["xbar"] @ matrix["x"] - matrix["W"] @ matrix["x"])
    assert 0 < np.std(error) < 0.1 * np.std(matrix["W"] @ matrix["x"])


def test_linked_files_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (README.parent / target).exists(), target


def test_the_example_of_the_page_on_codesign_runs():
    page = (README.parent / "docs" / "codesign.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.S)
    scope = {}
    exec(compile(block, "docs/codesign.md", "exec"), scope)
    assert scope["found"].terms["misread"] < 0.29 and scope["found"].terms["energy"] < 2.02e6
    cells = np.asarray(scope["made"].cells)
    np.testing.assert_allclose(cells, 0.01 * np.round(cells / 0.01), atol=1e-6)
