"""Names, units and dimensions of what an experiment returns."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hfsim.errors import InputError
from hfsim.io.store import RESERVED, Coordinate, Variable
from hfsim.units import duration, parse_unit


class Output(NamedTuple):
    """What one output of an experiment is.

    Args:
        unit: one of hfsim's unit system; "" where it is not stated.
        dims: name of each of its axes.
        doc: one line of meaning.
    """

    unit: str = ""
    dims: tuple[str, ...] = ()
    doc: str = ""


def output_names(results: Any) -> list[str]:
    """Dotted name of each leaf of a tree of results; "value" for a single array."""
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(results)]
    return [jax.tree_util.keystr(path, simple=True, separator=".") or "value" for path in paths]


def labels_of(
    experiment: Any, outputs: Mapping[str, Output] | None, coordinates: Mapping[str, Coordinate] | None
) -> tuple[dict[str, Output], dict[str, Coordinate]]:
    """What is given of outputs and coordinates; in place of None the experiment's attributes of these names."""
    own: Any = [getattr(experiment, name, {}) for name in ("outputs", "coordinates")]
    return dict(own[0] if outputs is None else outputs), dict(own[1] if coordinates is None else coordinates)


def labelled(results: Any, outputs: Mapping[str, Output], coordinates: Mapping[str, Coordinate]) -> dict[str, Variable]:
    """How each output is stored.

    Without dimensions of its own an output's axes are called NAME_0, NAME_1, ...; a named tuple with `UNITS` brings
    its units along.

    Args:
        results: one chip's, shapes and types alone.
        outputs: by name.
        coordinates: labels of dimensions.

    Raises:
        InputError: an output or a dimension that is not there, another number of axes, two sizes of one dimension,
            labels of another length, a unit that is none, a reserved name.
    """
    leaves = dict(zip(output_names(results), jax.tree.leaves(results), strict=True))
    _require_known("outputs", outputs, leaves)
    units = getattr(results, "UNITS", {})
    found, sizes = {}, {}
    for name, leaf in leaves.items():
        said = outputs.get(name, Output(units.get(name, "")))
        dims = said.dims or tuple(f"{name}_{axis}" for axis in range(leaf.ndim))
        if len(dims) != leaf.ndim or len(set(dims)) < leaf.ndim:
            raise InputError(f"outputs.{name}.dims", f"name the {leaf.ndim} axes of {leaf.shape}", said.dims)
        for dim, size in zip(dims, leaf.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise InputError(f"outputs.{name}.dims", f"have {dim} of one size", f"{sizes[dim]} and {size}")
        attributes = {"long_name": said.doc} if said.doc else {}
        if said.unit:
            parse_unit(said.unit)
            attributes["units"] = said.unit
        found[name] = Variable(dims, leaf.shape, stored_type(leaf.dtype), attributes)
    _require_known("coordinates", coordinates, sizes)
    for dim, coordinate in coordinates.items():
        if np.shape(coordinate.values) != (sizes[dim],):
            raise InputError(f"coordinates.{dim}", f"be {sizes[dim]} labels", f"of shape {np.shape(coordinate.values)}")
        parse_unit(coordinate.unit)
    taken = [name for name in (*leaves, *sizes) if name in RESERVED or "/" in name]
    if taken or set(leaves) & set(sizes):
        must = f"have names without a slash, beside {', '.join(RESERVED)}, and other ones than dimensions"
        raise InputError("experiment", must, ", ".join(taken or set(leaves) & set(sizes)))
    return found


def places(at: Mapping[str, Any], variable: Variable, coordinates: Mapping[str, Coordinate]) -> tuple[Any, ...]:
    """Index of the elements of an output at labels of its dimensions; all along a dimension that is not named.

    Raises:
        InputError: a dimension or a label that it does not have.
    """
    index: list[Any] = [slice(None)] * len(variable.dims)
    for dim, label in at.items():
        if dim not in variable.dims:
            raise InputError("at", f"name dimensions ({', '.join(variable.dims) or 'none here'})", repr(dim))
        size = variable.shape[variable.dims.index(dim)]
        labels = np.asarray(coordinates[dim].values if dim in coordinates else np.arange(size))
        close = labels == label if labels.dtype.kind in "UT" else np.isclose(labels, label, rtol=1e-6, atol=0)
        if not np.any(close):
            raise InputError(f"at.{dim}", f"be one of {', '.join(map(str, labels.tolist()))}", repr(label))
        index[variable.dims.index(dim)] = int(np.argmax(close))
    return tuple(index)


def element_labels(variable: Variable, coordinates: Mapping[str, Coordinate]) -> list[str]:
    """What tells the elements of an output apart, as " (time 1 h)"; empty for one number."""
    found = []
    for place in np.ndindex(variable.shape):
        words = []
        for dim, number in zip(variable.dims, place, strict=True):
            label, unit = number, ""
            if dim in coordinates:
                label, unit = coordinates[dim].values[number], coordinates[dim].unit
            words.append(f"{dim} {_label(label, unit)}")
        found.append(f" ({', '.join(words)})" if words else "")
    return found


def _label(label: Any, unit: str) -> str:
    if unit == "s" and label >= 1:
        return duration(float(label))
    text = f"{label:g}" if isinstance(label, float | np.floating) else str(label)
    return text if unit in ("", "1") else f"{text} {unit}"


def stored_type(dtype: Any) -> np.dtype:
    """The numpy type in which numbers of `dtype` are stored: half precision as single."""
    short = jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32
    return np.dtype(np.float32 if short else dtype)


def _require_known(argument: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for name in given:
        if name not in known:
            raise InputError(argument, f"be of {', '.join(known) or 'nothing'}", repr(name), "check its spelling")
