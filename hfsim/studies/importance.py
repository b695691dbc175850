"""Probabilities of rare failures by importance sampling: chips are drawn where they fail, and weighed.

    p = E_q[w 1_fail],   w = phi(z)/q(z),   q(z) = b phi(z) + (1 - b) phi((z - m)/s)/s

over the standard normals z of chosen parameters, shifted by m and widened by s; a share b of the chips is drawn as it
is (a defensive mixture: T. Hesterberg, Technometrics 37, 185 (1995)), so that no weight exceeds 1/b and the estimate
is unbiased whatever m and s. How many plain failures it is worth is its effective sample size,

    n_eff = (sum w 1_fail)^2/sum (w 1_fail)^2        (L. Kish, Survey Sampling, Wiley 1965)

`find_tilt` looks for m and s by the cross-entropy method (R. Y. Rubinstein and D. P. Kroese, Springer 2004): of each
round of chips the tenth with the least margin says where to draw the next. A failure region that no round came near is
not found; a wide s is the safer choice where there may be several.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from scipy import stats

from hfsim.draws import address, stream
from hfsim.errors import InputError
from hfsim.studies.batches import chip_results
from hfsim.studies.chips import AbstractChips, Normals, as_chips
from hfsim.studies.intervals import CONFIDENCE, Interval, clopper_pearson, require_confidence
from hfsim.studies.labels import labels_of, output_names
from hfsim.studies.monte_carlo import monte_carlo
from hfsim.studies.results import MonteCarlo

DEFENSIVE = 0.1
"""Share of chips that are drawn as they are. Chosen: it costs a tenth of the chips and bounds weights by 10."""
MOST_TILTED = 64
"""Numbers that may be tilted. The variance of a product of so many weights grows exponentially with them."""
ELITE = 0.1
"""Share of a round that says where to draw the next."""
SCALES = (1.0, 6.0)
"""Least and largest widening that is found: a density narrower than the devices' own has unbounded weights."""
LEAST_ROUND = 10
"""Chips of a round whose margin must be finite: a tenth of them is one."""
ENOUGH = 30.0
"""Effective failures below which an interval is not to be relied on: it is that of a sum of many."""


WEIGHT, WEIGHTED = "weight", "weighted_failure"
"""Outputs that a study of rare failures has beside the experiment's."""


class Tilt(NamedTuple):
    """Where to draw: shift m and widening s of the standard normals, by their names, in standard deviations."""

    shift: Mapping[str, Any]
    scale: Mapping[str, Any] = {}
    defensive: float = DEFENSIVE


class Tilted(NamedTuple):
    """Devices of a tilted chip, the logarithm of their weight, and the normals that made them."""

    devices: Any
    log_weight: Float[Array, ""]
    normals: Normals


class TiltedChips(AbstractChips):
    """Chips of which some normals are drawn from the mixture q."""

    chips: AbstractChips
    shift: Normals
    scale: Normals
    defensive: Float[Array, ""]

    @classmethod
    def of(cls, chips: AbstractChips, tilt: Tilt) -> "TiltedChips":
        """Chips and their tilt.

        Raises:
            InputError: normals that the chips do not have, more than 64 tilted numbers, a scale that is not above 0, a
                defensive share beyond (0, 1].
        """
        names = list(dict.fromkeys((*tilt.shift, *tilt.scale)))
        shapes = _normal_shapes(chips)
        _require_names(names, shapes)
        if not 0 < tilt.defensive <= 1:
            raise InputError("tilt.defensive", "lie in (0, 1]", tilt.defensive)
        shift = {n: jnp.broadcast_to(jnp.asarray(tilt.shift.get(n, 0.0), float), shapes[n].shape) for n in names}
        scale = {n: jnp.broadcast_to(jnp.asarray(tilt.scale.get(n, 1.0), float), shapes[n].shape) for n in names}
        for name, value in scale.items():
            if not bool(jnp.all(value > 0)):
                raise InputError(f"tilt.scale.{name}", "be above 0", value)
        return cls(chips, shift, scale, jnp.asarray(tilt.defensive, float))

    def normals(self, key):
        drawn = self.chips.normals(key)
        plain = jax.random.uniform(stream(key, "component"), dtype=jnp.float32) < self.defensive
        moved = {n: self.shift[n] + self.scale[n] * drawn[n] for n in self.shift}
        return drawn | {n: jnp.where(plain, drawn[n], moved[n]).astype(drawn[n].dtype) for n in moved}

    def devices(self, normals, index):
        return self.chips.devices(normals, index)

    def factors(self):
        return self.chips.factors()

    def log_weight(self, normals: Normals) -> Float[Array, ""]:
        """ln w = -ln[b + (1 - b) prod phi((z - m)/s)/(s phi(z))]."""
        ratio = jnp.zeros(())
        for name, m in self.shift.items():
            z, s = normals[name], self.scale[name]
            ratio = ratio + jnp.sum(0.5 * z**2 - 0.5 * ((z - m) / s) ** 2 - jnp.log(s))
        rest = jnp.where(self.defensive < 1, jnp.log(jnp.maximum(1 - self.defensive, 1e-30)), -jnp.inf)
        return -jnp.logaddexp(jnp.log(self.defensive), rest + ratio)

    def sample(self, key, index):
        normals = self.normals(key)
        return Tilted(self.chips.devices(normals, jnp.asarray(index, jnp.int32)), self.log_weight(normals), normals)


