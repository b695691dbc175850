"""When the hybrid memory transfers its words: schedules whose parameters have gradients through relaxed gates.

A schedule is a clock that turns with the samples; a transfer comes where it passes a whole number:

    g_n = floor(c_n) - floor(c_(n-1))                 gate of sample n, 1 where a transfer follows it

    constant     c_n = n/k + phase
    knots        c_n = N integral of dt/k(t) from 0 to n/N + phase,   ln k linear between the knots, t progress
    change       c_n = c_(n-1) + min(mean |change of a word|/threshold, 1)
    random       no clock: g_n = 1 with the probability p, each sample for itself
    randomised   the same with the probability c_n - c_(n-1) of one of the clocks

Floor and draw are those of an estimator (`hfsim.estimators`): `SoftGradient` is exact with a slope of stated width,
`Soft` makes the gates shares in [0, 1], `ScoreFunction` differentiates the probability of random gates. Widths are in
turns of the clock, so in periods. Over an even phase the mean count of transfers is c itself (`expected`).
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from hfsim.draws import address
from hfsim.errors import InputError
from hfsim.estimators import AbstractEstimator, ScoreFunction, relaxed_bernoulli
from hfsim.parameters import PhysicalModel, parameter

_LONGEST = 1e6
"""Samples; chosen: longer than any training here."""
_SMALL = 1e-4
"""Below it (1 - e^-x)/x is 1 - x/2 to single precision."""


class Clock(NamedTuple):
    """Samples seen, and the turns of the clock up to now."""

    samples: Int[Array, ""]
    turns: Float[Array, ""]


class Tick(NamedTuple):
    """What a sample decides.

    gate: share of a transfer that follows it; event: number that addresses the transfer's draws, the same for all
    samples next to one transfer, so that draws do not jump where a parameter moves it; log_probability: of the gate,
    0 where nothing is drawn.
    """

    gate: Float[Array, ""]
    event: Int[Array, ""]
    log_probability: Float[Array, ""]


class AbstractSchedule(PhysicalModel):
    """When to transfer."""

    @abc.abstractmethod
    def start(self) -> Clock:
        """Before the first sample."""

    @abc.abstractmethod
    def tick(
        self, clock: Clock, change: Float[Array, ""], total: int, estimator: AbstractEstimator, key: Key[Array, ""]
    ) -> tuple[Tick, Clock]:
        """One more sample.

        Args:
            clock: before it.
            change: mean over the words of the absolute change that it made [hidden steps].
            total: samples of the whole training.
            estimator: of the gate.
            key: addresses what is drawn.
        """

    @abc.abstractmethod
    def resumed(self, clock: Clock, total: int) -> Clock:
        """The same clock, with the slope in this schedule's parameters that it has by itself."""

    @abc.abstractmethod
    def expected(self, clock: Clock) -> Float[Array, ""]:
        """Expected number of transfers up to now, over phase or draws: differentiable without any estimator."""


class AbstractTurning(AbstractSchedule):
    """A clock that transfers at whole numbers."""

    phase: eqx.AbstractVar[Array]

    @abc.abstractmethod
    def turned(self, clock: Clock, change: Float[Array, ""], total: int) -> Float[Array, ""]:
        """Turns of the clock after one more sample."""

    def start(self):
        return Clock(jnp.int32(0), self.phase)

    def tick(self, clock, change, total, estimator, key):
        if isinstance(estimator, ScoreFunction):
            raise InputError(
                "estimator", "be of gates that are drawn", type(self).__name__, "randomise it: RandomisedSchedule"
            )
        now = self.turned(clock, change, total)
        passed = jnp.floor(now) > jnp.floor(clock.turns)
        event = jax.lax.stop_gradient(jnp.where(passed, jnp.floor(now), jnp.round(now))).astype(jnp.int32)
        gate = estimator.floor(now) - estimator.floor(clock.turns)
        return Tick(gate, event, jnp.zeros_like(now)), Clock(clock.samples + 1, now)

    def resumed(self, clock, total):
        before = clock._replace(samples=clock.samples - 1)
        return clock._replace(turns=self.turned(before, jnp.zeros_like(clock.turns), total))

    def expected(self, clock):
        return clock.turns - self.phase


def _phase() -> Array:
    return parameter(unit="1", bounds=(0.0, 1.0), doc="turns of the clock before the first sample", default=0.0)


class ConstantSchedule(AbstractTurning):
    """A transfer every `period` samples; without a phase, the samples at which `HybridMemory` transfers."""

    period: Float[Array, ""] = parameter(
        unit="1", bounds=(1.0, _LONGEST), doc="samples from one transfer to the next", logarithmic=True
    )
    phase: Float[Array, ""] = _phase()

    def turned(self, clock, change, total):
        return (clock.samples + 1).astype(self.period.dtype) / self.period + self.phase


