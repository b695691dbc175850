"""Populations: any parameter of any model spread over devices, correlated, graded over a wafer; and devices that fail.

Each spread parameter has one standard normal z per device, drawn at the address (key, parameter's dotted name), so
another parameter's spread changes nothing here. z becomes a value by the quantile of the distribution:

    normal      m + s z                      relative: m (1 + s z)
    truncated   m + s Phi^-1[Phi(-c) + (Phi(c) - Phi(-c)) Phi(z)]   (within c s; its deviation is below s)
    lognormal   m exp(s z)                   m is the median, s the deviation of the logarithm
    uniform     m + s (2 Phi(z) - 1)         s is half of the width
    Weibull     m [-ln(1 - Phi(z))]^(1/k)    m is the scale: 63.2 % lie below

where m is the model's own value. Correlation acts on z (a Gaussian copula: A. Sklar, Publ. Inst. Statist. Univ. Paris
8, 229 (1959); R. B. Nelsen, An Introduction to Copulas, Springer 2006): z = L n with L L^T the correlation matrix, so
the matrix holds the correlations of z, equal to those of the values where these are normal and close to them
elsewhere. Over a wafer m follows m [1 + g_x X + g_y Y + g_r (X^2 + Y^2)], die coordinates in wafer radii.

Devices of one chip have a part in common (`ChipPart`): of n minimum cells in parallel, whose own parts average,

    z = sqrt(c) z_chip + sqrt((1 - c)/n) z_device,      c the chip's share of the variance of one cell

one call of `draw` being one chip: z_chip is one number, drawn at (key, "chip of " + name). Correlations act on z, so
they are those of both parts.

Values are reparameterised: m, s, k, c, the correlations and the gradients over the wafer have exact derivatives. A
value beyond its parameter's declared bounds is set to the bound, where its derivative is zero; `Population.draw` counts
how many were.
"""

import abc
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.scipy.special import log_ndtr, ndtr, ndtri
from jaxtyping import Array, Float, Int, Key

from hfsim.cards import GRADIENT, SPREAD, Card
from hfsim.devices.interface import AbstractMemristor
from hfsim.draws import normal, require_key, stream
from hfsim.errors import InputError
from hfsim.estimators import AbstractEstimator
from hfsim.parameters import ParameterSpec, PhysicalModel, parameter, parameters
from hfsim.units import ROOM_TEMPERATURE

_LEAST = 1e-30  # of -ln(1 - Phi(z)), whose logarithm the Weibull quantile takes


class AbstractDistribution(PhysicalModel):
    """How a parameter is spread around the model's own value."""

    kind: ClassVar[str]

    @abc.abstractmethod
    def value(self, m: Float[Array, "..."], z: Float[Array, "..."]) -> Float[Array, "..."]:
        """The quantile at the standard normal z around the model's value m."""


class Normal(AbstractDistribution):
    """m + s z, with s in the parameter's unit."""

    kind = "normal"
    s: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, None), doc="standard deviation, in the parameter's unit")

    def value(self, m, z):
        return m + self.s * z


class RelativeNormal(AbstractDistribution):
    """m (1 + s z)."""

    kind = "relative normal"
    s: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, None), doc="standard deviation over the model's value")

    def value(self, m, z):
        return m * (1 + self.s * z)


class TruncatedNormal(AbstractDistribution):
    """A normal distribution cut at +-c s, with s in the parameter's unit."""

    kind = "truncated normal"
    s: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, None), doc="deviation before the cut, parameter's unit")
    c: Float[Array, "..."] = parameter(unit="1", bounds=(0.1, 5.0), doc="cut, in deviations", default=3.0)

    def value(self, m, z):
        low = ndtr(-self.c)
        return m + self.s * ndtri(low + (1 - 2 * low) * ndtr(z))


class LogNormal(AbstractDistribution):
    """m exp(s z)."""

    kind = "lognormal"
    s: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 5.0), doc="standard deviation of the logarithm")

    def value(self, m, z):
        return m * jnp.exp(self.s * z)


