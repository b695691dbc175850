"""How far devices may spread: the widest specification with which 99 % of the chips keep the accuracy.

    least -sum ln sigma_i,   i = 2 P_r, E_c, V_C,   with the 99 % quantile of the accuracy lost by a chip <= 1 point

against the median chip whose FeCAPs and memristors are all nominal (transistors keep their mismatch). The search sees
smooth accuracies and a smoothed quantile of chips that are drawn once; then chips of keys of their own are counted. The
spreads that it claims are scaled by factors, found on further chips, and all are counted on the test images. Under
both mechanisms that the published levels admit.
"""

from functools import cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.stats import binomtest

import hfsim
from hfsim.draws import address, stream
from hfsim.hybrid import MECHANISMS, transfer_line
from hfsim.parameters import specifications
from hfsim.studies import Design, Expectation, Objective, Quantile, Term, Variable, optimise, search, sensitivities
from hfsim.studies import Found as Best
from hfsim.studies.codesign import GRADIENT_COST
from training.codesign.configuration import CoDesign
from training.codesign.stage import Found, Stage
from training.codesign.yield_chips import Chips, Levels, Spreads, Words, published_filament, solve_cells
from training.codesign.yield_network import CARD, images, learn
from training.codesign.yield_results import present as present

STEPS, RESTARTS, CHIPS = 25, 1, 2000
"""Of the gradient, its starts, and chips that are counted; chosen: 2,000 chips tell 99 % to +-0.4 %."""
POPULATION = 256
"""Chips of the search, at most those that are counted; chosen: the 1 % quantile then rests on about five of them."""
WIDTH = 0.01
"""Of the window of the quantile. Chosen: as far from the end as the quantile is."""
RATE, MEMORY = 0.2, 0.9
"""Of Adam, in free numbers, falling by a cosine: chosen, as what is found lies within 2 of the start. And the decay of
its second moments: chosen short, as a start beyond the limit has a penalty's slope, which the usual 0.999 remembers to
the end."""
YIELD = 0.99
POINTS = 1.0
"""Accuracy that a chip may lose [points]."""
REFERENCE: dict[str, Any] = {"P_r": 0.05, "E_c": 0.05}
"""Spreads of FeCAPs beside which V_C makes up the published 8.7 uS: the card's of P_r (chosen in the 3-10 % of the
literature), and the middle of the 3-8 % of E_c."""
NAMES = ("P_r", "E_c", "V_C")
FULL_CHIPS = 4
"""Chips that are solved line by line with each cell, at most a hundredth of those that are counted, at least one."""
REPEATS = 4
"""Populations of the sensitivities."""
TOLERANCES = {"P_r": 0.01, "E_c": 0.01, "V_C": 0.01, "correlation": 0.1}
"""What the sensitivities move: a point of each spread, and a tenth of the correlation."""
SCALES = (0.3, 1.6)
"""Between which the factors of the specification are looked for, in `BISECTIONS` steps to 1 %."""
BISECTIONS = 7
PARTS, SURE = 40, 0.9
"""Random parts of the images, and the share of them on which the chips must hold the yield: chosen."""
SHARES = (0.0, 0.5)
"""Shares of the chip's part that the found specification is tried at, beside the one it was found at."""


class Count(NamedTuple):
    """Chips counted on one set of images.

    Args:
        right: images that each chip tells right.
        images: number of them.
    """

    right: np.ndarray
    images: int

    def judged(self, nominal: float) -> Found:
        """Yield against the nominal median of right images, with its exact (Clopper-Pearson) 95 % interval."""
        good = int(np.sum(self.right >= nominal - POINTS / 100 * self.images - 1e-6))
        interval = binomtest(good, len(self.right)).proportion_ci(0.95, method="exact")
        lost = 100 * (nominal - self.right) / self.images
        return {
            "yield": good / len(self.right),
            "low": float(interval.low),
            "high": float(interval.high),
            "median": float(np.median(self.right)) / self.images,
            "lost": float(np.quantile(lost, YIELD, method="higher")),
            "misses": good < YIELD * len(self.right),
            "histogram": np.bincount((nominal - self.right).astype(int) + 100, minlength=1).tolist(),
        }


@eqx.filter_jit
def _right(chips: Chips, spreads: Spreads | None, keys):
    return jax.lax.map(lambda key: chips.right(chips.conductances(spreads, key)), keys)


