"""The modules of a flax network by path, and a network with some of them replaced.

A path is "features.layers.0": attributes, places in lists and tuples, keys of dictionaries. flax's own walk over a
graph names a shared module once and cannot replace what it passes.
"""

from collections.abc import Callable
from typing import Any

from flax import nnx


def children(node: Any) -> list[tuple[str, Any]]:
    """What a module or a container holds, by name."""
    if isinstance(node, nnx.Module):
        return [(name, value) for name, value in vars(node).items() if not name.startswith("_pytree__")]
    if isinstance(node, dict):
        return [(str(name), value) for name, value in node.items()]
    return [(str(number), value) for number, value in enumerate(node)] if isinstance(node, list | tuple) else []


def modules(root: Any) -> dict[str, Any]:
    """Every module by its path, a shared one by each of its paths; the network itself has the path ""."""
    found: dict[str, Any] = {}

    def walk(path: str, node: Any, above: tuple[int, ...]) -> None:
        if id(node) in above:  # a module that refers to one above it
            return
        if isinstance(node, nnx.Module):
            found[path] = node
        for name, child in children(node):
            walk(f"{path}.{name}" if path else name, child, (*above, id(node)))

    walk("", root, ())
    return found


def uses(root: Any) -> dict[int, int]:
    """In how many places each module stands, by identity."""
    count: dict[int, int] = {}

    def walk(node: Any) -> None:
        if isinstance(node, nnx.Module):
            count[id(node)] = count.get(id(node), 0) + 1
            if count[id(node)] > 1:
                return
        for _, child in children(node):
            walk(child)

    walk(root)
    return count


def mapped(root: Any, change: Callable[[str, Any], Any]) -> Any:
    """The network in which `change(path, module)` takes a module's place; None looks into it. In place.

    A shared module is changed once, at its first path.
    """
    done: dict[int, tuple[Any, Any]] = {}  # the old module stays alive, and so keeps its identity to itself

    def walk(path: str, node: Any) -> Any:
        if id(node) in done:
            return done[id(node)][1]
        if isinstance(node, nnx.Module):
            new = change(path, node)
            done[id(node)] = node, node if new is None else new
            if new is not None:
                return new
        pairs = children(node)
        new = [walk(f"{path}.{name}" if path else name, child) for name, child in pairs]
        moved = [(name, after) for (name, before), after in zip(pairs, new, strict=True) if after is not before]
        if not moved:
            return node
        if isinstance(node, nnx.Module):
            for name, after in moved:
                setattr(node, name, after if isinstance(after, nnx.Module) else nnx.data(after))
            return node
        if isinstance(node, dict):
            return type(node)(zip(node, new, strict=True))
        return type(node)(*new) if hasattr(node, "_fields") else type(node)(new)

    return walk("", root)
