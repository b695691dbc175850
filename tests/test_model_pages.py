"""The pages of the device models: each has an equation, its limits and its figure, and its example runs."""

import re
from pathlib import Path

import pytest

from docs.models.__main__ import names

FOLDER = Path(__file__).parents[1] / "docs" / "models"
PAGES = sorted(page.stem for page in FOLDER.glob("*.md"))


def test_every_page_has_a_figure_and_every_figure_a_page():
    assert set(PAGES) == set(names())
    guides = ("choosing_a_device_model.md", "choosing_wires_and_converters.md", "choosing_a_learning_rule.md")
    choosing = "".join((FOLDER.parent / guide).read_text(encoding="utf-8") for guide in guides)
    for name in PAGES:
        text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
        assert f"({name}.png)" in text and (FOLDER / f"{name}.png").stat().st_size > 5000
        assert f"(models/{name}.md)" in choosing, f"a guide must name {name}"
        lower = text.lower()
        assert "cost" in lower and ("valid" in lower or "limits" in lower or "cannot" in lower)


@pytest.mark.parametrize("name", PAGES)
def test_the_example_runs(name):
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    assert blocks, "a page shows how the model is used"
    exec(compile("\n".join(blocks), f"{name}.md", "exec"), {"__name__": name})
