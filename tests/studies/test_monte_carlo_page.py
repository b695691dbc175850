"""The page on Monte Carlo: its examples run as they stand, and say what they say."""

import re
from pathlib import Path

import numpy as np

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


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / target).exists(), target
