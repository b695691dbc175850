"""The README's example runs as it stands."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_python_example_runs():
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert block.count("\n") <= 18
    scope = {}
    exec(compile(block, "README.md", "exec"), scope)
    assert int(scope["state"].samples) == 100 and int(scope["state"].transfers) == 11


def test_linked_files_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (README.parent / target).exists(), target
