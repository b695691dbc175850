"""A design: which parameters of a model are free, within which bounds, tied how, and on which manufacturing grid.

The free parameters become one vector of unbounded numbers,

    z = logit[(x - low)/(high - low)],      of ln x where the parameter is logarithmic

so that any step of any optimiser stays inside the bounds, and `value_and_grad` of an objective is that of the model.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from hfsim.errors import InputError
from hfsim.parameters import ParameterSpec, from_free, parameters, to_free


class Variable(NamedTuple):
    """A free parameter.

    Args:
        name: dotted, as `hfsim.parameters.parameters` says it: "drive.V_SL".
        low, high: its bounds in its own unit; None takes those of its declaration, and of what is tied to it.
        grid: manufacturing step: made values are whole multiples of it; None makes any.
    """

    name: str
    low: float | None = None
    high: float | None = None
    grid: float | None = None


class Tie(NamedTuple):
    """A parameter that follows a free one: `name` = `factor` times `source`; both stay inside their bounds."""

    name: str
    source: str
    factor: float = 1.0


class Design:
    """Free parameters of a model.

    Args:
        model: a tree of models with declared parameters; its values are where a search begins.
        variables: what is free.
        ties: what follows.

    Raises:
        InputError: a name that the model does not have, or twice; bounds that are empty, wider than the declared ones
            or do not hold the model's value; a grid without a multiple inside the bounds; a tie to what is not free,
            by a factor of 0, or of another shape.
    """

    def __init__(self, model: Any, variables: Sequence[Variable], ties: Sequence[Tie] = ()):
        self.model, self.variables, self.ties = model, tuple(variables), tuple(ties)
        known = {name: (spec, value) for name, spec, value in parameters(model)}
        if not self.variables:
            raise InputError("variables", "hold at least one free parameter", "none")
        names = [x.name for x in (*self.variables, *self.ties)]
        for name in names:
            if name not in known:
                raise InputError("variables", f"name parameters of the model, such as {', '.join(known)}", name)
            if names.count(name) > 1:
                raise InputError("variables", "name each parameter once", name)
        declared = {x.name: known[x.name][0] for x in self.variables}
        for tie in self.ties:
            if tie.source not in declared:
                raise InputError("ties", "follow a free parameter", f"{tie.name} follows {tie.source}")
            declared[tie.source] = _narrowed(tie, declared[tie.source], known)
        self.specs = {x.name: _bounds(x, declared[x.name], known[x.name][1]) for x in self.variables}
        self._shapes = {x.name: np.shape(known[x.name][1]) for x in self.variables}
        self._ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes.values()])
        self.programs: dict[str, Callable[..., Any]] = {}  # that searches have compiled for it

    @property
    def labels(self) -> list[str]:
        """One for each free number: the parameter's name, and its place in it where it is an array."""
        return [
            name if shape == () else f"{name}[{', '.join(map(str, place))}]"
            for name, shape in self._shapes.items()
            for place in np.ndindex(shape)
        ]

    @property
    def units(self) -> list[str]:
        """Of each free number."""
        return [self.specs[label.partition("[")[0]].unit for label in self.labels]

    def of(self, model: Any) -> "Design":
        """The same free parameters of another model of the same structure, whose values may be traced."""
        other = copy.copy(self)
        other.model, other.programs = model, {}
        return other

    def start(self) -> Float[Array, " free"]:
        """The free numbers of the model as it is given."""
        return self.free_of(self.model)

    def free_of(self, model: Any) -> Float[Array, " free"]:
        """The free numbers of a model of the same structure."""
        values = [to_free(_at(model, name), spec) for name, spec in self.specs.items()]
        return jnp.concatenate([jnp.ravel(value) for value in values])

    def random(self, key, number: int) -> Float[Array, "number free"]:
        """Free numbers of designs spread evenly (in ln x where logarithmic) over the bounds."""
        share = jax.random.uniform(key, (number, int(self._ends[-1])), minval=1e-3, maxval=1 - 1e-3)
        return jnp.log(share) - jnp.log1p(-share)

    def values(self, z: Float[Array, " free"]) -> dict[str, Float[Array, "..."]]:
        """Value of each free parameter, in its unit."""
        parts = jnp.split(z, self._ends[:-1])
        return {
            name: from_free(part.reshape(self._shapes[name]), spec)
            for part, (name, spec) in zip(parts, self.specs.items(), strict=True)
        }

    def model_of(self, z: Float[Array, " free"]) -> Any:
        """The model with these free numbers; differentiable."""
        return self.with_values(self.values(z))

    def with_values(self, values: Mapping[str, Any]) -> Any:
        """The model with these values of its free parameters, ties followed."""
        values = dict(values) | {tie.name: tie.factor * jnp.asarray(values[tie.source]) for tie in self.ties}
        names = list(values)
        return eqx.tree_at(
            lambda m: [_at(m, name) for name in names],
            self.model,
            [jnp.asarray(values[name], _at(self.model, name).dtype) for name in names],
        )

    def made(self, z: Float[Array, " free"]) -> dict[str, np.ndarray]:
        """Values on the manufacturing grid: the nearest multiple of each step inside the bounds."""
        found = {}
        for variable in self.variables:
            value = np.asarray(self.values(z)[variable.name])
            if variable.grid is not None:
                spec = self.specs[variable.name]
                low, high = np.ceil(spec.lower / variable.grid), np.floor(spec.upper / variable.grid)
                value = variable.grid * np.clip(np.round(value / variable.grid), low, high)
            found[variable.name] = value
        return found


