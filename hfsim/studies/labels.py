"""Names, units and dimensions of what an experiment returns."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hfsim.errors import InputError
from hfsim.io.store import RESERVED, Coordinate, Variable
from hfsim.units import duration, parse_unit

_TEXTS = "UT"  # kinds of numpy's arrays of texts


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
    """Dotted name of each leaf of a tree of results; "value" for a single array.

    Raises:
        InputError: two leaves of one name, as {"a.b": ..., "a": {"b": ...}} has.
    """
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(results)]
    names = [jax.tree_util.keystr(path, simple=True, separator=".") or "value" for path in paths]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise InputError("experiment", "return outputs of different names", f"{', '.join(twice)} twice")
    return names


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
            labels that are neither numbers nor texts or of another length, a unit that is none, a reserved name, two
            outputs of one name.
    """
    leaves = dict(zip(output_names(results), jax.tree.leaves(results), strict=True))
    _require_known("outputs", outputs, leaves)
    units = getattr(results, "UNITS", {})
    found, sizes = {}, {}
    for name, leaf in leaves.items():
        said = outputs.get(name, Output(units.get(name, "")))
        if not isinstance(said.dims, tuple | list) or not all(isinstance(dim, str) for dim in said.dims):
            raise InputError(f"outputs.{name}.dims", "be a list of names", repr(said.dims))
        if not isinstance(said.doc, str):
            raise InputError(f"outputs.{name}.doc", "be a text", repr(said.doc))
        dims = tuple(said.dims) or tuple(f"{name}_{axis}" for axis in range(leaf.ndim))
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
        values = _label_array(coordinate.values)
        if values is None:
            raise InputError(f"coordinates.{dim}", "be numbers or texts in a row", repr(coordinate.values))
        if values.shape != (sizes[dim],):
            raise InputError(f"coordinates.{dim}", f"be {sizes[dim]} labels", f"of shape {values.shape}")
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
        wanted, text = _label_array(label), labels.dtype.kind in _TEXTS
        close = np.zeros(size, bool)
        if wanted is not None and wanted.shape == () and (wanted.dtype.kind in _TEXTS) == text:
            close = labels == wanted if text else np.isclose(labels, wanted, rtol=1e-6, atol=0)
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


def labels_text(coordinate: Coordinate) -> str:
    """What tells the labels of a dimension from any others: first and last, how many, a digest of all, the unit."""
    labels = np.asarray(coordinate.values).tolist()
    digest = hashlib.sha256(json.dumps(labels).encode()).hexdigest()[:8]
    ends = f"{labels[0]} to {labels[-1]}" if labels else "none"
    return f"{ends}, {len(labels)} labels ({digest}), in {coordinate.unit}"


def _label_array(labels: Any) -> np.ndarray | None:
    """Labels, or one of them, as an array of numbers or texts; None where they are neither."""
    try:
        found = np.asarray(labels)
    except (TypeError, ValueError):  # rows of several lengths
        return None
    return found if found.dtype.kind in "biuf" + _TEXTS else None


def _label(label: Any, unit: str) -> str:
    if isinstance(label, str):
        return label
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
