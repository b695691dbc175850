"""Which parameter makes the spread: Sobol indices of the sampled parameters.

    S_i = Var[E(f | x_i)]/V = E[(f_B - m)(f_ABi - f_A)]/V       the part that x_i makes alone
    T_i = 1 - Var[E(f | x_~i)]/V = E[(f_A - f_ABi)^2]/(2 V)     the part that it has a hand in

A and B are two chips drawn apart, ABi is A with the normals of factor i taken from B. First-order indices by
A. Saltelli et al., Comput. Phys. Commun. 181, 259 (2010), the outputs' mean m subtracted; total ones by M. J. W.
Jansen, Comput. Phys. Commun. 117, 35 (1999). Intervals by the influence of each pair on the ratio (the delta method).

A factor is a parameter, or the parameters of a correlated group together; what the devices of a chip have in common is
one of its own; and what the experiment draws with its own key is the factor "experiment". One pair takes as many runs
as there are factors, and two more; one with a number that is not finite in any of them is left out, counted and told.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key
from scipy import stats

from hfsim.display import Tabular
from hfsim.draws import require_key, stream
from hfsim.errors import InputError
from hfsim.io.store import Coordinate
from hfsim.studies.chips import AbstractChips, Normals, as_chips
from hfsim.studies.importance import named
from hfsim.studies.intervals import CONFIDENCE, Interval, require_confidence
from hfsim.studies.labels import Output, labelled, labels_of
from hfsim.studies.monte_carlo import monte_carlo
from hfsim.studies.results import MonteCarlo, not_finite

EXPERIMENT = "experiment"
RUN = "run"


class Pair(NamedTuple):
    """Normals of two chips drawn apart, and the number of the pair."""

    A: Normals
    B: Normals
    index: Int[Array, ""]


class PairedChips(AbstractChips):
    """Two chips for each number."""

    chips: AbstractChips

    def normals(self, key):
        return self.chips.normals(key)

    def devices(self, normals, index):
        return self.chips.devices(normals, index)

    def factors(self):
        return self.chips.factors()

    def sample(self, key, index):
        A, B = (self.chips.normals(stream(key, name)) for name in "AB")
        return Pair(A, B, jnp.asarray(index, jnp.int32))


class Attribution(Tabular):
    """Sobol indices of every output.

    Args:
        factors: names.
        first, total: indices by output, of shape (factors, *output).
        variance: of each output.
        study: of all runs, along the dimension "run".
    """

    def __init__(
        self,
        factors: tuple[str, ...],
        first: dict[str, Interval],
        total: dict[str, Interval],
        variance: dict[str, Float[np.ndarray, "..."]],
        study: MonteCarlo,
    ):
        self.factors, self.first, self.total, self.variance, self.study = factors, first, total, variance, study

    def table(self) -> list[list[str]]:
        """Rows of texts: head, then each factor of each element of each output."""
        rows = [["output", "factor", "alone", "", "in all", ""]]
        for name in self.first:
            shape = self.variance[name].shape
            of_first_run = self.study.labels(name)[: int(np.prod(shape))]
            for place, label in zip(np.ndindex(shape), of_first_run, strict=True):
                label = name + label.replace(f"{RUN} A, ", "").replace(f" ({RUN} A)", "")
                for number, factor in enumerate(self.factors):
                    cells = []
                    for found in (self.first[name], self.total[name]):
                        spot = (number, *place)
                        cells += [f"{found.value[spot]:.3f}", f"+- {found.half_width[spot]:.3f}"]
                    rows.append([label, factor, *cells])
        return rows

    def plot(self, output: str | None = None, *, at: Mapping[str, Any] | None = None, axes: Any = None) -> Any:
        """Bars of both indices of one number, the largest on top; matplotlib axes."""
        from hfsim.plot import attribution_bars  # matplotlib is needed here alone

        return attribution_bars(self, output or next(iter(self.first)), at or {}, axes)

    def _title(self) -> str:
        confidence = 100 * next(iter(self.first.values())).confidence
        title = f"Share of the variance, {self.study.chips:,} pairs of chips ({confidence:g} % intervals)"
        return title + not_finite(self.study.summary)


def sobol(
    experiment: Callable[[Any, Key[Array, ""]], Any],
    population: Any,
    n: int,
    key: Key[Array, ""],
    *,
    outputs: Mapping[str, Output] | None = None,
    coordinates: Mapping[str, Coordinate] | None = None,
    groups: Mapping[str, tuple[str, ...]] | None = None,
    confidence: float = CONFIDENCE,
    **options: Any,
) -> Attribution:
    """Attribute the variance of an experiment's outputs to the parameters of the chips.

    Args:
        experiment: (devices, key) -> tree of arrays; logical ones count as 0 and 1.
        population: chips whose normals can be chosen: `Chips` or `Parts`.
        n: pairs; the experiment runs n (factors + 2) times.
        key: of the study.
        outputs, coordinates: as of `monte_carlo`.
        groups: factors that are taken together, {"electrodes": ("W", "L")}; the others stay as they are.
        confidence: of the intervals.
        options: of `monte_carlo`: store, mesh, progress, share, ....

    Raises:
        InputError: a group of unknown factors, of one twice, or named as another factor; chips whose normals cannot be
            chosen.
    """
    require_confidence(confidence)
    chips = as_chips(population)
    factors = _grouped(chips.factors(), groups or {})
    names = (*factors, EXPERIMENT)
    # runs A, B, AB1, ...: which factors are B's
    taken = jnp.asarray(np.concatenate([np.zeros((1, len(names))), np.ones((1, len(names))), np.eye(len(names))]) > 0)

    def runs(pair: Pair, own: Key[Array, ""]):
        keys = [stream(own, name) for name in "AB"]

        def run(of_B):
            mixed = dict(pair.A)
            for number, members in enumerate(factors.values()):
                mixed |= {m: jnp.where(of_B[number], pair.B[m], pair.A[m]) for m in members}
            found = experiment(chips.devices(mixed, pair.index), jnp.where(of_B[-1], keys[1], keys[0]))
            return {k: v.astype(jnp.result_type(v, jnp.float32)) for k, v in named(found).items()}

        return jax.lax.map(run, taken)

    outputs, coordinates = labels_of(experiment, outputs, coordinates)
    shapes = jax.eval_shape(lambda key: experiment(chips.sample(key, 0), key), require_key(key))
    said = {
        name: Output(v.attributes.get("units", ""), (RUN, *v.dims), v.attributes.get("long_name", ""))
        for name, v in labelled(shapes, outputs, coordinates).items()
    }
    labels = {RUN: Coordinate(np.array(["A", "B", *names])), **coordinates}
    options.setdefault("name", f"Sobol indices of {getattr(experiment, '__qualname__', type(experiment).__name__)}")
    study = monte_carlo(runs, PairedChips(chips), n, key, outputs=said, coordinates=labels, **options)
    first, total, variance = {}, {}, {}
    for name in study.outputs:
        values = np.asarray(study.dataset[name].values, np.float64)
        first[name], total[name], variance[name] = indices(values, confidence)
    return Attribution(names, first, total, variance, study)


def indices(
    values: Float[np.ndarray, "pairs runs *output"], confidence: float = CONFIDENCE
) -> tuple[Interval, Interval, Float[np.ndarray, "*output"]]:
    """First-order and total indices, and the variance, from the runs A, B, AB1, AB2, ... of each pair.

    Without any variance the indices are 0. A pair of which a run is not finite is left out of that element. Intervals
    of one pair are infinite; without any pair all is NaN.
    """
    sound = np.all(np.isfinite(values), axis=1, keepdims=True)
    pairs = np.sum(sound, axis=0)
    values = np.where(sound, values, 0.0)

    def mean(parts):
        return np.sum(parts, axis=0, where=sound) / np.where(pairs > 0, pairs, np.nan)

    A, B, mixed = values[:, :1], values[:, 1:2], values[:, 2:]
    m = 0.5 * (mean(A) + mean(B))
    squares = 0.5 * ((A - m) ** 2 + (B - m) ** 2)
    V = mean(squares)
    scale = np.where(V == 0, 1.0, V)
    z = stats.norm.ppf(0.5 + confidence / 2)
    found = []
    for part in ((B - m) * (mixed - A), 0.5 * (A - mixed) ** 2):
        index = mean(part) / scale
        influence = (part - index * squares) / scale  # of mean 0
        error = np.sqrt(mean(influence**2) / np.maximum(pairs - 1, 1))
        half = np.where(pairs > 1, z * error, np.inf)
        found.append(Interval(index, index - half, index + half, confidence))
    return found[0], found[1], V[0]


def _grouped(
    factors: Mapping[str, tuple[str, ...]], groups: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """The factors, some of them joined."""
    joined = [factor for members in groups.values() for factor in members]
    for factor in joined:
        if factor not in factors or joined.count(factor) > 1:
            raise InputError("groups", f"hold factors ({', '.join(factors)}), each once", repr(factor))
    found = {name: sum((factors[f] for f in members), ()) for name, members in groups.items()}
    others = {name: normals for name, normals in factors.items() if name not in joined}
    for name in groups:
        if name in others or name == EXPERIMENT:
            raise InputError("groups", "have other names than the factors that are left", repr(name))
    return found | others
