"""A hook of the documentation site: below each model of an API page, its parameters with unit, bounds and meaning."""

import importlib
import re

from hfsim.parameters import PhysicalModel, specifications


def on_page_markdown(markdown: str, *, page, config, files) -> str:
    """Add a table after each directive of a class with declared parameters; mkdocs calls it for every page."""
    if not page.file.src_path.startswith("api/"):
        return markdown
    return re.sub(r"^::: (hfsim[\w.]*)\.(\w+)$", _with_table, markdown, flags=re.M)


def _with_table(found: re.Match) -> str:
    kind = getattr(importlib.import_module(found[1]), found[2])
    if not (isinstance(kind, type) and issubclass(kind, PhysicalModel) and specifications(kind)):
        return found[0]
    lines = [found[0], "", "| parameter | unit | bounds | meaning |", "|---|---|---|---|"]
    for name, spec in specifications(kind).items():
        scale = ", logarithmic" if spec.logarithmic else ""
        lines.append(f"| `{name}` | {spec.unit} | {spec.lower:g} to {spec.upper:g}{scale} | {spec.doc} |")
    return "\n".join(lines) + "\n"
