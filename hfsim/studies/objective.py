"""What a design is judged by: terms to be lowered, limits to be kept, and a statistic over sampled populations.

    value = sum_i w_i s_i(m_i) + sum_j p_j max(0, s_j(m_j)/L_j - 1)^2

m are measures of a model, s their statistics over a population (one nominal model, or n samples addressed by number, so
that two designs are compared with the same draws), w weights, L limits and p penalties. A measure of a `SquaredNorm` is
a vector of residuals; an objective of such terms and limits is a sum of squares, which least squares can lower.
"""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hfsim.draws import address, stream
from hfsim.errors import InputError

Measure = Callable[[Any, Key[Array, ""]], Float[Array, "..."]]
"""(model, key) -> a number, or the residuals of a `SquaredNorm`; the key addresses one sample of a population."""


class AbstractStatistic(eqx.Module):
    """One number of a population."""

    samples: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, values: Float[Array, "samples ..."]) -> Float[Array, ""]:
        """The statistic, differentiable."""


def _require_samples(samples: int) -> None:
    if not isinstance(samples, int) or isinstance(samples, bool) or samples < 1:
        raise InputError("samples", "be an integer >= 1", repr(samples))


class Expectation(AbstractStatistic):
    """The mean; of one sample it is that of the nominal model, where its measure draws nothing."""

    samples: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        _require_samples(self.samples)

    def __call__(self, values):
        return jnp.mean(values)


class SquaredNorm(AbstractStatistic):
    """The mean over the population of the sum of squares of a measure's residuals."""

    samples: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        _require_samples(self.samples)

    def __call__(self, values):
        return jnp.sum(values**2) / self.samples


class Quantile(AbstractStatistic):
    """The smoothed q-quantile: the mean of the order statistics under a normal window of `width` in q.

    Of n samples the i-th has the weight exp[-((i + 1/2)/n - q)^2/(2 width^2)], so that the slope is that of several
    samples and not of one.
    """

    q: float = eqx.field(static=True)
    samples: int = eqx.field(static=True)
    width: float = eqx.field(static=True, default=0.02)

    def __check_init__(self):
        _require_samples(self.samples)
        if not 0 <= self.q <= 1:
            raise InputError("q", "lie in [0, 1]", self.q)
        if not self.width > 0:
            raise InputError("width", "be above 0", self.width)

    def __call__(self, values):
        place = (jnp.arange(self.samples) + 0.5) / self.samples
        return jnp.sum(jax.nn.softmax(-0.5 * ((place - self.q) / self.width) ** 2) * jnp.sort(values))


class Worst(AbstractStatistic):
    """The smoothed largest value: T ln mean exp(v/T), below the largest by at most T ln n."""

    samples: int = eqx.field(static=True)
    temperature: float = eqx.field(static=True)

    def __check_init__(self):
        _require_samples(self.samples)
        if not self.temperature > 0:
            raise InputError("temperature", "be above 0", self.temperature)

    def __call__(self, values):
        scaled = values / self.temperature
        return self.temperature * (jax.scipy.special.logsumexp(scaled) - jnp.log(self.samples))


class Term(NamedTuple):
    """One measure: lowered with its `weight`, or kept below `limit` by a penalty, or both.

    Args:
        name: of the measure, for logs.
        measure: (model, key) -> number.
        weight: of its statistic in the value; 0 for a mere limit.
        limit: largest value that is allowed, above 0; None for none.
        penalty: weight of the squared relative excess over the limit.
        statistic: over the population.
    """

    name: str
    measure: Measure
    weight: float = 1.0
    limit: float | None = None
    penalty: float = 100.0
    statistic: AbstractStatistic = Expectation()


class Judged(NamedTuple):
    """The value of a design, and the statistic of each term."""

    value: Float[Array, ""]
    terms: dict[str, Float[Array, ""]]


class Objective(eqx.Module):
    """A sum of terms.

    A search compiles once for objectives that differ in arrays alone: those of a measure that is an `equinox.Module`.

    Args:
        terms: what counts and what limits.
        together: samples of a population that are computed at once; more take more memory.

    Raises:
        InputError: no terms, a name twice, a limit that is not above 0, or a term that neither counts nor limits.
    """

    terms: tuple[Term, ...] = eqx.field(converter=tuple)
    together: int = 16

    def __check_init__(self):
        names, together = [term.name for term in self.terms], self.together
        if not names or len(set(names)) < len(names):
            raise InputError("terms", "hold one or more, each name once", names)
        if not isinstance(together, int) or together < 1:
            raise InputError("together", "be an integer >= 1", repr(together))
        for term in self.terms:
            if term.limit is not None and not term.limit > 0:
                raise InputError(f"terms.{term.name}.limit", "be above 0", term.limit)
            if term.limit is None and term.weight == 0:
                raise InputError(f"terms.{term.name}", "have a weight or a limit", "neither")

    @property
    def limits(self) -> Float[Array, " terms"]:
        """Limit of each term; infinite where there is none."""
        return jnp.asarray([jnp.inf if term.limit is None else term.limit for term in self.terms])

    def place(self, name: str) -> int:
        """Number of a term that has a limit.

        Raises:
            InputError: no such term.
        """
        known = [term.name for term in self.terms if term.limit is not None]
        if name not in known:
            raise InputError("name", f"be one of the limited terms ({', '.join(known) or 'none here'})", name)
        return [term.name for term in self.terms].index(name)

    def __call__(self, model: Any, key: Key[Array, ""], limits: Float[Array, " terms"] | None = None) -> Judged:
        """Judge a model; sample i of a term's population is addressed by (key, term, i).

        `limits` take the place of the terms' own, where these have one.
        """
        value, found = jnp.asarray(0.0), {}
        limits = self.limits if limits is None else limits
        for term, limit in zip(self.terms, limits, strict=True):
            statistic = term.statistic(self._population(term, model, key))
            found[term.name] = statistic
            value = value + term.weight * statistic
            if term.limit is not None:
                value = value + term.penalty * _excess(statistic, limit) ** 2
        return Judged(value, found)

    def residuals(self, model: Any, key: Key[Array, ""]) -> Float[Array, " residuals"]:
        """Numbers whose squares add up to the value.

        Raises:
            InputError: a term with a weight is no `SquaredNorm`.
        """
        parts = []
        for term in self.terms:
            values = self._population(term, model, key)
            if term.weight != 0:
                if not isinstance(term.statistic, SquaredNorm) or term.weight < 0:
                    must = "have a weight above 0 and be of the statistic SquaredNorm for least squares"
                    raise InputError(f"terms.{term.name}", must, type(term.statistic).__name__)
                parts.append(jnp.ravel(values) * (term.weight / term.statistic.samples) ** 0.5)
            if term.limit is not None:
                parts.append(term.penalty**0.5 * _excess(term.statistic(values), term.limit)[None])
        return jnp.concatenate(parts)

    def _population(self, term: Term, model: Any, key: Key[Array, ""]) -> Float[Array, "samples ..."]:
        own, samples = stream(key, term.name), term.statistic.samples
        if samples == 1:
            return term.measure(model, address(own, 0))[None]
        keys = jax.vmap(lambda i: address(own, i))(jnp.arange(samples))
        return jax.lax.map(lambda k: term.measure(model, k), keys, batch_size=min(self.together, samples))


def _excess(statistic: Float[Array, ""], limit) -> Float[Array, ""]:
    """How far a statistic lies above its limit, as a share of it."""
    return jnp.maximum(statistic / limit - 1, 0.0)
