"""What to cite for what was run."""

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.metadata import version
from typing import Any, Literal

import equinox as eqx
import jax

from hfsim.cards import Card
from hfsim.errors import InputError

Reference = dict[str, Any]
"""authors, source and year, or a text; title, volume, page, doi and note where there are such."""


def citation(*objects: Any, style: Literal["text", "bibtex"] = "text") -> list[str]:
    """References of models and cards, in reading order, hfsim itself first.

    Args:
        objects: models, learning rules, trees of them, or cards: all that a result came from.
        style: "text" for a line each, "bibtex" for an entry each, whose keys are the same each time.

    Returns:
        The publications of every model inside, and what the cards cite. Titles are given where hfsim knows them; a
        card's reference is one text, in BibTeX a `note`.

    Raises:
        InputError: an object that holds neither a model nor a card; a style that is not known.
    """
    if style not in ("text", "bibtex"):
        raise InputError("style", "be 'text' or 'bibtex'", repr(style))
    found: list[Reference] = []
    for thing in objects:
        if isinstance(thing, Card):
            header = thing.header
            found.append({"name": header["name"], "text": header["citation"], "doi": header.get("doi", "")})
            continue
        modules = {_room(node) for node in _modules(thing)}
        if not modules:
            raise InputError("objects", "be models of hfsim, or cards", type(thing).__name__)
        for entry in _references():
            if any(module == own or module.startswith(f"{own}.") for own in entry["modules"] for module in modules):
                found.append(entry)
    if style == "bibtex":
        return [_own_entry(), *dict.fromkeys(map(_entry, found))]
    own = f"The hfsim authors, hfsim {version('hfsim')}: a differentiable simulator of hybrid FeCAP/memristor chips"
    return [own, *dict.fromkeys(map(_line, found))]


def _line(reference: Reference) -> str:
    """One line of text."""
    doi = reference.get("doi")
    if "text" in reference:
        return ": ".join([reference["text"], *filter(None, [doi])])
    names = ", ".join(reference["authors"]).replace(", others", " et al.")
    place = " ".join(filter(None, [reference["source"], reference.get("volume")]))
    if "page" in reference:
        place += f", {reference['page']}"
    place += f" ({reference['year']})"
    parts = [names, reference.get("title"), place, reference.get("note"), f"doi {doi}" if doi else None]
    return ", ".join(filter(None, parts))


def _entry(reference: Reference) -> str:
    """One BibTeX entry."""
    if "text" in reference:
        return _bibtex("misc", f"hfsim:{reference['name']}", {"note": reference["text"], "doi": reference.get("doi")})
    volume, _, issue = reference.get("volume", "").partition("(")
    first = reference["authors"][0].split()[-1]
    fields = {
        "author": " and ".join(reference["authors"]),
        "title": reference.get("title") and f"{{{reference['title']}}}",  # in braces: its capitals stay
        "journal": reference["source"],
        "volume": volume,
        "number": issue.rstrip(")"),
        "pages": reference.get("page"),
        "year": str(reference["year"]),
        "doi": reference.get("doi"),
        "note": reference.get("note"),
    }
    kind = re.sub(r"[^A-Z]", "", reference["source"])  # two papers of one author and year have different journals
    return _bibtex("article", f"{first}{reference['year']}{kind}", fields)


def _own_entry() -> str:
    title = "{hfsim: a differentiable simulator of hybrid FeCAP/memristor chips}"
    fields: dict[str, str | None] = {
        "author": "{The hfsim authors}",
        "title": title,
        "note": f"version {version('hfsim')}",
    }
    return _bibtex("misc", "hfsim", fields)


def _bibtex(kind: str, key: str, fields: Mapping[str, str | None]) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])


def _references() -> list[Reference]:
    text = resources.files("hfsim").joinpath("references.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["reference"]


def _room(node: eqx.Module) -> str:
    """The module that defines a node's class, without the package: "devices.ferroelectric.gb2"."""
    return type(node).__module__.removeprefix("hfsim.")


def _modules(tree: Any) -> list[eqx.Module]:
    """Every equinox module of hfsim in a tree, the nested ones too."""
    found: list[eqx.Module] = []

    def visit(node: Any) -> None:
        for part in jax.tree.leaves(node, is_leaf=lambda x: x is not node and isinstance(x, eqx.Module)):
            if isinstance(part, eqx.Module):
                if type(part).__module__.startswith("hfsim."):
                    found.append(part)
                visit(part)

    visit([tree])
    return found
