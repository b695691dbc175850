"""What the chips of a study are made of: devices of chip i by draws at the address (key, chip, i).

    chips = Chips(population, (64, 64))                      # one array of 64 x 64 devices a chip
    chips = Parts({"array": chips, "amplifiers": Chips(transistors, (64,))})
    chips = Fixed(retention)                                 # all chips alike; what differs is the experiment's own

Devices are a function of standard normals, which are drawn in bulk by name. So a study can also choose the normals:
designs that exchange them (`sobol`), densities that reach for rare failures (`importance`).
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from hfsim.devices.variability import Population
from hfsim.draws import address, require_key, stream
from hfsim.errors import InputError

Normals = dict[str, Float[Array, "..."]]


class AbstractChips(eqx.Module):
    """A population of chips."""

    @abc.abstractmethod
    def normals(self, key: Key[Array, ""]) -> Normals:
        """The independent standard normals of one chip by name; `key` is the chip's."""

    @abc.abstractmethod
    def devices(self, normals: Normals, index: Int[Array, ""]) -> Any:
        """The tree of devices that these normals make of chip number `index`."""

    @abc.abstractmethod
    def factors(self) -> dict[str, tuple[str, ...]]:
        """What varies independently: names of the normals by the name of the factor. Correlated parameters are one."""

    def sample(self, key: Key[Array, ""], index: Int[Array, ""] | int) -> Any:
        """The devices of chip number `index`, whose key is `key`."""
        return self.devices(self.normals(key), jnp.asarray(index, jnp.int32))


class Chips(AbstractChips):
    """Chips of one population.

    Args:
        population: a model and its spreads.
        shape: of the devices of one chip; () for one device.
        dies: (X, Y) of the dies of a wafer in wafer radii, each of shape (dies,); chip i lies on die i modulo their
            number. Needed where the population has gradients over the wafer, refused where not.

    Raises:
        InputError: `dies` that are missing or useless, or no two rows of one length.
    """

    population: Population
    shape: tuple[int, ...] = eqx.field(static=True, default=())
    dies: tuple[Float[Array, " dies"], Float[Array, " dies"]] | None = None

    def __check_init__(self):
        if not isinstance(self.population, Population):
            raise InputError("population", "be a Population", type(self.population).__name__)
        if bool(self.population.gradients) != (self.dies is not None):
            must = "be given where a population has gradients over the wafer, and only there"
            raise InputError("dies", must, "None" if self.dies is None else "given")
        shapes = [jnp.shape(d) for d in self.dies or ()]
        if shapes and (len(shapes) != 2 or shapes[0] != shapes[1] or len(shapes[0]) != 1 or not shapes[0][0]):
            raise InputError("dies", "be (X, Y) of shape (dies,) each", f"of shapes {shapes}")

    def normals(self, key):
        return self.population.normals(self.shape, key)

    def devices(self, normals, index):
        dies = None
        if self.dies is not None:
            place = index % len(self.dies[0])
            dies = (jnp.asarray(self.dies[0])[place], jnp.asarray(self.dies[1])[place])
        return self.population.from_normals(self.shape, normals, dies=dies).model

    def factors(self):
        groups: dict[str, tuple[str, ...]] = {}
        for prefix, names in (("", tuple(self.population.spreads)), ("chip of ", tuple(self.population.chip))):
            for name in names:
                group = next((g.names for g in self.population.correlations if name in g.names), (name,))
                joined = tuple(n for n in group if n in names)
                groups[prefix + " & ".join(joined)] = tuple(prefix + n for n in joined)
        return groups


class Parts(AbstractChips):
    """Chips of several populations; their devices are a dictionary by the same names."""

    parts: dict[str, AbstractChips]

    def __check_init__(self):
        for name, part in self.parts.items():
            if ":" in name or not isinstance(part, AbstractChips):
                raise InputError("parts", "be Chips by names without a colon", f"{name!r}: {type(part).__name__}")

    def normals(self, key):
        drawn = {name: part.normals(stream(key, f"part {name}")) for name, part in self.parts.items()}
        return {f"{name}: {inner}": value for name, of_part in drawn.items() for inner, value in of_part.items()}

    def devices(self, normals, index):
        made = {}
        for name, part in self.parts.items():
            start = f"{name}: "
            made[name] = part.devices({k[len(start) :]: v for k, v in normals.items() if k.startswith(start)}, index)
        return made

    def factors(self):
        return {
            f"{name}: {factor}": tuple(f"{name}: {inner}" for inner in names)
            for name, part in self.parts.items()
            for factor, names in part.factors().items()
        }


class Fixed(AbstractChips):
    """Chips that all have the same devices; what differs is drawn by the experiment with its own key."""

    model: Any

    def normals(self, key):
        return {}

    def devices(self, normals, index):
        return self.model

    def factors(self):
        return {}


class Sampled(AbstractChips):
    """Chips by a function of the chip's key, whose normals nobody else can choose."""

    function: Callable[[Key[Array, ""]], Any]

    def normals(self, key):
        raise InputError("population", "be Chips or Parts here: the normals are needed", "a function of a key")

    def devices(self, normals, index):
        raise InputError("population", "be Chips or Parts here: the normals are needed", "a function of a key")

    def factors(self):
        raise InputError("population", "be Chips or Parts here: its parameters are needed", "a function of a key")

    def sample(self, key, index):
        return self.function(key)


def as_chips(population: Any) -> AbstractChips:
    """`population` as chips: chips as they are, a `Population` of single devices, or a function key -> devices.

    Raises:
        InputError: it is none of them.
    """
    if isinstance(population, AbstractChips):
        return population
    if isinstance(population, Population):
        return Chips(population)
    if callable(population) and not isinstance(population, eqx.Module):
        return Sampled(population)
    must = "be Chips, Parts, Fixed, a Population, or a function of a key"
    raise InputError("population", must, type(population).__name__, "Fixed(model) is the same devices in each chip")


def chip_keys(key: Key[Array, ""], index: Int[Array, ""] | int) -> tuple[Key[Array, ""], Key[Array, ""]]:
    """Of chip number `index`: the key of its devices, and that of the experiment on it."""
    own = address(stream(require_key(key), "chip"), index)
    return stream(own, "devices"), stream(own, "experiment")


def require_experiment(experiment: Any) -> Callable[[Any, Key[Array, ""]], Any]:
    """Return `experiment` if it can be called.

    Raises:
        InputError: it cannot.
    """
    if not callable(experiment):
        raise InputError("experiment", "be a function (devices, key) -> numbers", type(experiment).__name__)
    return experiment
