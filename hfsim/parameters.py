"""Physical parameters: a unit, bounds and a meaning for each, and a way to optimise inside the bounds.

A device is an equinox module whose numbers are declared with `parameter`. The declaration is the one
place that holds the unit, the bounds and the meaning; construction refuses what crosses them, device
cards are checked against them, and `free` and `bounded` map a model to unconstrained numbers and back:

    free_values = free(capacitor)          # any real number is allowed here
    capacitor = bounded(free_values)       # always inside the bounds
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from hfsim import display
from hfsim.errors import InputError
from hfsim.units import parse_unit

_KEY = "hfsim.parameter"


class ParameterSpec(NamedTuple):
    """What is declared of a parameter: unit, inclusive bounds, meaning, the scale of its free form, may it be None."""

    unit: str
    lower: float
    upper: float
    doc: str
    logarithmic: bool
    optional: bool


def _as_array(value: Any) -> Any:
    if value is None:
        return None  # refused by name in `__check_init__` where it may not be
    if isinstance(value, jax.Array):
        return value.astype(float) if jnp.issubdtype(value.dtype, jnp.integer) else value
    if isinstance(value, str):
        return value  # numpy would read "1.5" as a number
    try:
        return jnp.asarray(value, dtype=jnp.result_type(float))
    except (TypeError, ValueError, OverflowError):
        return value  # refused by name in `__check_init__`


def parameter(
    *,
    unit: str,
    doc: str,
    bounds: tuple[float | None, float | None] = (None, None),
    logarithmic: bool = False,
    default: Any = dataclasses.MISSING,
) -> Any:
    """Declare a continuous physical parameter of a `PhysicalModel`.

    Args:
        unit: its unit, one of hfsim's unit system.
        doc: one line of meaning.
        bounds: inclusive (lower, upper); None where there is none.
        logarithmic: whether its free form is in ln(value); needs a positive lower bound.
        default: the value when none is given. None says that the parameter may be missing: what it describes is then
            left out, at no cost.
    """
    parse_unit(unit)
    lower = -np.inf if bounds[0] is None else float(bounds[0])
    upper = np.inf if bounds[1] is None else float(bounds[1])
    if not lower < upper:
        raise InputError("bounds", "be (lower, upper) with lower below upper", bounds)
    if logarithmic and not lower > 0:
        raise InputError("bounds", "have a positive lower end for a logarithmic parameter", bounds)
    metadata = {_KEY: ParameterSpec(unit, lower, upper, doc, logarithmic, default is None)}
    options = {} if default is dataclasses.MISSING else {"default": default}
    return eqx.field(converter=_as_array, metadata=metadata, **options)


class PhysicalModel(eqx.Module):
    """Base of every model with declared parameters: refuses wrong values when it is built.

    Each parameter is a scalar or carries the devices' shape, so a population is the same module with
    larger leaves. Traced values (inside jit, vmap, grad) are not inspected.

    Raises:
        InputError: a parameter is not a number, not finite, outside its bounds, or of a shape that does not
            broadcast with the others.
    """

    def __check_init__(self):
        shape: tuple[int, ...] = ()
        for name, spec in specifications(type(self)).items():
            if spec.optional and getattr(self, name) is None:
                continue
            path, value = f"{type(self).__name__}.{name}", getattr(self, name)
            _check_value(path, value, spec)
            try:
                shape = np.broadcast_shapes(shape, np.shape(value))
            except ValueError as error:
                raise InputError(
                    path, f"be a scalar or of the devices' shape {shape}", f"of shape {np.shape(value)}"
                ) from error

    def _repr_html_(self) -> str:
        """Name, value, unit and meaning of every parameter, as Jupyter shows it."""
        rows = []
        for name, spec, value in parameters(self):
            traced = isinstance(value, Tracer)
            rows.append([name, str(value) if traced else display.number(value), spec.unit, spec.doc])
        return display.table(type(self).__name__, ["parameter", "value", "unit", "meaning"], rows)


def _check_value(name: str, value: Any, spec: ParameterSpec) -> None:
    if isinstance(value, Tracer):
        return
    if not eqx.is_array_like(value) or not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        raise InputError(name, f"be a real number or array of them, in {spec.unit}", repr(value))
    values = np.asarray(value)
    if not np.all(np.isfinite(values)):
        raise InputError(name, "be finite", values if values.ndim == 0 else "an array with NaN or infinity")
    # a bound written in decimals must admit itself after rounding to the value's own precision
    lower, upper = values.dtype.type(spec.lower), values.dtype.type(spec.upper)
    bad = values[(values < lower) | (values > upper)]
    if bad.size:
        raise InputError(name, f"lie in [{spec.lower:g}, {spec.upper:g}] {spec.unit}", f"{bad.flat[0]:g}", spec.doc)


def specifications(model: type) -> dict[str, ParameterSpec]:
    """The declared parameters of a `PhysicalModel` class, by name."""
    return {f.name: f.metadata[_KEY] for f in dataclasses.fields(model) if _KEY in f.metadata}


def parameters(model: Any, prefix: str = "") -> Iterator[tuple[str, ParameterSpec, Any]]:
    """Yield (dotted name, specification, value) of every parameter in a tree of models."""
    if isinstance(model, eqx.Module):
        specs = specifications(type(model))
        for field in dataclasses.fields(model):
            value = getattr(model, field.name)
            if value is None:
                continue
            if field.name in specs:
                yield prefix + field.name, specs[field.name], value
            else:
                yield from parameters(value, f"{prefix}{field.name}.")
    elif isinstance(model, tuple | list):
        for index, item in enumerate(model):
            yield from parameters(item, f"{prefix}{index}.")
    elif isinstance(model, dict):
        for key, item in model.items():
            yield from parameters(item, f"{prefix}{key}.")


class Free(eqx.Module):
    """A model whose parameters have been moved to the whole real line; made by `free`.

    `values` has the structure of the model, so optax can step it; it is no physical model until
    `bounded` brings it back.
    """

    values: Any


def to_free(value, spec: ParameterSpec):
    """The free form of a value inside its bounds: any real number."""
    value = jnp.asarray(value)
    tiny = jnp.finfo(value.dtype).eps
    lower, upper = spec.lower, spec.upper
    if spec.logarithmic:
        value, lower, upper = jnp.log(value), np.log(lower), np.log(upper)
    if np.isfinite(lower) and np.isfinite(upper):
        span = upper - lower
        share = jnp.clip((value - lower) / span, tiny / max(span, 1.0), 1 - tiny)
        return jnp.log(share) - jnp.log1p(-share)
    if np.isfinite(lower):
        gap = jnp.maximum(value - lower, tiny)
        return gap + jnp.log(-jnp.expm1(-gap))
    if np.isfinite(upper):
        gap = jnp.maximum(upper - value, tiny)
        return -(gap + jnp.log(-jnp.expm1(-gap)))
    return value


def from_free(value, spec: ParameterSpec):
    """Undo `to_free`."""
    lower, upper = spec.lower, spec.upper
    if spec.logarithmic:
        lower, upper = np.log(lower), np.log(upper)
    if np.isfinite(lower) and np.isfinite(upper):
        value = lower + (upper - lower) * jax.nn.sigmoid(value)
    elif np.isfinite(lower):
        value = lower + jax.nn.softplus(value)
    elif np.isfinite(upper):
        value = upper - jax.nn.softplus(-value)
    if spec.logarithmic:
        value = jnp.exp(jnp.minimum(value, np.log(jnp.finfo(value.dtype).max) * 0.99))
    return jnp.clip(value, spec.lower, spec.upper)  # rounding at the ends must not cross a bound


def _map_parameters(transform, model: Any) -> Any:
    if isinstance(model, eqx.Module):
        specs = specifications(type(model))
        names = [f.name for f in dataclasses.fields(model) if not f.metadata.get("static", False)]
        old = [getattr(model, name) for name in names]
        new = [
            transform(value, specs[name]) if name in specs and value is not None else _map_parameters(transform, value)
            for name, value in zip(names, old, strict=True)
        ]
        if not names:
            return model
        return eqx.tree_at(lambda m: [getattr(m, name) for name in names], model, new, is_leaf=lambda x: x is None)
    if isinstance(model, dict):
        return {key: _map_parameters(transform, item) for key, item in model.items()}
    if isinstance(model, tuple | list):
        items = [_map_parameters(transform, item) for item in model]
        return type(model)(*items) if hasattr(model, "_fields") else type(model)(items)
    return model


def free(model: Any) -> Free:
    """Map every bounded parameter of `model` to the real line.

    Two bounds: logit of the position between them. One bound: inverse softplus of the distance to it.
    A logarithmic parameter: the same in ln(value). A value at its bound moves inside by one rounding
    error, so that its free form is finite.
    """
    return Free(_map_parameters(to_free, model))


def bounded(values: Free) -> Any:
    """Undo `free`: the model whose parameters are inside their bounds whatever finite step was taken."""
    if not isinstance(values, Free):
        raise InputError("values", "be what `free` returned", type(values).__name__)
    return _map_parameters(from_free, values.values)
