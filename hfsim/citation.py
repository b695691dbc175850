"""What to cite for what was run."""

import tomllib
from importlib import resources
from importlib.metadata import version
from typing import Any

import equinox as eqx
import jax

from hfsim.cards import Card
from hfsim.errors import InputError


def citation(*objects: Any) -> list[str]:
    """References of models and cards, in reading order, hfsim itself first.

    Args:
        objects: models, learning rules, trees of them, or cards: all that a result came from.

    Returns:
        One line each: the publications of every model inside, and what the cards cite.

    Raises:
        InputError: an object that holds neither a model nor a card.
    """
    found = [f"The hfsim authors, hfsim {version('hfsim')}: a differentiable simulator of hybrid FeCAP/memristor chips"]
    for thing in objects:
        if isinstance(thing, Card):
            found.append(": ".join([thing.header["citation"], *filter(None, [thing.header.get("doi")])]))
            continue
        modules = {_room(node) for node in _modules(thing)}
        if not modules:
            raise InputError("objects", "be models of hfsim, or cards", type(thing).__name__)
        for entry in _references():
            if any(module == own or module.startswith(f"{own}.") for own in entry["modules"] for module in modules):
                found.append(entry["text"])
    return list(dict.fromkeys(found))


def _references() -> list[dict[str, Any]]:
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
