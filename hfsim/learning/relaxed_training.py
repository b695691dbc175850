"""Online training on the hybrid memory as one differentiable function: gradients of what a training ends in.

Each sample goes forward and backward at the conductances of that moment, moves the words, and its gate g transfers:

    W <- W - m round(lr s dL/dw),      G <- g G_new(W) + (1 - g) G

Memory, rounding, draws and transfers are those of `HybridMemory`; the schedule takes the place of its `period`. What
comes out is differentiable in schedule, learning rate, spread of the memristors, levels, and mask probability (where
the memory's `mask` has an estimator).

    reverse mode    `chunk`: the state is kept at each of n/chunk boundaries and everything else of one chunk at a time,
                    which is computed again: about one more forward evaluation, memory ~ n/chunk + chunk steps
    truncated       `last`: through the last chunks alone, the ones before taken as given; those are not differentiated
    forward mode    jax.jvp or jax.jacfwd of the same function: the memory of one evaluation, time ~ parameters

Truncation drops how early samples act on late ones, so its gradient is biased. With `Exact` gates a transfer is
computed only where it is due, with others at every sample, for its slope.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from hfsim.draws import stream
from hfsim.errors import InputError
from hfsim.estimators import AbstractEstimator, Exact
from hfsim.learning.hybrid_memory import HybridMemory, HybridMemoryState
from hfsim.learning.schedules import AbstractSchedule, Clock

LAST = 2**31 - 1
"""The event that addresses the draws of the last transfer, whatever the number of those before: it does not jump."""


class Training(eqx.Module):
    """What a training is differentiated in.

    Args:
        memory: learning rule and storage; its `period` plays no part here.
        schedule: when it transfers.
        estimator: of the gates.
    """

    memory: HybridMemory
    schedule: AbstractSchedule
    estimator: AbstractEstimator = eqx.field(default_factory=Exact)


class Trained(NamedTuple):
    """A network that has learned.

    params: its weights, after one last transfer; state: the memory, before that; transfers: sum of the gates, without
    the first and the last transfer; expected_transfers: their mean over phases or draws; log_probability: of all gates
    that were drawn.
    """

    params: Any
    state: HybridMemoryState
    transfers: Float[Array, ""]
    expected_transfers: Float[Array, ""]
    log_probability: Float[Array, ""]


class _Carry(NamedTuple):
    state: HybridMemoryState
    clock: Clock
    transfers: Float[Array, ""]
    log_probability: Float[Array, ""]


def train(
    training: Training,
    loss: Callable[[Any, Any], Float[Array, ""]],
    params: Any,
    samples: Any,
    *,
    chunk: int | None = None,
    last: int | None = None,
) -> Trained:
    """Learn from samples one by one, from initial weights.

    Args:
        training: rule, storage and schedule.
        loss: (weights, one sample) -> its loss.
        params: the initial weights, a tree of arrays of floats.
        samples: a tree of arrays with the samples along the first axis.
        chunk: samples of a checkpointed chunk; None keeps everything for the way back.
        last: differentiate through so many of the last chunks alone; None through all.

    Raises:
        InputError: counts below 1, `last` without `chunk`, or a score function for gates that are not drawn.
    """
    _check_counts(chunk, last)
    total = jax.tree.leaves(samples)[0].shape[0]
    carry = _start(training, params)
    begin = 0 if last is None or chunk is None else max(0, total - last * chunk)
    if begin:
        before = jax.lax.stop_gradient(training), jax.tree.map(lambda x: x[:begin], samples)
        carry = _stopped(_walk(*before, loss, params, _stopped(carry), total, None))
        carry = carry._replace(clock=training.schedule.resumed(carry.clock, total))
    carry = _walk(training, jax.tree.map(lambda x: x[begin:], samples), loss, params, carry, total, chunk)
    finished = training.memory.transfer_now(carry.state, event=LAST)
    expected = training.schedule.expected(carry.clock)
    weights = training.memory.programmed(params, finished)
    return Trained(weights, carry.state, carry.transfers, expected, carry.log_probability)


def _start(training: Training, params: Any) -> _Carry:
    state = training.memory.init(params)
    clock = training.schedule.start()
    none = jnp.zeros_like(clock.turns)
    return _Carry(state, clock, none, none)


def _walk(training: Training, samples: Any, loss, params: Any, carry: _Carry, total: int, chunk: int | None) -> _Carry:
    """Through all of `samples`, in chunks; a last one that is shorter comes first."""

    def through(training, carry, samples):
        def step(carry, sample):
            return _step(training, loss, params, total, carry, sample), None

        return jax.lax.scan(step, carry, samples)[0]

    count = jax.tree.leaves(samples)[0].shape[0]
    if chunk is None or chunk >= count:
        return through(training, carry, samples)
    checkpointed = eqx.filter_checkpoint(through)
    short = count % chunk
    if short:
        carry = checkpointed(training, carry, jax.tree.map(lambda x: x[:short], samples))
    chunks = jax.tree.map(lambda x: x[short:].reshape(-1, chunk, *x.shape[1:]), samples)
    return jax.lax.scan(lambda carry, part: (checkpointed(training, carry, part), None), carry, chunks)[0]


def _step(training: Training, loss, params: Any, total: int, carry: _Carry, sample: Any) -> _Carry:
    memory, schedule, estimator = training.memory, training.schedule, training.estimator
    gradient = jax.grad(loss)(memory.programmed(params, carry.state), sample)
    state = memory.store(gradient, carry.state)
    change = _mean_change(carry.state, state)
    tick, clock = schedule.tick(carry.clock, change, total, estimator, stream(memory.key, "schedule"))
    if isinstance(estimator, Exact):
        state = jax.lax.cond(tick.gate > 0, lambda s: memory.transfer_now(s, event=tick.event), lambda s: s, state)
    else:
        state = memory.transfer_now(state, share=tick.gate, event=tick.event)
    return _Carry(state, clock, carry.transfers + tick.gate, carry.log_probability + tick.log_probability)


def _mean_change(before: HybridMemoryState, after: HybridMemoryState) -> Float[Array, ""]:
    """Mean over all words of the absolute change of a sample [hidden steps]."""
    moved = [jnp.sum(jnp.abs(b.words - a.words)) for a, b in zip(before.weights, after.weights, strict=True)]
    return sum(moved, jnp.zeros(())) / sum(memory.words.size for memory in before.weights)


def _stopped(carry: _Carry) -> _Carry:
    return jax.tree.map(lambda x: jax.lax.stop_gradient(x) if eqx.is_inexact_array(x) else x, carry)


def _check_counts(chunk: int | None, last: int | None) -> None:
    for name, count in (("chunk", chunk), ("last", last)):
        if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
            raise InputError(name, "be an integer >= 1 or None", repr(count))
    if last is not None and chunk is None:
        raise InputError("last", "come with a chunk", "chunk=None", "say how many samples a chunk has")
