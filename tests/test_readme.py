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


def test_the_device_and_the_rule_of_the_page_on_extending_run():
    page = (README.parent / "docs" / "extending.md").read_text(encoding="utf-8")
    drift, rule = ({}, {})
    for block, scope in zip(re.findall(r"```python\n(.*?)```", page, re.S), (drift, rule), strict=True):
        kind = re.search(r"^class .*?(?=\n\n\n)", block, re.S | re.M).group()
        assert kind.count("\n") <= 40
        exec(compile(block, "docs/extending.md", "exec"), scope)
    # the exact law: R^2 falls by 2 (R_off - R_on) k V t, in ohm, coulomb and seconds
    R_0, fall = 1e2 * 0.1 + 16e3 * 0.9, 2 * 15.9e3 * 1e8 * np.array([-1.0, 0.5, 1.0]) * 1e-4
    R = np.sqrt(np.clip(R_0**2 - fall, 1e4, 2.56e8))
    np.testing.assert_allclose(drift["device"].conductance(drift["after"]), 1e6 / R, rtol=1e-5)
    assert float(drift["slope"].k) > 0 > float(drift["slope"].R_off)
    assert np.max(np.abs(rule["params"] - rule["wanted"])) < 0.05
    assert np.all(np.isfinite(rule["aged"]))


@pytest.mark.parametrize("page", ["index", "units", "sharp_bits"])
def test_the_code_of_a_page_is_one_script_that_runs(page):
    text = (README.parent / "docs" / f"{page}.md").read_text(encoding="utf-8")
    scope = {}
    exec(compile("\n".join(re.findall(r"```python\n(.*?)```", text, re.S)), f"docs/{page}.md", "exec"), scope)
    if page == "index":
        assert float(scope["charge"]) > 0 and float(scope["by_voltage"]) > 0
        np.testing.assert_allclose(scope["levels"], scope["measured"].levels(), atol=1.5)
        assert 0 < np.std(scope["error"]) < 0.1 * np.std(scope["W"].sum(axis=1))