def _narrowed(tie: Tie, spec: ParameterSpec, known: Mapping[str, tuple[ParameterSpec, Any]]) -> ParameterSpec:
    """The declaration of a tie's source, with bounds that keep what follows inside its own."""
    follower, shape, source = known[tie.name][0], np.shape(known[tie.name][1]), np.shape(known[tie.source][1])
    if shape != source:
        raise InputError("ties", "join parameters of one shape", f"{tie.name}: {shape}, {tie.source}: {source}")
    if tie.factor == 0 or not np.isfinite(tie.factor):
        raise InputError("ties", "have a finite factor that is not 0", f"{tie.name}: {tie.factor}")
    low, high = sorted((follower.lower / tie.factor, follower.upper / tie.factor))
    return spec._replace(lower=max(spec.lower, low), upper=min(spec.upper, high))


def _bounds(variable: Variable, spec: ParameterSpec, value: Any) -> ParameterSpec:
    """The declaration of a parameter with the variable's bounds."""
    low = spec.lower if variable.low is None else float(variable.low)
    high = spec.upper if variable.high is None else float(variable.high)
    name = variable.name
    if not low < high:
        raise InputError(name, "have a lower bound below the upper one", f"[{low:g}, {high:g}] {spec.unit}")
    if low < spec.lower or high > spec.upper:
        raise InputError(
            name, f"be bounded within [{spec.lower:g}, {spec.upper:g}] {spec.unit}", f"[{low:g}, {high:g}]", spec.doc
        )
    if not np.all((np.asarray(value) >= low) & (np.asarray(value) <= high)):
        raise InputError(name, f"begin inside [{low:g}, {high:g}] {spec.unit}", f"{np.asarray(value)}")
    if variable.grid is not None:
        if not variable.grid > 0:
            raise InputError(name, "have a grid above 0", variable.grid)
        if np.floor(high / variable.grid) < np.ceil(low / variable.grid):
            raise InputError(name, f"have a multiple of its grid of {variable.grid:g} in [{low:g}, {high:g}]", "none")
    return spec._replace(lower=low, upper=high)


def _at(model: Any, name: str) -> Any:
    """The leaf of a dotted name."""
    for part in name.split("."):
        if isinstance(model, dict):
            model = model[part]
        elif isinstance(model, tuple | list) and part.isdigit():
            model = model[int(part)]
        else:
            model = getattr(model, part)
    return model


def require_matter(design: Design, judged: Callable[[Float[Array, " free"]], Any]) -> None:
    """Refuse an objective of a model that some free parameter cannot move, or that has no gradient anywhere.

    Read off the gradient at the start and at one design drawn inside the bounds.

    Args:
        design: what is free.
        judged: free numbers -> (value, gradient) of the objective, compiled.

    Raises:
        InputError: a parameter that the objective does not use, or whose slope is lost in a decision without an
            estimator.
    """
    value, gradient = map(np.asarray, judged(design.start()))
    other = np.asarray(judged(design.random(jax.random.key(0), 1)[0])[1])
    if not np.isfinite(value):
        raise InputError("objective", "be finite at the start", value)
    for label, slopes in zip(design.labels, zip(gradient, other, strict=True), strict=True):
        if not np.isfinite(slopes[0]):
            raise InputError("objective", f"have a finite slope in {label} at the start", f"{slopes[0]}")
        if not np.any(slopes):
            raise InputError(
                "variables",
                f"matter: the objective has no slope in {label}",
                "0 at two designs",
                "leave it out, or give decisions of the objective an estimator",
            )
