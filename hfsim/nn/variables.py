"""Kinds of variables in an analogue network, and equinox models as such variables.

    AnalogWeight   what devices hold: an on-chip rule or a memory changes it          nnx.split(net, AnalogWeight, ...)
    nnx.Param      digital and trained: biases, norms, learned scales and converters  (AnalogWeight is one of these too)
    Frozen         digital or physical, and left alone: scales, converters, read noise

flax does not look into an equinox module for what it trains: each array of it is lifted to a variable of its own, and
lowered again where it is used.
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx

from hfsim.errors import InputError


class AnalogWeight(nnx.Param):
    """Weights as devices hold them: their read-out, a pure number of about [-1, 1], (*arrays, inputs, outputs)."""


class Frozen(nnx.Variable):
    """A number that training leaves alone."""


def lifted(model: Any, learned: Sequence[str] = ()) -> Any:
    """An equinox model whose arrays are variables: `nnx.Param` where `learned`, else `Frozen`.

    Args:
        model: any tree of arrays.
        learned: dotted names of arrays ("kernel.adc.range"), or of parts of which all floating arrays are learned.

    Raises:
        InputError: a name that fits no floating array.
    """
    unused = set(learned)

    def lift(path, leaf):
        if not eqx.is_array_like(leaf):
            return leaf
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        fits = [wanted for wanted in learned if name == wanted or name.startswith(wanted + ".")]
        if fits and jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            unused.difference_update(fits)
            return nnx.Param(jnp.asarray(leaf))
        return Frozen(jnp.asarray(leaf))

    result = jax.tree_util.tree_map_with_path(lift, model)
    if unused:
        names = [jax.tree_util.keystr(p, simple=True, separator=".") for p, _ in jax.tree.leaves_with_path(model)]
        raise InputError("learned", f"hold names of {', '.join(names)}", ", ".join(sorted(unused)))
    return nnx.data(result)


def lowered(model: Any) -> Any:
    """The equinox model again, of the variables' present values."""

    def is_variable(leaf):
        return isinstance(leaf, nnx.Variable)

    return jax.tree.map(lambda leaf: leaf.get_value() if is_variable(leaf) else leaf, model, is_leaf=is_variable)