class RareFailures(NamedTuple):
    """What an importance-sampled study found, arrays of the shape of the failure's output.

    Args:
        probability: of a failure, with its interval on a logarithmic scale: p exp(+- t deviation(p)/p).
        effective: plain failures that the weighed ones are worth; below 30 the interval is not to be relied on.
        failures: chips that failed.
        gain: chips of a plain study of the same accuracy over those of this one.
        study: of the same chips, weights included; `study.replay(i).` and `study.worst(...)` as of any other.
    """

    probability: Interval
    effective: Float[np.ndarray, "..."]
    failures: Float[np.ndarray, "..."]
    gain: Float[np.ndarray, "..."]
    study: MonteCarlo

    def __repr__(self) -> str:
        p, chips = self.probability, self.study.chips
        lines = []
        for place in np.ndindex(self.effective.shape):
            few = "" if self.effective[place] >= ENOUGH else ": too few to rely on the interval"
            lines.append(
                f"P(failure) {p.value[place]:.3g}, {p.low[place]:.3g} to {p.high[place]:.3g} at {p.confidence:g}; "
                f"{int(self.failures[place]):,} of {chips:,} chips failed, worth {self.effective[place]:.3g} plain "
                f"failures{few}; a plain study takes {self.gain[place]:.3g} times the chips"
            )
        return "\n".join(lines)


def rare_failures(
    experiment: Callable[[Any, Key[Array, ""]], Any],
    population: Any,
    n: int,
    key: Key[Array, ""],
    *,
    fails: str,
    tilt: Tilt,
    confidence: float = CONFIDENCE,
    **options: Any,
) -> RareFailures:
    """Probability that a chip fails, by n chips that are drawn where they do.

    Args:
        experiment: (devices, key) -> tree of arrays, of which one is true where a chip fails.
        population: chips whose normals can be chosen: `Chips` or `Parts`.
        n: chips.
        key: of the study.
        fails: name of the output that is true for a failure.
        tilt: which normals to shift and to widen; `find_tilt` looks for one.
        confidence: of the interval.
        options: of `monte_carlo`: store, mesh, progress, until (of the output "weighted_failure"), ....

    Raises:
        InputError: no such output, or one that is not logical; outputs called "weight" or "weighted_failure"; a tilt of
            other normals, or of more than 64 numbers.
    """
    require_confidence(confidence)
    chips = TiltedChips.of(as_chips(population), tilt)

    def weighed(drawn: Tilted, own: Key[Array, ""]):
        results = named(experiment(drawn.devices, own))
        if fails not in results or results[fails].dtype != bool:
            logical = [name for name, value in results.items() if value.dtype == bool]
            raise InputError("fails", f"name a logical output ({', '.join(logical) or 'there is none'})", repr(fails))
        if taken := {WEIGHT, WEIGHTED} & results.keys():
            must = f"return outputs of other names than {WEIGHT} and {WEIGHTED}, which the study adds"
            raise InputError("experiment", must, ", ".join(sorted(taken)))
        weight = jnp.exp(drawn.log_weight)
        return results | {WEIGHT: weight, WEIGHTED: weight * results[fails]}

    outputs, coordinates = labels_of(experiment, options.pop("outputs", None), options.pop("coordinates", None))
    options.setdefault("name", f"tilted {getattr(experiment, '__qualname__', type(experiment).__name__)}")
    study = monte_carlo(weighed, chips, n, key, outputs=outputs, coordinates=coordinates, **options)
    of_weights, of_failures = (study.summary.outputs[name] for name in (WEIGHTED, fails))
    moments = of_weights.moments.total()
    shape = of_weights.shape
    count, p = moments.n.reshape(shape), moments.mean.reshape(shape)
    variance = moments.M2.reshape(shape) / np.maximum(count - 1, 1)
    failures = np.round(of_failures.mean().value * count)
    squares = moments.M2.reshape(shape) + count * p**2
    effective = np.where(squares > 0, (count * p) ** 2 / np.where(squares > 0, squares, 1), 0.0)
    gain = np.where(variance > 0, p * (1 - p) / np.where(variance > 0, variance, 1), np.nan)
    interval = _interval(p, np.sqrt(variance / count), count, float(chips.defensive), confidence)
    return RareFailures(interval, effective, failures, gain, study)