@eqx.filter_jit
def _told(chips: Chips, spreads: Spreads | None, keys):
    return jax.lax.map(lambda key: chips.told(chips.conductances(spreads, key)), keys)


@eqx.filter_jit
def _smooth(chips: Chips, spreads: Spreads | None, keys):
    return jax.lax.map(lambda key: chips.smooth_accuracy(spreads, key), keys)


def count(chips: Chips, spreads: Spreads | None, key, number: int) -> Count:
    """Count `number` chips of the stream `key`."""
    return Count(np.asarray(_right(chips, spreads, _keys(key, number))), len(chips.labels))


def _keys(key, number: int):
    return jax.vmap(lambda chip: address(key, chip))(jnp.arange(number))


@cache
def _levels(mechanism: str) -> Levels:
    """Solved once for all stages."""
    return Levels.solve(transfer_line(hfsim.load_card(CARD), mechanism))


class Bench:
    """What a mechanism's stages share: its chips on validation and test images, keys by name."""

    def __init__(self, config: CoDesign, mechanism: str, network: Found):
        line = transfer_line(hfsim.load_card(CARD), mechanism)
        self.words = Words(tuple(jnp.asarray(layer, jnp.float32) for layer in network["words"]))
        data = images(config)
        self.validation = Chips.make(line, self.words, *data.validation, _levels(mechanism))
        self.test = eqx.tree_at(
            lambda chips: (chips.images, chips.labels), self.validation, tuple(map(jnp.asarray, data.test))
        )
        self.number = config.chips or CHIPS
        self.population = min(POPULATION, self.number)
        self.root = stream(jax.random.key(config.seed), mechanism)
        reference = Spreads(**REFERENCE, V_C=jnp.asarray(0.01))
        own: Any = published_filament(line, self.validation.levels, reference)
        self.published = Spreads(**REFERENCE, V_C=own)

    def key(self, name: str):
        """The stream of one purpose."""
        return stream(self.root, name)

    def lost(self, nominal: float):
        """Measure: points of smooth accuracy that a chip loses against `nominal`."""
        return lambda spreads, key: 100 * (nominal - self.validation.smooth_accuracy(spreads, key))

    def objective(self, nominal: float) -> Objective:
        """Wide spreads, few points lost."""
        quantile = Quantile(q=YIELD, samples=self.population, width=WIDTH)
        lost = Term("lost", self.lost(nominal), weight=0.0, limit=POINTS, statistic=quantile)
        return Objective([Term("tightness", _tightness, statistic=Expectation()), lost], together=1)

    def design(self, start: Spreads | None = None) -> Design:
        """The three spreads are free, the correlation is as it is."""
        return Design(start or self.published, [Variable(name) for name in NAMES])


def _tightness(spreads: Spreads, key) -> jax.Array:
    """-sum ln sigma."""
    return -sum((jnp.log(getattr(spreads, name)) for name in NAMES), jnp.asarray(0.0))


def stages(config: CoDesign) -> list[Stage]:
    """The network, then for each mechanism the search, its margin, the counts, and the slopes.

    Raises:
        InputError: fewer images than --samples.
    """
    images(config)
    found = [Stage("network", lambda found: {"words": learn(config)})]
    for mechanism in MECHANISMS:
        for part, run in (("search", _search), ("margin", _margin), ("check", _check), ("slopes", _slopes)):
            found.append(Stage(f"{mechanism}-{part}", partial(_with_bench, config, mechanism, run)))
    return found


def _with_bench(config: CoDesign, mechanism: str, run: Any, found: dict[str, Found]) -> Found:
    before = {name.rpartition("-")[2]: value for name, value in found.items() if name.startswith(f"{mechanism}-")}
    return run(config, Bench(config, mechanism, found["network"]), before)


def values_of(spreads: Spreads) -> dict[str, float]:
    """The specification by name."""
    return {name: float(getattr(spreads, name)) for name in NAMES}


