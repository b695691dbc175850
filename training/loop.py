"""The training loop: one compiled scan per epoch, on the chip and in floating point.

Between two transfers the conductances do not change, so the forward and backward passes of the samples in
between are one batch, exactly; only the integer updates of the words are sequential. An epoch is therefore a
scan over blocks of samples that end at the transfers. These need not divide the epoch: a block that the epoch's
end cuts is padded, which leaves no trace, and the next epoch goes on to the same transfer.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from hfsim.draws import address, stream
from hfsim.learning import Factors, HybridMemory, HybridMemoryState


class Chip(NamedTuple):
    """A network on its memory: the weights that it reads now, and the memory's state."""

    params: Any
    memory: HybridMemoryState


class Schedule(NamedTuple):
    """The blocks of one epoch: places in the epoch's order, which of them count, where a transfer follows."""

    place: Int[np.ndarray, "blocks samples"]
    valid: Bool[np.ndarray, "blocks samples"]
    due: Bool[np.ndarray, " blocks"]


BLOCK = 256
"""The most samples in a block; a longer period is walked through in several."""


def schedule(first: int, samples: int, period: int) -> Schedule:
    """Blocks for samples first .. first + samples - 1, counted over the whole training.

    A block ends at each transfer, after `BLOCK` samples, and at the end of the epoch. Always the same number and
    size of blocks for the same `samples` and `period`, so that one program serves all epochs.
    """
    length = min(period, BLOCK, samples)
    # stretches between transfers, and the cuts of a long one
    blocks = -(-samples // period) + 1 + (samples // length if period > length else 0)
    place, valid = np.zeros((blocks, length), np.int64), np.zeros((blocks, length), bool)
    due, begin = np.zeros(blocks, bool), 0
    for block in range(blocks):
        transfer = (first + begin) // period * period + period - first
        end = min(begin + length, transfer, samples)
        place[block, : end - begin] = np.arange(begin, end)
        valid[block, : end - begin] = True
        due[block] = begin < end == transfer
        begin = end
    return Schedule(place, valid, due)


def sample_order(key: Key[Array, ""], epoch: int, samples: int) -> Int[Array, " samples"]:
    """The order in which one chip sees the samples of an epoch."""
    return jax.random.permutation(address(stream(key, "order"), epoch), samples)


def loss_factors(
    graph: Any, params: Any, images: Float[Array, "samples pixels"], labels: Int[Array, " samples"]
) -> tuple[tuple[Factors, ...], Int[Array, " samples"]]:
    """Factors of each layer's gradient for each sample's own cross-entropy, and the predicted classes.

    The cotangents of the layers' taps; the dense gradient is never made.
    """
    network = nnx.merge(graph, params)

    def loss(taps):
        logits = network(images, taps)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return jnp.sum(losses), jnp.argmax(logits, axis=-1)

    return jax.grad(loss, has_aux=True)(network.zero_taps(images))


def start_chip(memory: HybridMemory, params: Any) -> Chip:
    """Put a network's initial weights into the memory and read them back through the memristors."""
    state = memory.init(params)
    return Chip(memory.programmed(params, state), state)


def chip_epoch(
    memory: HybridMemory, graph: Any, chip: Chip, images, labels, order, blocks: Schedule
) -> tuple[Chip, Float[Array, ""]]:
    """Train one chip on one epoch; also the fraction it got right while learning (before each update)."""

    def block(chip, inputs):
        place, valid, due = inputs
        chosen = order[place]
        factors, predicted = loss_factors(graph, chip.params, images[chosen], labels[chosen])
        right = jnp.sum((predicted == labels[chosen]) & valid)
        moved = chip._replace(memory=memory.absorb(chip.memory, factors, valid))
        return jax.lax.cond(due, lambda c: transferred(memory, c), lambda c: c, moved), right

    chip, right = jax.lax.scan(block, chip, blocks)
    return chip, jnp.sum(right) / order.shape[0]


def transferred(memory: HybridMemory, chip: Chip) -> Chip:
    """The chip after one transfer of all its words."""
    state = memory.transfer_now(chip.memory)
    return Chip(memory.programmed(chip.params, state), state)


def float_epoch(
    optimiser: optax.GradientTransformation, graph: Any, params: Any, images, labels, order
) -> tuple[Any, Float[Array, ""]]:
    """Train the same network in floating point on one epoch, online, one sample at a time."""

    def sample(params, index):
        def loss(params):
            logits = nnx.merge(graph, params)(images[index])
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels[index]), logits

        gradients, logits = jax.grad(loss, has_aux=True)(params)
        updates, _ = optimiser.update(gradients, optimiser.init(params), params)
        return optax.apply_updates(params, updates), jnp.argmax(logits) == labels[index]

    params, right = jax.lax.scan(sample, params, order)
    return params, jnp.mean(right)


def predict(graph: Any, params: Any, images: Float[Array, "samples pixels"]) -> Int[Array, " samples"]:
    """Predicted classes."""
    return jnp.argmax(nnx.merge(graph, params)(images), axis=-1)


def with_key(memory: HybridMemory, key: Key[Array, ""]) -> HybridMemory:
    """The same memory with the draws of another chip."""
    return eqx.tree_at(lambda m: m.key, memory, key)