def _interval(p, error, count, defensive: float, confidence: float) -> Interval:
    """Around p on a logarithmic scale; without a failure up to what the largest weight allows."""
    t = stats.t.ppf(0.5 + confidence / 2, np.maximum(count - 1, 1))
    factor = np.exp(t * error / np.where(p > 0, p, 1.0))
    none = np.minimum(clopper_pearson(0, count, confidence).high / defensive, 1.0)
    return Interval(p, np.where(p > 0, p / factor, 0.0), np.where(p > 0, np.minimum(p * factor, 1.0), none), confidence)


def find_tilt(
    experiment: Callable[[Any, Key[Array, ""]], Any],
    population: Any,
    key: Key[Array, ""],
    *,
    margin: str,
    names: Sequence[str] | None = None,
    chips: int = 1000,
    rounds: int = 12,
    defensive: float = DEFENSIVE,
) -> Tilt:
    """Look for the normals of the chips that fail, by the cross-entropy method.

    Args:
        experiment: (devices, key) -> tree of arrays, of which one is the margin.
        population: chips whose normals can be chosen: `Chips` or `Parts`.
        key: of the rounds; another one than the study's.
        margin: name of the output that is below 0 where a chip fails, one number; where it is not finite, the chip is
            left out.
        names: of the normals to tilt, at most 64 numbers; None takes all.
        chips: of a round, 10 or more.
        rounds: at most.
        defensive: share of the tilt that is drawn as it is.

    Raises:
        InputError: no such output, or not one number; too many normals; too few chips or rounds; too few margins that
            are finite; no failure within the rounds.
    """
    for argument, count, least in (("chips", chips, LEAST_ROUND), ("rounds", rounds, 1)):
        if not isinstance(count, int) or count < least:
            raise InputError(argument, f"be an integer >= {least}", repr(count))
    source = as_chips(population)
    shapes = _normal_shapes(source)
    chosen = list(shapes) if names is None else list(names)
    tilted = TiltedChips.of(source, Tilt(dict.fromkeys(chosen, 0.0), {}, defensive))

    def judged(drawn: Tilted, own):
        results = named(experiment(drawn.devices, own))
        if margin not in results or results[margin].shape != ():
            single = [name for name, value in results.items() if value.shape == ()]
            raise InputError("margin", f"name an output of one number ({', '.join(single) or 'there is none'})", margin)
        return results[margin], drawn.log_weight, {name: drawn.normals[name] for name in chosen}

    @eqx.filter_jit
    def played(tilted, own):
        return chip_results(judged, tilted, jnp.arange(chips), own)

    for number in range(rounds):
        found, log_weight, normals = jax.tree.map(np.asarray, played(tilted, address(stream(key, "tilt"), number)))
        finite = np.isfinite(found)
        if (sound := int(np.sum(finite))) < LEAST_ROUND:
            must = f"be finite in {LEAST_ROUND} chips of a round, or more"
            raise InputError("margin", must, f"so in {sound} of {chips:,}", "take more chips, or repair the experiment")
        level = max(float(np.quantile(found[finite], ELITE)), 0.0)
        elite = finite & (found <= level)
        weight = np.exp(log_weight[elite] - np.max(log_weight[elite]))
        shift, scale = {}, {}
        for name, z in normals.items():
            mean = np.average(z[elite], axis=0, weights=weight)
            spread = np.sqrt(np.average((z[elite] - mean) ** 2, axis=0, weights=weight))
            shift[name], scale[name] = mean, np.clip(spread, *SCALES)
        tilt = Tilt(shift, scale, defensive)
        tilted = TiltedChips.of(source, tilt)
        if level == 0.0:
            return tilt
    must = f"come below 0 in {rounds} rounds of {chips} chips"
    raise InputError("margin", must, f"{level:.3g} at the {ELITE:.0%} quantile of the last", "take more of either")


def named(results: Any) -> dict[str, Array]:
    """Leaves of a tree of results by their names."""
    return dict(zip(output_names(results), map(jnp.asarray, jax.tree.leaves(results)), strict=True))


def _normal_shapes(chips: AbstractChips) -> dict[str, jax.ShapeDtypeStruct]:
    return eqx.filter_eval_shape(chips.normals, jax.random.key(0))


def _require_names(names: Sequence[str], shapes: Mapping[str, Any]) -> None:
    for name in names:
        if name not in shapes:
            raise InputError("tilt", f"name normals of the chips ({', '.join(shapes) or 'they have none'})", repr(name))
    numbers = sum(int(np.prod(shapes[name].shape)) for name in names)
    if numbers > MOST_TILTED:
        remedy = "tilt what devices of a chip have in common (`chip of ...`), or fewer parameters"
        raise InputError("tilt", f"be of at most {MOST_TILTED} numbers", f"of {numbers:,}", remedy)