class Uniform(AbstractDistribution):
    """m +- s, with s in the parameter's unit."""

    kind = "uniform"
    s: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, None), doc="half of the width, in the parameter's unit")

    def value(self, m, z):
        return m + self.s * (2 * ndtr(z) - 1)


class Weibull(AbstractDistribution):
    """m [-ln(1 - u)]^(1/k), u uniform."""

    kind = "weibull"
    s: Float[Array, "..."] = parameter(unit="1", bounds=(0.1, 100.0), doc="shape k (Weibull slope)")

    def value(self, m, z):
        return m * jnp.exp(jnp.log(jnp.maximum(-log_ndtr(-z), _LEAST)) / self.s)


DISTRIBUTIONS: dict[str, Callable[[Any], AbstractDistribution]] = {
    c.kind: c for c in (Normal, RelativeNormal, TruncatedNormal, LogNormal, Uniform, Weibull)
}
"""The kinds that a card names."""
_IN_UNIT = ("normal", "truncated normal", "uniform")  # their s is in the parameter's unit, the others' a pure number


class Correlation(PhysicalModel):
    """Correlations between the standard normals of some parameters.

    A parameter's draw is mixed with those named before it alone, so naming one more at the end changes no other.
    """

    matrix: Float[Array, "n n"] = parameter(unit="1", bounds=(-1.0, 1.0), doc="correlation matrix, in order of `names`")
    names: tuple[str, ...] = eqx.field(static=True, default=())

    def __check_init__(self):
        n = len(self.names)
        if n < 2 or len(set(self.names)) < n:
            raise InputError("names", "be two or more different parameters", repr(self.names))
        if jnp.shape(self.matrix) != (n, n):
            raise InputError("matrix", f"be of shape ({n}, {n})", f"of shape {jnp.shape(self.matrix)}")
        if isinstance(self.matrix, Tracer):
            return
        matrix = np.asarray(self.matrix, np.float64)
        if not np.allclose(matrix, matrix.T, atol=1e-6) or not np.allclose(np.diag(matrix), 1.0, atol=1e-6):
            raise InputError("matrix", "be symmetric with ones on its diagonal", matrix.tolist())
        if np.linalg.eigvalsh(matrix)[0] <= 1e-6:
            raise InputError("matrix", "be positive definite", matrix.tolist(), "weaken its correlations")

    @classmethod
    def pair(cls, one: str, other: str, rho: Float[Array, ""] | float) -> "Correlation":
        """Of two parameters: `rho` may be traced, so that a gradient by it keeps the matrix symmetric.

        Args:
            one, other: dotted names.
            rho: correlation of their normals, inside (-1, 1).

        Raises:
            InputError: as for a matrix.
        """
        rho = jnp.asarray(rho, jnp.result_type(float))
        unity = jnp.ones_like(rho)
        return cls(jnp.stack([jnp.stack([unity, rho]), jnp.stack([rho, unity])]), (one, other))

    def mixed(self, independent: list[Float[Array, "..."]]) -> Float[Array, "n ..."]:
        """L n, for the independent normals n in order of `names`."""
        return jnp.einsum("ij,j...->i...", jnp.linalg.cholesky(self.matrix), jnp.stack(independent))


class WaferGradient(PhysicalModel):
    """A trend over the wafer: m [1 + x X + y Y + radial (X^2 + Y^2)], coordinates of the die in wafer radii."""

    x: Float[Array, "..."] = parameter(unit="1", bounds=(-0.9, 0.9), doc="relative change from centre to edge along X")
    y: Float[Array, "..."] = parameter(unit="1", bounds=(-0.9, 0.9), doc="relative change from centre to edge along Y")
    radial: Float[Array, "..."] = parameter(unit="1", bounds=(-0.9, 10.0), doc="relative change from centre to edge")

    def factor(self, X, Y):
        """m over its value at the centre of the wafer."""
        return 1 + self.x * X + self.y * Y + self.radial * (X**2 + Y**2)


