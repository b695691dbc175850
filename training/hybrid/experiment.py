"""Chips that learn a task, side by side in one compiled program, and the same networks in floating point."""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from hfsim.cards import Card
from hfsim.draws import address, stream
from hfsim.hybrid import WORDS_PER_UNIT, AbstractTransfer, memristor
from hfsim.learning import HybridMemory, Nearest, Stochastic, Truncate
from models import MLP
from training.data import Dataset, Split
from training.hybrid.loop import (
    Chip,
    chip_epoch,
    float_epoch,
    halves,
    predict,
    sample_order,
    schedule,
    start_chip,
    transferred,
    with_key,
)
from training.hybrid.side_by_side import SideBySide
from training.hybrid.task import Task

ROUNDINGS = {"nearest": Nearest(), "stochastic": Stochastic(), "truncate": Truncate()}
POPULATION = 10_000
"""Images, the first of those learned from, whose moments batch norm divides by in a test."""


class Experiment:
    """The compiled programs of one task under one rule: how its chips start, train, finish and are tested."""

    def __init__(
        self, task: Task, data: Dataset, card: Card, transfer: AbstractTransfer, *, chips: int, seed: int, **rule: Any
    ):
        """`rule` are further arguments of `HybridMemory`; the learning rate is the task's."""
        self.task, self.data, self.card = task, data, card
        root = jax.random.key(seed)
        self.keys = jax.vmap(lambda chip: address(stream(root, "chip"), chip))(jnp.arange(chips))
        self.memory = HybridMemory(
            transfer=transfer,
            memristor=memristor(card),
            key=self.keys[0],
            **{
                "learning_rate": task.learning_rate,
                "probability": task.probability,
                "period": task.period,
                **rule,
            },
        )
        outputs = task.outputs or data.classes
        self.sizes = (data.train.images.shape[1], *task.hidden, outputs)
        self.graph = nnx.split(nnx.eval_shape(lambda: self._network(self.keys[0])))[0]
        self.learn_from(data.train)

    def learn_from(self, split: Split) -> None:
        """Train on another split from now on; systems stay what they are."""
        self.images, self.labels = jnp.asarray(split.images), jnp.asarray(split.labels)
        self.steps = len(self.labels) // self.task.batch

    def _network(self, key) -> MLP:
        spread = self.task.initial_spread / WORDS_PER_UNIT
        rngs = nnx.Rngs(params=stream(key, "initial weights"))
        return MLP(self.sizes, initial_spread=spread, norm=self.task.norm, rngs=rngs)

    def initial_params(self) -> Any:
        """Initial weights of each chip's network, with a leading chip axis."""
        return jax.jit(jax.vmap(lambda key: nnx.split(self._network(key))[1]))(self.keys)

    def start(self) -> Chip:
        """Freshly started chips, with a leading chip axis."""
        return _start(self.memory, self.keys, self.initial_params())

    def train(self, chips: Chip, epoch: int) -> tuple[Chip, Float[Array, " chips"]]:
        """One epoch on every chip; also the fraction that each got right while learning.

        `epoch` says in which order the samples come; transfers follow the samples that the chips have seen.
        """
        seen = int(np.asarray(chips.memory.samples)[0]) // self.task.batch
        blocks = schedule(seen, self.steps, self.memory.period // self.task.batch)
        memory = eqx.tree_at(lambda m: m.learning_rate, self.memory, jnp.float32(self.task.rate(epoch)))
        shared = (memory, self.graph, self.task.batch, jnp.int32(epoch), self.images, self.labels)
        return _side_by_side(_chip_part)(self.keys, chips, halves(blocks), shared)

    def train_float(self, params: Any, epoch: int) -> tuple[Any, Float[Array, " chips"]]:
        """One epoch in floating point of every chip's network; also the fraction right while learning."""
        parts = 2 if self.steps % 2 == 0 else 1
        steps = np.split(np.arange(self.steps), parts)
        task = self.task
        rule = (jnp.float32(task.rate(epoch)), task.bound)
        shared = (self.graph, rule, task.batch, jnp.int32(epoch), self.images, self.labels)
        params, right = _side_by_side(_float_part)(self.keys, params, steps, shared)
        return params, right / parts

    def finish(self, chips: Chip) -> Chip:
        """A last transfer, so that inference uses the newest words."""
        return _finish(self.memory, self.keys, chips)

    def accuracy(self, params: Any, split: Split) -> Float[Array, " chips"]:
        """Share of a split that each chip's weights tell right."""
        images, labels = jnp.asarray(split.images), jnp.asarray(split.labels)
        return _accuracy(self.graph, params, images, labels, self.population)

    @property
    def population(self) -> Float[Array, "images pixels"] | None:
        """Images for the moments of batch norm; None where there is none."""
        return self.images[:POPULATION] if self.task.norm == "batch" else None


# Memory and network are arguments of these programs, so that experiments that differ in numbers alone share them.


@eqx.filter_jit
def _start(memory: HybridMemory, keys, params) -> Chip:
    return jax.vmap(lambda key, p: start_chip(with_key(memory, key), p))(keys, params)


@eqx.filter_jit
def _finish(memory: HybridMemory, keys, chips: Chip) -> Chip:
    return jax.vmap(lambda key, chip: transferred(with_key(memory, key), chip))(keys, chips)


@eqx.filter_jit
def _accuracy(graph, params, images, labels, population):
    return jax.lax.map(lambda p: jnp.mean(predict(graph, p, images, population) == labels), params)


@cache
def _side_by_side(one) -> SideBySide:
    return SideBySide(one)


def _chip_part(key, chip, blocks, shared):
    """A part of a chip's epoch."""
    memory, graph, batch, epoch, images, labels = shared
    order = sample_order(key, epoch, len(labels), batch)
    return chip_epoch(with_key(memory, key), graph, chip, images, labels, order, blocks)


def _float_part(key, params, part, shared):
    """A part of an epoch in floating point."""
    graph, (learning_rate, bound), batch, epoch, images, labels = shared
    order = sample_order(key, epoch, len(labels), batch)[part]
    return float_epoch(graph, params, images, labels, order, learning_rate=learning_rate, bound=bound)