def _search(config: CoDesign, bench: Bench, before: dict[str, Found]) -> Found:
    """By gradient, at random and on a grid of the same cost, with the same chips."""
    keys = _keys(bench.key("nominal"), bench.population)
    nominal = float(np.median(np.asarray(_smooth(bench.validation, None, keys))))
    design, objective, key = bench.design(), bench.objective(nominal), bench.key("search")
    steps, restarts = config.steps or STEPS, config.restarts or RESTARTS
    number = int(GRADIENT_COST * steps * restarts)
    optimiser = optax.adam(optax.cosine_decay_schedule(RATE, steps), b2=MEMORY)
    ways = {
        "gradient": optimise(design, objective, key, optimiser=optimiser, steps=steps, restarts=restarts),
        "random": search(design, objective, key, number=number, together=1),
        "grid": search(design, objective, key, number=number, together=1, grid=True),
    }
    return {
        "nominal": nominal,
        "published": values_of(bench.published),
        **{name: _kept(design, best) for name, best in ways.items()},
    }


def _kept(design: Design, best: Best) -> Found:
    return {
        "spreads": values_of(design.model_of(jnp.asarray(best.z))),
        "value": best.value,
        "lost": best.terms["lost"],
        "tightness": best.terms["tightness"],
        "curve": best.best_by_cost.tolist(),
    }


def _margin(config: CoDesign, bench: Bench, before: dict[str, Found]) -> Found:
    """Factors of the claim with which further chips, counted on the images of the search, hold 99 %.

    One so that the lower end of their interval does; one so that they do on most random parts of these images, each as
    large as the test: a specification is for images that are not seen yet, and of few images a point is a few steps.
    """
    claimed = before["search"]["gradient"]["spreads"]
    keys, size = _keys(bench.key("margin"), bench.number), len(bench.test.labels)
    still = np.asarray(_told(bench.validation, None, _keys(bench.key("margin nominal"), bench.number)))
    drawn = [jax.random.permutation(key, still.shape[1])[:size] for key in _keys(bench.key("parts"), PARTS)]
    parts = np.zeros((still.shape[1], PARTS), np.float32)
    for place, chosen in enumerate(drawn):
        parts[np.asarray(chosen), place] = 1.0
    least = np.median(still @ parts, axis=0) - POINTS / 100 * size - 1e-6

    def of_chips(told) -> bool:
        judged = Count(told.sum(axis=1), told.shape[1]).judged(float(np.median(still.sum(axis=1))))
        return judged["low"] >= YIELD

    def of_parts(told) -> bool:
        return float(np.quantile(np.mean(told @ parts >= least, axis=0), 1 - SURE)) >= YIELD

    found = {}
    for name, holds in (("margin", of_chips), ("images", of_parts)):
        low, high = SCALES
        for _ in range(BISECTIONS):
            middle = (low * high) ** 0.5
            held = holds(np.asarray(_told(bench.validation, scaled(claimed, middle), keys)))
            low, high = (middle, high) if held else (low, middle)
        found[name] = {"factor": low, "spreads": values_of(scaled(claimed, low))}
    return found


def scaled(spreads: dict[str, float], factor: float) -> Spreads:
    """A specification times a factor, inside the bounds."""
    bounds = specifications(Spreads)
    inside = {name: jnp.clip(factor * x, bounds[name].lower, bounds[name].upper) for name, x in spreads.items()}
    return Spreads(**inside)


def _check(config: CoDesign, bench: Bench, before: dict[str, Found]) -> Found:
    """Chips of fresh keys, counted on both sets of images; the full circuit beside the surfaces."""
    key, nominal_key, found = bench.key("check"), bench.key("check nominal"), before["search"]
    final = Spreads(**before["margin"]["images"]["spreads"])
    judged_too = {
        "published": bench.published,
        **{way: Spreads(**found[way]["spreads"]) for way in ("gradient", "random", "grid")},
        "margin": Spreads(**before["margin"]["margin"]["spreads"]),
        "images": final,
    }
    counts: dict[str, Found] = {}
    for where, chips in (("validation", bench.validation), ("test", bench.test)):
        still = count(chips, None, nominal_key, bench.number)
        nominal = float(np.median(still.right))
        counts[where] = {"number": len(chips.labels), "nominal": still.judged(nominal)}
        for name, spreads in judged_too.items():
            counts[where][name] = count(chips, spreads, key, bench.number).judged(nominal)
        variants = _variants(bench, chips, final)
        for name, (varied, spreads) in variants.items() if where == "test" else ():
            own = float(np.median(count(varied, None, nominal_key, bench.number).right))
            counts[where][name] = count(varied, spreads, key, bench.number).judged(own if "own" in name else nominal)
    return {"counts": counts, "smooth": _bias(bench, before), "circuit": _circuit(bench, final)}


