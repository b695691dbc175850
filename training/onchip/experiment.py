"""A configured experiment: its compiled programs."""

from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

import hfsim
from hfsim.draws import address, stream
from hfsim.hybrid import WORDS_PER_UNIT, memristor, transfer
from hfsim.learning import HybridMemory, Nearest, Stochastic, Truncate
from models import MLP
from training.data import Dataset, load_digits
from training.loop import (
    Chip,
    chip_epoch,
    float_epoch,
    sample_order,
    schedule,
    start_chip,
    transferred,
    with_key,
)
from training.onchip.configuration import CARD, OnChip

ROUNDINGS = {"nearest": Nearest(), "stochastic": Stochastic(), "truncate": Truncate()}
SIZES = (64, 200, 100, 10)
"""Layers of the network: 33,800 synapses."""


class Experiment:
    """The compiled programs of one configuration: how its chips start, train and finish."""

    def __init__(self, config: OnChip):
        self.config = config
        self.card = hfsim.load_card(CARD)
        self.data: Dataset = load_digits()
        root = jax.random.key(config.seed)
        self.keys = jax.vmap(lambda chip: address(stream(root, "chip"), chip))(jnp.arange(config.chips))
        self.memory = HybridMemory(
            transfer=transfer(
                self.card,
                config.transfer,
                mechanism=config.mechanism,
                twin_noise=config.twin_noise,
                clip=config.clip,
            ),
            memristor=memristor(self.card),
            learning_rate=config.learning_rate,
            probability=config.probability,
            step_scale=config.step_scale,
            period=config.period,
            rounding=ROUNDINGS[config.rounding],
            key=self.keys[0],
        )
        self.graph = nnx.split(nnx.eval_shape(lambda: self._network(self.keys[0])))[0]
        self.images, self.labels = jnp.asarray(self.data.train.images), jnp.asarray(self.data.train.labels)

    def _network(self, key) -> MLP:
        spread = self.config.initial_spread / WORDS_PER_UNIT
        return MLP(SIZES, initial_spread=spread, rngs=nnx.Rngs(params=stream(key, "initial weights")))

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
        samples = len(self.labels)

        @jax.jit
        def train(keys, chips, epoch, blocks, images, labels):
            def one(key, chip):
                order = sample_order(key, epoch, samples)
                memory = with_key(self.memory, key)
                return chip_epoch(memory, self.graph, chip, images, labels, order, blocks)

            return jax.vmap(one)(keys, chips)

        return train

    def train(self, chips: Chip, epoch: int) -> tuple[Chip, jax.Array]:
        """One epoch on every chip; also the fraction that each got right while learning."""
        samples = len(self.labels)
        blocks = schedule(epoch * samples, samples, self.config.period)
        return self._train(self.keys, chips, epoch, blocks, self.images, self.labels)

    @cached_property
    def _train_float(self):
        optimiser, samples = optax.sgd(self.config.learning_rate), len(self.labels)

        @jax.jit
        def train(keys, params, epoch, images, labels):
            def one(key, p):
                order = sample_order(key, epoch, samples)
                return float_epoch(optimiser, self.graph, p, images, labels, order)

            return jax.vmap(one)(keys, params)

        return train

    def train_float(self, params: Any, epoch: int) -> tuple[Any, jax.Array]:
        """One epoch in floating point of every chip's network; also the fraction right while learning."""
        return self._train_float(self.keys, params, epoch, self.images, self.labels)

    def finish(self, chips: Chip) -> Chip:
        """A last transfer, so that inference uses the newest words."""

        @jax.jit
        def finish(keys, chips):
            return jax.vmap(lambda key, chip: transferred(with_key(self.memory, key), chip))(keys, chips)

        return finish(self.keys, chips)
