"""Chips that learn a task, side by side in one compiled program, and the same networks in floating point."""

from functools import cached_property
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
        self.images, self.labels = jnp.asarray(data.train.images), jnp.asarray(data.train.labels)
        self.steps = len(self.labels) // task.batch

    def _network(self, key) -> MLP:
        spread = self.task.initial_spread / WORDS_PER_UNIT
        rngs = nnx.Rngs(params=stream(key, "initial weights"))
        return MLP(self.sizes, initial_spread=spread, norm=self.task.norm, rngs=rngs)

    def initial_params(self) -> Any:
        """Initial weights of each chip's network, with a leading chip axis."""
        return jax.jit(jax.vmap(lambda key: nnx.split(self._network(key))[1]))(self.keys)

    def start(self) -> Chip:
        """Freshly started chips, with a leading chip axis."""

        @jax.jit
        def start(keys, params):
            return jax.vmap(lambda key, p: start_chip(with_key(self.memory, key), p))(keys, params)

        return start(self.keys, self.initial_params())

    @cached_property
    def _train(self):
        samples, batch = len(self.labels), self.task.batch

        def one(key, chip, part, shared):
            blocks, (epoch, rate, images, labels) = part, shared
            order = sample_order(key, epoch, samples, batch)
            memory = eqx.tree_at(lambda m: m.learning_rate, with_key(self.memory, key), rate)
            return chip_epoch(memory, self.graph, chip, images, labels, order, blocks)

        return SideBySide(one)

    def train(self, chips: Chip, epoch: int) -> tuple[Chip, Float[Array, " chips"]]:
        """One epoch on every chip; also the fraction that each got right while learning."""
        blocks = schedule(epoch * self.steps, self.steps, self.memory.period // self.task.batch)
        return self._train(self.keys, chips, halves(blocks), self._shared(epoch))

    def _shared(self, epoch: int) -> tuple[Any, ...]:
        """What all systems have in an epoch; its learning rate is among it, so that one program serves all rates."""
        return jnp.int32(epoch), jnp.float32(self.task.rate(epoch)), self.images, self.labels

    @cached_property
    def _train_float(self):
        samples, batch, bound = len(self.labels), self.task.batch, self.task.bound

        def one(key, params, part, shared):
            epoch, rate, images, labels = shared
            order = sample_order(key, epoch, samples, batch)
            return float_epoch(self.graph, params, images, labels, order[part], learning_rate=rate, bound=bound)

        return SideBySide(one)

    def train_float(self, params: Any, epoch: int) -> tuple[Any, Float[Array, " chips"]]:
        """One epoch in floating point of every chip's network; also the fraction right while learning."""
        parts = 2 if self.steps % 2 == 0 else 1
        steps = np.split(np.arange(self.steps), parts)
        params, right = self._train_float(self.keys, params, steps, self._shared(epoch))
        return params, right / parts

    def finish(self, chips: Chip) -> Chip:
        """A last transfer, so that inference uses the newest words."""

        @jax.jit
        def finish(keys, chips):
            return jax.vmap(lambda key, chip: transferred(with_key(self.memory, key), chip))(keys, chips)

        return finish(self.keys, chips)

    def accuracy(self, params: Any, split: Split) -> Float[Array, " chips"]:
        """Share of a split that each chip's weights tell right."""
        return self._accuracy(params, jnp.asarray(split.images), jnp.asarray(split.labels), self.images[:POPULATION])

    @cached_property
    def _accuracy(self):
        @jax.jit
        def accuracy(params, images, labels, population):
            def one(p):
                return jnp.mean(self.predict(p, images, population) == labels)

            return jax.lax.map(one, params)

        return accuracy

    def predict(self, params: Any, images, population):
        """Classes that one chip's weights say; `population` are images for the moments of batch norm."""
        return predict(self.graph, params, images, population if self.task.norm == "batch" else None)