class KnotSchedule(AbstractTurning):
    """A period that is a function of progress: its logarithm linear between knots, constant after the last one.

    `shares` are the knots' places in the training, the first 0, rising, at most 1.
    """

    periods: Float[Array, " knots"] = parameter(
        unit="1", bounds=(1.0, _LONGEST), doc="samples from one transfer to the next, at each knot", logarithmic=True
    )
    shares: tuple[float, ...] = eqx.field(static=True, default=(0.0, 1.0))
    phase: Float[Array, ""] = _phase()

    def __check_init__(self):
        shares = np.asarray(self.shares, float)
        if shares.ndim != 1 or len(shares) < 2 or shares[0] != 0 or shares[-1] > 1 or np.any(np.diff(shares) <= 0):
            raise InputError("shares", "rise from 0 to at most 1", self.shares)
        if jnp.shape(self.periods) != shares.shape:
            raise InputError("periods", f"hold one for each of {len(shares)} knots", f"shape {jnp.shape(self.periods)}")

    def period(self, progress: Float[Array, "..."]) -> Float[Array, "..."]:
        """k at a progress in [0, 1]."""
        return jnp.exp(jnp.interp(progress, jnp.asarray(self.shares), jnp.log(self.periods)))

    def turned(self, clock, change, total):
        progress = (clock.samples + 1).astype(self.periods.dtype) / total
        knots = jnp.asarray(self.shares, self.periods.dtype)
        rate, length = 1 / self.periods, jnp.diff(knots)
        slope = jnp.diff(jnp.log(self.periods)) / length
        within = jnp.clip(progress - knots[:-1], 0.0, length)
        turns = jnp.sum(rate[:-1] * within * _mean_of_decay(slope * within))
        return total * (turns + rate[-1] * jnp.maximum(progress - knots[-1], 0.0)) + self.phase


class ChangeSchedule(AbstractTurning):
    """A transfer when the words have changed by `threshold` since the last one, summed up and averaged over the words.

    What is beyond the threshold counts for the next transfer.
    """

    threshold: Float[Array, ""] = parameter(
        unit="1", bounds=(1e-6, 1e6), doc="mean absolute change of a word [hidden steps]", logarithmic=True
    )
    phase: Float[Array, ""] = _phase()

    def turned(self, clock, change, total):
        return clock.turns + jnp.minimum(change / self.threshold, 1.0)


class RandomSchedule(AbstractSchedule):
    """A transfer after each sample with `probability`; each sample's transfer has its own draws."""

    probability: Float[Array, ""] = parameter(
        unit="1", bounds=(1e-6, 1.0), doc="probability of a transfer after a sample", logarithmic=True
    )

    def start(self):
        return Clock(jnp.int32(0), jnp.zeros_like(self.probability))  # its turns stay 0

    def tick(self, clock, change, total, estimator, key):
        return _draw(clock, self.probability, estimator, key), clock._replace(samples=clock.samples + 1)

    def resumed(self, clock, total):
        return clock

    def expected(self, clock):
        return self.probability * clock.samples.astype(self.probability.dtype)


class RandomisedSchedule(AbstractSchedule):
    """As many transfers as `clock` makes in the mean, but each drawn: p_n = c_n - c_(n-1), so 1/k."""

    clock: AbstractTurning

    def start(self):
        return self.clock.start()

    def tick(self, clock, change, total, estimator, key):
        now = self.clock.turned(clock, change, total)
        return _draw(clock, jnp.minimum(now - clock.turns, 1.0), estimator, key), Clock(clock.samples + 1, now)

    def resumed(self, clock, total):
        return self.clock.resumed(clock, total)

    def expected(self, clock):
        return self.clock.expected(clock)


def _draw(clock: Clock, p: Float[Array, ""], estimator: AbstractEstimator, key: Key[Array, ""]) -> Tick:
    """A transfer with the probability p."""
    uniform = jax.random.uniform(address(key, clock.samples), (), jnp.float32).astype(p.dtype)
    gate = relaxed_bernoulli(uniform, p, estimator)
    eps = jnp.finfo(p.dtype).eps  # keeps the branch that is not taken finite
    taken = uniform <= p
    log_probability = jnp.where(taken, jnp.log(jnp.maximum(p, eps)), jnp.log1p(-jnp.minimum(p, 1 - eps)))
    return Tick(gate, clock.samples + 1, log_probability)


def _mean_of_decay(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """(1 - e^-x)/x."""
    small = jnp.abs(x) < _SMALL
    safe = jnp.where(small, 1.0, x)
    return jnp.where(small, 1 - x / 2 + x**2 / 6, -jnp.expm1(-safe) / safe)
