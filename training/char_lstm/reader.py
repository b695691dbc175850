"""A network that reads a text under one rule: its training, its loss, what it writes."""

import math
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from hfsim.draws import address, stream
from hfsim.learning.pulsed_rule import AbstractPulsedRule
from hfsim.nn import set_age
from hfsim.units import seconds
from models import CharLSTM as Network
from training.char_lstm.configuration import CharLSTM
from training.data.text import batches
from training.pulsed.learner import Learner, Trained
from training.pulsed.names import FLOAT
from training.pulsed.networks import array_options

WARM_UP = 100
"""Characters of the text that a network reads before it writes."""


class Reader:
    """A network under one rule."""

    def __init__(self, name: str, rule: AbstractPulsedRule | None, config: CharLSTM, vocabulary: int):
        root = jax.random.key(config.seed)
        analog = config.products == "analog"
        self.config, self.key, self.noisy = config, root, analog and name != FLOAT
        network = Network(
            vocabulary,
            config.hidden,
            config.layers,
            dropout=config.dropout,
            rngs=nnx.Rngs(params=stream(root, "initial weights")),
            **array_options(name, config.fill, analog),
        )
        self.start_carry = network.initial_carry(config.batch)
        self.learner = Learner(
            network,
            partial(_loss, stream(root, "dropout")),
            rule,
            learning_rate=config.learning_rate,
            key=root,
            noisy=self.noisy,
            clip=config.clip,
        )

    def start(self) -> Trained:
        """The network before it has read anything."""
        return jax.jit(lambda: self.learner.start(self.start_carry))()

    def train(self, trained: Trained, inputs, targets, number: int, rate: float) -> tuple[Trained, list[Array]]:
        """After some batches (batches, streams, time), the first with `number` in the run; and the loss of each.

        Batch 0 of an epoch starts the streams anew: hand in a carry of zeros (`rewound`).
        """
        losses = []
        for place, batch in enumerate(zip(inputs, targets, strict=True)):
            trained, loss = self._train(trained, *batch, jnp.int32(number + place), jnp.float32(rate))
            losses.append(loss)
        return trained, losses

    def rewound(self, trained: Trained) -> Trained:
        """At the beginning of the streams."""
        return trained._replace(carry=self.start_carry)

    @cached_property
    def _train(self):
        @jax.jit
        def train(trained, inputs, targets, number, rate):
            return self.learner.train(trained, (inputs.T, targets.T, number), number, rate)

        return train

    def loss(
        self,
        trained: Trained,
        codes: Int[np.ndarray, " characters"],
        key: Key[Array, ""],
        *,
        most: int = 0,
        age: str | None = None,
        compensated: bool = False,
    ) -> float:
        """Mean loss [nats per character] of a part of a text, or of its first `most` batches; `age` after training.

        With `compensated` as `Learner.aged` says.

        The network reads the part in as many streams as in training, from a state of zeros.
        """
        graph, state = self._at(trained, age, compensated)
        inputs, targets = batches(codes, self.config.batch, self.config.sequence)
        if most:
            inputs, targets = inputs[:most], targets[:most]
        carry, total = self.start_carry, jnp.zeros(())
        for place, (x, y) in enumerate(zip(inputs, targets, strict=True)):
            own = address(key, place) if self.noisy else None
            carry, loss = _mean_loss(graph, state, carry, x, y, own)
            total = total + loss
        return float(total) / len(inputs)

    def written(
        self, trained: Trained, warm_up: Int[np.ndarray, " characters"], count: int, key: Key[Array, ""]
    ) -> Int[np.ndarray, " characters"]:
        """What the network writes after reading `warm_up`: characters drawn with the probabilities that it gives."""
        graph, state = self._at(trained, None)
        return np.asarray(_write(graph, state, jnp.asarray(warm_up), key, self.noisy, count))

    def _at(self, trained: Trained, age: str | None, compensated: bool = False) -> tuple[Any, Any]:
        """The network's parts, fresh or aged."""
        weights = trained.weights if age is None else self._aged(trained, seconds(age), compensated)
        network = self.learner.parts.network(weights, trained.digital)
        if self.noisy and age is not None:
            set_age(network, seconds(age))
        return nnx.split(network)

    @cached_property
    def _aged(self):
        return jax.jit(self.learner.aged, static_argnums=2)


def _losses(logits, targets) -> Float[Array, ""]:
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, targets))


def _loss(dropout: Key[Array, ""], network: Any, taps, carry, batch, key):
    inputs, targets, number = batch
    carry, logits = network(inputs, taps, key, carry=carry, dropout_key=address(dropout, number))
    mean = _losses(logits, targets)
    return mean, (carry, mean)


@partial(jax.jit, static_argnums=0)
def _mean_loss(graph, state, carry, inputs, targets, key):
    carry, logits = nnx.merge(graph, state)(inputs.T, None, key, carry=carry)
    return carry, _losses(logits, targets.T)


@partial(jax.jit, static_argnums=(0, 4, 5))
def _write(graph, state, warm_up, key, noisy: bool, count: int):
    network, reads = nnx.merge(graph, state), stream(key, "reads") if noisy else None
    carry, logits = network(warm_up[:, None], None, reads)

    def step(before, t):
        carry, logits = before
        code = jax.random.categorical(address(stream(key, "characters"), t), logits)
        carry, logits = network(code[None, None], None, reads, carry=carry, start=len(warm_up) + t)
        return (carry, logits[0, 0]), code

    return jax.lax.scan(step, (carry, logits[-1, 0]), jnp.arange(count))[1]


def bits(nats: float) -> float:
    """Bits of a loss in nats."""
    return nats / math.log(2)


def frequencies_loss(train: Int[np.ndarray, " n"], test: Int[np.ndarray, " m"], vocabulary: int) -> float:
    """Loss [nats per character] of one who knows how often each character comes, and nothing else."""
    counts = np.bincount(train, minlength=vocabulary) + 1.0
    return float(-np.mean(np.log(counts / counts.sum())[test]))