def _variants(bench: Bench, chips: Chips, final: Spreads) -> dict[str, tuple[Chips, Spreads | None]]:
    """The found specification with other shares and correlations, and nominal devices with the published spread."""
    shares = {f"share {s:g}": (eqx.tree_at(lambda c: c.share, chips, jnp.asarray(s)), final) for s in SHARES}
    correlated = {
        f"correlation {rho:g}": (chips, eqx.tree_at(lambda s: s.correlation, final, jnp.asarray(rho)))
        for rho in (-0.5, 0.5)
    }
    sigma = chips.line.memristor.sigma_set
    return {**shares, **correlated, "own": (eqx.tree_at(lambda c: c.own, chips, sigma), None)}


def _bias(bench: Bench, before: dict[str, Found]) -> Found:
    """What smooth accuracies say of the counted ones: points lost at the quantile by the same chips."""
    keys = _keys(bench.key("bias"), bench.number)
    found = {}
    for name in ("published", "gradient"):
        spreads = bench.published if name == "published" else Spreads(**before["search"]["gradient"]["spreads"])
        soft, still = (np.asarray(_smooth(bench.validation, s, keys)) for s in (spreads, None))
        hard, nominal = (np.asarray(_right(bench.validation, s, keys)) for s in (spreads, None))
        lost = 100 * (np.median(still) - soft), 100 * (np.median(nominal) - hard) / len(bench.validation.labels)
        found[name] = {
            "level": float(100 * (np.mean(soft) - np.mean(hard) / len(bench.validation.labels))),
            "smooth": float(np.quantile(lost[0], YIELD)),
            "counted": float(np.quantile(lost[1], YIELD)),
        }
    return found


def _circuit(bench: Bench, spreads: Spreads) -> Found:
    """Chips solved cell by cell, beside the surfaces with the same cells."""
    errors, right = [], []
    for key in _keys(bench.key("circuit"), max(1, min(FULL_CHIPS, bench.number // 100))):
        solved = solve_cells(bench.test, spreads, key)
        errors.append(np.asarray(solved.surface - solved.full, float))
        right.append([int(bench.test.right(G)) for G in solved])
    error = np.concatenate(errors)
    return {
        "chips": len(errors),
        "rms": float(np.sqrt(np.mean(error**2))),
        "largest": float(np.max(np.abs(error))),
        "right": right,
    }


def _slopes(config: CoDesign, bench: Bench, before: dict[str, Found]) -> Found:
    """Slopes of the quantile at the found specification, by gradient and by differences of the same chips."""
    nominal, lost = before["search"]["nominal"], bench.lost(before["search"]["nominal"])
    quantile = Quantile(q=YIELD, samples=bench.population, width=WIDTH)

    def measure(spreads: Spreads, key):
        return quantile(jax.lax.map(lambda one: lost(spreads, one), _keys(key, bench.population)))

    final = Spreads(**before["margin"]["images"]["spreads"])
    design = Design(final, [*(Variable(name) for name in NAMES), Variable("correlation")])
    key = bench.key("slopes")
    found = sensitivities(design, measure, design.start(), key, samples=REPEATS, tolerance=TOLERANCES)
    judge = jax.jit(lambda values, key: measure(Spreads(*values), key))
    values = [float(x) for x in design.values(design.start()).values()]
    keys = _keys(stream(key, "sensitivity"), REPEATS)
    differences = []
    for place, label in enumerate(found.labels):
        step = 0.02 * (values[place] if label in NAMES else 1.0)
        ends = [[x + side * step * (i == place) for i, x in enumerate(values)] for side in (1, -1)]
        slopes = [(judge(ends[0], k) - judge(ends[1], k)) / (2 * step) for k in keys]
        differences.append(float(np.mean(slopes)) * TOLERANCES[label])
    return {
        "nominal": nominal,
        "labels": found.labels,
        "tolerances": found.tolerances.tolist(),
        "effects": found.effects.tolist(),
        "half_widths": found.half_widths.tolist(),
        "differences": differences,
    }
