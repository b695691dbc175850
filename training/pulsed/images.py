"""Networks that tell images apart: one `Learner` for each rule, with an epoch and the tests compiled once."""

from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Key

from hfsim.draws import address, stream
from hfsim.errors import InputError
from hfsim.learning.pulsed_rule import AbstractPulsedRule
from hfsim.nn import set_age
from hfsim.units import seconds
from training.data import Dataset, Split, load_digits, load_fashion_mnist, load_mnist
from training.hybrid.loop import sample_order
from training.pulsed.configuration import ImagesConfiguration
from training.pulsed.learner import Learner, Trained
from training.pulsed.names import FLOAT
from training.pulsed.networks import perceptron

TEST_BATCH = 1000


def load_images(config: ImagesConfiguration) -> Dataset:
    """The data set of a configuration.

    Raises:
        InputError: it is not to be had.
    """
    load = {"mnist": load_mnist, "fashion-mnist": load_fashion_mnist}.get(config.dataset)
    return load_digits() if load is None else load(config.data)


class ImageLearner:
    """A perceptron of sigmoids under one rule."""

    def __init__(
        self,
        name: str,
        rule: AbstractPulsedRule | None,
        data: Dataset,
        config: ImagesConfiguration,
        learning_rate: float,
    ):
        root, analog = jax.random.key(config.seed), config.products == "analog"
        self.name, self.data, self.batch, self.key = name, data, config.batch, root
        self.noisy = analog and name != FLOAT
        sizes = (data.train.images.shape[1], *config.hidden, data.classes)
        network = perceptron(sizes, name, config.windows, analog, root)
        self.learner = Learner(network, loss, rule, learning_rate=learning_rate, key=root, noisy=self.noisy)
        self.images, self.labels = unit(data.train), jnp.asarray(data.train.labels)
        self.batches = batches(config, data)

    def start(self) -> Trained:
        """The network before it has seen an image."""
        return jax.jit(self.learner.start)()

    def epoch(
        self, trained: Trained, epoch: int, rate: float, rule: AbstractPulsedRule | None = None
    ) -> tuple[Trained, float]:
        """After one epoch, and the share of images told right while learning; `rule` may be one of other numbers."""
        rule = self.learner.rule if rule is None else rule
        trained, right = self._epoch(rule, trained, jnp.int32(epoch), jnp.asarray(rate), self.images, self.labels)
        return trained, float(right)

    @cached_property
    def _epoch(self):
        @jax.jit
        def epoch(rule, trained, number, rate, images, labels):
            learner, size = self.learner.under(rule), (self.batches, self.batch)
            return after_epoch(learner, trained, number, rate, (images, labels), size)

        return epoch

    def accuracy(
        self,
        trained: Trained,
        split: Split,
        key: Key[Array, ""] | None = None,
        age: str | None = None,
        compensated: bool = False,
    ) -> float:
        """Share of images told right, `age` after training where given, with `compensated` as `Learner.aged` says."""
        weights = trained.weights if age is None else self._aged(trained, seconds(age), compensated)
        right = self._right(weights, trained.digital, unit(split), jnp.asarray(split.labels), key, age)
        return float(right) / len(split.labels)

    @cached_property
    def _aged(self):
        return jax.jit(self.learner.aged, static_argnums=2)

    def _right(self, weights, digital, images, labels, key, age) -> Float[Array, ""]:
        network = self.learner.parts.network(weights, digital)
        if self.noisy and age is not None:
            set_age(network, seconds(age))
        graph, state = nnx.split(network)
        total = jnp.zeros(())
        for first in range(0, len(labels), TEST_BATCH):
            part = slice(first, first + TEST_BATCH)
            total = total + _count(graph, state, images[part], labels[part], key if self.noisy else None, first)
        return total


def batches(config: Any, data: Dataset) -> int:
    """Gradient steps of an epoch, of a configuration with `images` and `batch`.

    Raises:
        InputError: there are fewer images than a batch has.
    """
    images = len(data.train.labels)
    if config.batch > images:
        raise InputError("--batch", f"be at most the {images} images of {data.name}", config.batch)
    return min(config.images or images, images) // config.batch


def after_epoch(
    learner: Learner, trained: Trained, number, rate, data: tuple[Array, Array], size: tuple[int, int]
) -> tuple[Trained, Float[Array, ""]]:
    """After epoch `number` over images and labels, in (batches, images of a batch), and the share told right in it."""
    images, labels = data
    order = sample_order(learner.key, number, len(labels))[: size[0] * size[1]]

    def step(trained, inputs):
        place, chosen = inputs
        return learner.train(trained, (images[chosen], labels[chosen]), number * size[0] + place, rate)

    trained, right = jax.lax.scan(step, trained, (jnp.arange(size[0]), order.reshape(size)))
    return trained, jnp.mean(right)


def test_key(learner: ImageLearner, number: int) -> Key[Array, ""]:
    """The key of the reads of a test."""
    return address(stream(learner.key, "tests"), number)


def unit(split: Split) -> Float[Array, "samples pixels"]:
    """Images with values in [0, 1]: where there is no ink, no line is driven."""
    return jnp.asarray((split.images + np.float32(1)) / 2)


def loss(network: Any, taps, carry, batch, key):
    """Cross-entropy of a batch of images and labels, and the share told right: a `Loss`."""
    images, labels = batch
    logits = network(images, taps, key)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return jnp.mean(losses), (carry, jnp.mean(jnp.argmax(logits, axis=-1) == labels))


@partial(jax.jit, static_argnums=0)
def _count(graph, state, images, labels, key, first):
    logits = nnx.merge(graph, state)(images, None, key, first=first)
    return jnp.sum(jnp.argmax(logits, axis=-1) == labels)
