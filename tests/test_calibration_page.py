"""The example of the page on calibration runs as it stands, and finds what made its data."""

import re
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

PAGE = Path(__file__).parents[1] / "docs" / "calibration.md"


def test_the_example_of_the_page_on_calibration_runs(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    scope = {}
    exec(compile(block, PAGE.name, "exec"), scope)
    plt.close("all")
    found, fit = scope["found"], scope["found"].calibration
    truth = np.array([45.0, 3.6, 0.6, 1.9, 21.0])
    assert np.all(np.abs(fit.values - truth) < 2 * fit.errors) and fit.flags == ()
    assert 0.3 < found.fitted < 0.45 and 0.3 < found.held_out < 0.45
    for ours, theirs in zip(jax.tree.leaves(scope["film"]), jax.tree.leaves(fit.model), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    printed = PAGE.read_text(encoding="utf-8").split("```")[3]
    assert capsys.readouterr().out.split("\n")[0] == printed.strip().split("\n")[0]


def test_linked_files_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / target).exists(), target