class ChipPart(PhysicalModel):
    """What the devices of one chip have in common, and how far the rest averages out in each."""

    share: Float[Array, ""] = parameter(
        unit="1", bounds=(0.0, 1.0), doc="of the variance of one minimum cell, the part that is the chip's"
    )
    cells: Float[Array, "..."] = parameter(
        unit="1", bounds=(1.0, 1e6), doc="minimum cells in parallel in each device", default=1.0
    )

    def mixed(self, of_chip: Float[Array, ""], of_device: Float[Array, "..."]) -> Float[Array, "..."]:
        """sqrt(c) z_chip + sqrt((1 - c)/n) z_device; at c = 0 and 1 the derivative by c is that of the other part."""
        return _root(self.share) * of_chip + _root(1 - self.share) * of_device / jnp.sqrt(self.cells)


def _root(x):
    """sqrt(x) of x >= 0, of slope 0 at 0 instead of an infinite one."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0)


class Draw(NamedTuple):
    """A sampled model, and for each spread parameter the number of its values that were set to a bound."""

    model: Any
    clipped: dict[str, Int[Array, ""]]


class Population(eqx.Module):
    """A model whose parameters are spread over devices.

        population = Population(cell, {"V_C": LogNormal(0.05), "G_reset": LogNormal(0.3)})
        cells = population.sample((128, 128), key)          # the same model with larger leaves

    Args:
        model: any tree of `PhysicalModel`s.
        spreads: distribution by the dotted name of the parameter, as `hfsim.parameters.parameters` gives it.
        correlations: groups of names that are also in `spreads`, each name in one group at most.
        gradients: trend over the wafer by dotted name; needs no entry in `spreads`.
        chip: by dotted name, what the devices of a chip have in common; each name also in `spreads`. Without it all
            of the spread is between devices.
    """

    model: Any
    spreads: dict[str, AbstractDistribution]
    correlations: tuple[Correlation, ...] = ()
    gradients: dict[str, WaferGradient] = eqx.field(default_factory=dict)
    chip: dict[str, ChipPart] = eqx.field(default_factory=dict)

    def __check_init__(self):
        known = [name for name, _, _ in parameters(self.model)]
        for argument, names in (("spreads", self.spreads), ("gradients", self.gradients)):
            for name in names:
                if name not in known:
                    raise InputError(f"{argument}", f"name parameters of the model ({', '.join(known)})", repr(name))
        for name in self.chip:
            if name not in self.spreads:
                raise InputError("chip", f"name spread parameters ({', '.join(self.spreads)})", repr(name))
        grouped = [name for group in self.correlations for name in group.names]
        for name in grouped:
            if name not in self.spreads:
                raise InputError("correlations", f"name spread parameters ({', '.join(self.spreads)})", repr(name))
            if grouped.count(name) > 1:
                raise InputError("correlations", "hold each parameter in one group", repr(name), "join the groups")

    @classmethod
    def from_card(cls, card: Card, model: Any, sections: Mapping[str, str]) -> "Population":
        """The population that a card declares.

        The section `NAME_spread` gives each parameter of the section NAME a `distribution` and its s (or k),
        `NAME_gradient` a list [x, y, radial], and the section `correlation` the correlation of a pair of spread
        parameters under the key "NAME.parameter NAME.parameter".

        Args:
            card: the card.
            model: a model built from it.
            sections: the card's section by the dotted place of its part in the model, "" being the model itself:
                {"": "ferroelectric_capacitor", "kinetics": "kinetics"}.

        Raises:
            InputError: a name is no parameter of the model, a unit is wrong, the pairs make no correlation matrix.
        """
        specs = {name: spec for name, spec, _ in parameters(model)}
        spreads, gradients, paths = {}, {}, {}
        for place, section in sections.items():
            prefix = f"{place}." if place else ""
            for name, entry in card.sections.get(section + SPREAD, {}).items():
                where = f"{section}{SPREAD}.{name}"
                spec = _require(specs, prefix + name, where)
                s = card.quantity(section + SPREAD, name, spec.unit if entry.distribution in _IN_UNIT else "1")
                spreads[prefix + name] = DISTRIBUTIONS[entry.distribution](s)
                paths[f"{section}.{name}"] = prefix + name
            for name in card.sections.get(section + GRADIENT, {}):
                where = f"{section}{GRADIENT}.{name}"
                _require(specs, prefix + name, where)
                value = card.quantity(section + GRADIENT, name, "1")
                if not isinstance(value, tuple) or len(value) != 3:
                    raise InputError(f"{where}.value", "be a list of three: [x, y, radial]", repr(value))
                gradients[prefix + name] = WaferGradient(*value)
        return cls(model, spreads, _correlation(card, paths), gradients)

    def draw(self, shape: tuple[int, ...], key: Key[Array, ""], *, dies: tuple[Any, Any] | None = None) -> Draw:
        """A population of `shape`, and how many values were set to a bound.

        Args:
            shape: the devices' shape.
            key: the population's address.
            dies: (X, Y) of the dies in wafer radii, each fitting `shape`; needed where there are gradients.

        Raises:
            InputError: gradients without `dies`.
        """
        return self.from_normals(shape, self.normals(shape, key), dies=dies)

    def normals(self, shape: tuple[int, ...], key: Key[Array, ""]) -> dict[str, Float[Array, "..."]]:
        """All that `draw` draws: independent standard normals of `shape` by parameter, and one for each chip part.

        A parameter's own have its dotted name, that of the chip is called "chip of " and the name.
        """
        require_key(key)
        dtypes = {name: value.dtype for name, _, value in parameters(self.model)}
        drawn = {name: normal(stream(key, f"spread of {name}"), shape, dtypes[name]) for name in self.spreads}
        return drawn | {c: normal(stream(key, c), (), dtypes[name]) for name, c in self._chip_parts().items()}

    def from_normals(
        self, shape: tuple[int, ...], normals: Mapping[str, Float[Array, "..."]], *, dies: tuple[Any, Any] | None = None
    ) -> Draw:
        """The population that these `normals` make, in place of drawn ones; see `draw`.

        For designs of experiments and for importance sampling, which choose the normals.
        """
        if self.gradients and dies is None:
            raise InputError("dies", "be given, as there are gradients over the wafer", "None", "pass (X, Y)")
        specs = {name: (spec, value) for name, spec, value in parameters(self.model)}
        z = self._mixed(normals)
        values, clipped = {}, {}
        for name in dict.fromkeys((*self.spreads, *self.gradients)):
            spec, m = specs[name]
            if name in self.gradients and dies is not None:
                X, Y = (jnp.asarray(d, m.dtype) for d in dies)
                m = m * self.gradients[name].factor(X, Y)
            value = self.spreads[name].value(m, z[name]) if name in self.spreads else m
            value = jnp.broadcast_to(value, shape)
            values[name], clipped[name] = _clip(value, spec)
        names = list(values)
        if not names:
            return Draw(self.model, {})
        model = eqx.tree_at(lambda tree: [_at(tree, name) for name in names], self.model, [values[n] for n in names])
        return Draw(model, clipped)

    def sample(self, shape: tuple[int, ...], key: Key[Array, ""], *, dies: tuple[Any, Any] | None = None) -> Any:
        """The same model with leaves of `shape`; see `draw`."""
        return self.draw(shape, key, dies=dies).model

    def _mixed(self, normals) -> dict[str, Float[Array, "..."]]:
        z = {name: normals[name] for name in self.spreads}
        for name, of_chip in self._chip_parts().items():
            z[name] = self.chip[name].mixed(normals[of_chip], z[name])
        for group in self.correlations:
            mixed = group.mixed([z[name] for name in group.names])
            z |= {name: mixed[i] for i, name in enumerate(group.names)}
        return z

    def _chip_parts(self) -> dict[str, str]:
        return {name: f"chip of {name}" for name in self.chip}


def _require(specs: Mapping[str, ParameterSpec], path: str, where: str) -> ParameterSpec:
    if path not in specs:
        raise InputError(where, f"be a parameter of the model ({', '.join(specs)})", f"`{path}`", "check its spelling")
    return specs[path]


def _correlation(card: Card, paths: Mapping[str, str]) -> tuple[Correlation, ...]:
    """All correlated parameters of a card in one group, uncorrelated where no pair is given."""
    pairs = {}
    for key in card.sections.get("correlation", {}):
        names = key.split()
        if len(names) != 2 or names[0] == names[1]:
            raise InputError(f"correlation.{key}", "be two parameters split by a blank", repr(key))
        if all(name in paths for name in names):  # a pair may belong to a model that is not built here
            pairs[paths[names[0]], paths[names[1]]] = card.quantity("correlation", key, "1")
    if not pairs:
        return ()
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    matrix = np.eye(len(names))
    for (a, b), rho in pairs.items():
        matrix[names.index(a), names.index(b)] = matrix[names.index(b), names.index(a)] = rho
    return (Correlation(jnp.asarray(matrix), tuple(names)),)


def _clip(value, spec: ParameterSpec):
    outside = (value < spec.lower) | (value > spec.upper)
    lower, upper = (jnp.asarray(bound, value.dtype) for bound in (spec.lower, spec.upper))
    return jnp.clip(value, lower, upper), jnp.sum(outside, dtype=jnp.int32)


def _at(tree: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(tree, tuple | list):
            tree = tree[int(part)]
        else:
            tree = tree[part] if isinstance(tree, dict) else getattr(tree, part)
    return tree


class StuckDevices(AbstractMemristor):
    """Memristors of which some do not answer: what is read of them is a constant conductance.

        G = h G_device + G_stuck,     I = h I_device + G_stuck V

    The state is the device's own, and every pulse reaches it; a failed device hides it.
    """

    device: AbstractMemristor
    healthy: Float[Array, "..."] = parameter(unit="1", bounds=(0.0, 1.0), doc="1 where the device works, 0 where not")
    G_stuck: Float[Array, "..."] = parameter(unit="uS", bounds=(0.0, 1e6), doc="conductance of a failed device")

    def init(self, shape, key=None):
        return self.device.init(shape, key)

    def apply(self, state, pulse, key=None, *, temperature=ROOM_TEMPERATURE):
        return self.device.apply(state, pulse, key, temperature=temperature)

    def wait(self, state, seconds, temperature=ROOM_TEMPERATURE):
        return self.device.wait(state, seconds, temperature)

    def current(self, state, voltage):
        return self.healthy * self.device.current(state, voltage) + self.G_stuck * voltage

    def conductance(self, state):
        return self.healthy * self.device.conductance(state) + self.G_stuck


class Faults(PhysicalModel):
    """How many devices of an array have failed, and what they read."""

    dead: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 1.0), doc="fraction of open devices: 0 uS")
    stuck_low: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 1.0), doc="fraction stuck at G_low")
    stuck_high: Float[Array, ""] = parameter(unit="1", bounds=(0.0, 1.0), doc="fraction stuck at G_high")
    G_low: Float[Array, ""] = parameter(unit="uS", bounds=(0.0, 1e6), doc="conductance of those stuck low")
    G_high: Float[Array, ""] = parameter(unit="uS", bounds=(0.0, 1e6), doc="conductance of those stuck high")

    def __check_init__(self):
        total = self.dead + self.stuck_low + self.stuck_high
        if not isinstance(total, Tracer) and np.any(np.asarray(total) > 1 + 1e-6):
            raise InputError("dead + stuck_low + stuck_high", "be at most 1", float(total))

    def sample(
        self, device: AbstractMemristor, shape: tuple[int, ...], key: Key[Array, ""], *, estimator: AbstractEstimator
    ) -> StuckDevices:
        """`device` with the failures of an array of `shape`, drawn at the address `key`.

        One uniform number per device decides: below `dead` it is open, up to `dead + stuck_low` stuck low, and so
        on, so that a larger fraction fails the same devices and some more. `estimator` says what derivative these
        decisions have with respect to the fractions.
        """
        dtype = self.dead.dtype
        u = jax.random.uniform(stream(require_key(key), "faults"), shape, jnp.float32).astype(dtype)
        # 2^-24 above u, so that a fraction of 0 fails none and one of 1 all
        edges = jnp.cumsum(jnp.stack([self.dead, self.stuck_low, self.stuck_high]))
        failed = [estimator.step(edge - (u + 2.0**-24)) for edge in edges]
        G_stuck = self.G_low * (failed[1] - failed[0]) + self.G_high * (failed[2] - failed[1])
        return StuckDevices(device, 1 - failed[2], G_stuck)
