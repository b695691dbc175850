"""What a design is judged by: terms to be lowered, limits to be kept, and a statistic over sampled populations.

    value = sum_i w_i s_i(m_i) + sum_j p_j max(0, s_j(m_j)/L_j - 1)^2

m are measures of a model, s their statistics over a population (one nominal model, or n samples addressed by number, so
that two designs are compared with the same draws), w weights, L limits and p penalties.
"""

import abc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from hfsim.draws import address, stream
from hfsim.errors import InputError

Measure = Callable[[Any, Key[Array, ""]], Float[Array, ""]]
"""(model, key) -> a number; the key addresses one sample of a population."""


class AbstractStatistic(eqx.Module):
    """One number of a population."""

    samples: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, values: Float[Array, " samples"]) -> Float[Array, ""]:
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


class Objective:
    """A sum of terms.

    Raises:
        InputError: no terms, a name twice, a limit that is not above 0, or a term that neither counts nor limits.
    """

    def __init__(self, terms: Sequence[Term]):
        self.terms = tuple(terms)
        names = [term.name for term in self.terms]
        if not names or len(set(names)) < len(names):
            raise InputError("terms", "hold one or more, each name once", names)
        for term in self.terms:
            if term.limit is not None and not term.limit > 0:
                raise InputError(f"terms.{term.name}.limit", "be above 0", term.limit)
            if term.limit is None and term.weight == 0:
                raise InputError(f"terms.{term.name}", "have a weight or a limit", "neither")

    def __call__(self, model: Any, key: Key[Array, ""]) -> Judged:
        """Judge a model; sample i of a term's population is addressed by (key, term, i)."""
        value, found = jnp.asarray(0.0), {}
        for term in self.terms:
            own = stream(key, term.name)
            keys = jax.vmap(lambda i, own=own: address(own, i))(jnp.arange(term.statistic.samples))
            statistic = term.statistic(jax.lax.map(lambda k, m=term.measure: m(model, k), keys))
            found[term.name] = statistic
            value = value + term.weight * statistic
            if term.limit is not None:
                value = value + term.penalty * jnp.maximum(statistic / term.limit - 1, 0.0) ** 2
        return Judged(value, found)
