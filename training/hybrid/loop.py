"""The training loop: one compiled scan per epoch, on the chip and in floating point.

Between two transfers the conductances do not change, so the forward and backward passes of the steps in between are
computed at once, exactly; only the integer updates of the words are sequential. An epoch is therefore a scan over
blocks of steps that end at the transfers. These need not divide the epoch: a block that the epoch's end cuts is padded,
which leaves no trace, and the next epoch goes on to the same transfer.

A step is a sample, or a batch: `order` says by its shape, (samples,) or (steps, batch).
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

    place: Int[np.ndarray, "blocks steps"]
    valid: Bool[np.ndarray, "blocks steps"]
    due: Bool[np.ndarray, " blocks"]


BLOCK = 256
"""The most steps in a block; a longer period is walked through in several."""


def schedule(first: int, steps: int, period: int) -> Schedule:
    """Blocks for steps first .. first + steps - 1, counted over the whole training; `period` is in steps too.

    A block ends at each transfer, after `BLOCK` steps, and at the end of the epoch. Always the same number and
    size of blocks for the same `steps` and `period`, so that one program serves all epochs.
    """
    length = min(period, BLOCK, steps)
    # stretches between transfers, and the cuts of a long one
    blocks = -(-steps // period) + 1 + (steps // length if period > length else 0)
    place, valid = np.zeros((blocks, length), np.int64), np.zeros((blocks, length), bool)
    due, begin = np.zeros(blocks, bool), 0
    for block in range(blocks):
        transfer = (first + begin) // period * period + period - first
        end = min(begin + length, transfer, steps)
        place[block, : end - begin] = np.arange(begin, end)
        valid[block, : end - begin] = True
        due[block] = begin < end == transfer
        begin = end
    return Schedule(place, valid, due)


def halves(blocks: Schedule) -> list[Schedule]:
    """The schedule in two parts of the same size; an odd number of blocks gets one more, of padding."""
    odd = len(blocks.due) % 2
    padded = [np.concatenate([leaf, np.zeros_like(leaf[:odd])]) for leaf in blocks]
    return [Schedule(*part) for part in zip(*(np.split(leaf, 2) for leaf in padded), strict=True)]


def sample_order(key: Key[Array, ""], epoch: int, samples: int, batch: int = 1) -> Int[Array, "..."]:
    """The order in which one chip sees the samples of an epoch: (samples,), or (steps, batch) of whole batches."""
    order = jax.random.permutation(address(stream(key, "order"), epoch), samples)
    return order if batch == 1 else order[: samples // batch * batch].reshape(-1, batch)


def losses(logits: Float[Array, "*samples outputs"], labels: Int[Array, "*samples"]) -> Float[Array, "*samples"]:
    """Cross-entropy of each sample: of softmax, or of a sigmoid where there is one output."""
    if logits.shape[-1] == 1:
        return optax.sigmoid_binary_cross_entropy(logits[..., 0], labels.astype(logits.dtype))
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def classes(logits: Float[Array, "*samples outputs"]) -> Int[Array, "*samples"]:
    """The class that the logits say."""
    return (logits[..., 0] > 0).astype(jnp.int32) if logits.shape[-1] == 1 else jnp.argmax(logits, axis=-1)


def loss_factors(
    graph: Any, params: Any, images: Float[Array, "*samples pixels"], labels: Int[Array, "*samples"]
) -> tuple[tuple[Factors, ...], Int[Array, "*samples"]]:
    """Factors of each layer's gradient of each step's loss, and the predicted classes.

    A step's loss is its sample's cross-entropy (samples: (steps,)), or the mean over its batch (samples: (steps,
    batch); each batch has its own batch norm). The cotangents of the layers' taps; the dense gradient is never made.
    """
    network = nnx.merge(graph, params)

    def loss(taps, images, labels):
        logits = network(images, taps)
        return jnp.sum(losses(logits, labels)), classes(logits)

    def factors(images, labels):
        return jax.grad(loss, has_aux=True)(network.zero_taps(images), images, labels)

    if labels.ndim == 1:
        found, predicted = factors(images, labels)
        return found, predicted
    found, predicted = jax.vmap(factors)(images, labels)
    mean = 1 / labels.shape[-1]
    return tuple(pair._replace(delta=mean * pair.delta) for pair in found), predicted


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
        counted = valid.reshape(valid.shape + (1,) * (chosen.ndim - 1))
        right = jnp.sum((predicted == labels[chosen]) & counted)
        moved = chip._replace(memory=memory.absorb(chip.memory, factors, valid))
        return jax.lax.cond(due, lambda c: transferred(memory, c), lambda c: c, moved), right

    chip, right = jax.lax.scan(block, chip, blocks)
    return chip, jnp.sum(right) / order.size


def transferred(memory: HybridMemory, chip: Chip) -> Chip:
    """The chip after one transfer of all its words."""
    state = memory.transfer_now(chip.memory)
    return Chip(memory.programmed(chip.params, state), state)


def float_epoch(
    graph: Any, params: Any, images, labels, order, *, learning_rate, bound: float | None = None
) -> tuple[Any, Float[Array, ""]]:
    """Train the same network in floating point on one epoch by plain SGD, step by step.

    Args:
        graph, params: the network.
        images, labels: the samples.
        order: which of them make each step.
        learning_rate: of the mean loss of a step.
        bound: weights are cut to +-`bound` after each step; None leaves them free.
    """
    leaves, structure = jax.tree.flatten(params)

    def step(leaves, chosen):
        params = jax.tree.unflatten(structure, leaves)
        factors, predicted = loss_factors(graph, params, images[chosen][None], labels[chosen][None])
        moved = [
            leaf - learning_rate * jax.tree.map(lambda x: x[0], pair).gradient()
            for leaf, pair in zip(leaves, factors, strict=True)
        ]
        if bound is not None:
            moved = [jnp.clip(leaf, -bound, bound) for leaf in moved]
        return moved, jnp.mean(predicted[0] == labels[chosen])

    leaves, right = jax.lax.scan(step, leaves, order)
    return jax.tree.unflatten(structure, leaves), jnp.mean(right)


def predict(
    graph: Any,
    params: Any,
    images: Float[Array, "samples pixels"],
    population: Float[Array, "others pixels"] | None = None,
) -> Int[Array, " samples"]:
    """Predicted classes; `population` are the images whose moments batch norm divides by, None for these themselves."""
    network = nnx.merge(graph, params)
    moments = None if population is None else network.population_moments(population)
    return classes(network(images, moments=moments))


def with_key(memory: HybridMemory, key: Key[Array, ""]) -> HybridMemory:
    """The same memory with the draws of another chip."""
    return eqx.tree_at(lambda m: m.key, memory, key)
