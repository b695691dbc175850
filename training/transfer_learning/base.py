"""The network that is frozen: trained in floating point on mini-batches by Adam, then asked for its features."""

from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Key

from hfsim.draws import stream
from models import ConvolutionalNetwork
from training.data import Dataset, Split
from training.hybrid.loop import losses, sample_order
from training.transfer_learning.four_bits import four_bit_network

BATCH = 128
LEARNING_RATE = 1e-3
"""Of Adam."""
TOGETHER = 2000
"""Images that go through the network at once when it is asked."""


class Base(NamedTuple):
    """Parameters of a network in training, and Adam's state."""

    params: Any
    adam: Any


class BaseNetwork:
    """One network, its data and its compiled programs.

    Args:
        data: what it learns and is tested on.
        key: of initial weights and order of samples.
    """

    def __init__(self, data: Dataset, key: Key[Array, ""]):
        self.data, self._key = data, key
        self._images, self._labels = jnp.asarray(data.train.images), jnp.asarray(data.train.labels)
        self._batch = min(BATCH, len(self._labels))
        self._graph = nnx.split(nnx.eval_shape(self._network))[0]
        self._adam = optax.adam(LEARNING_RATE)

    def _network(self) -> ConvolutionalNetwork:
        pixels, rngs = self._images.shape[1], nnx.Rngs(params=stream(self._key, "initial weights"))
        return ConvolutionalNetwork(pixels, self.data.classes, rngs=rngs)

    def start(self) -> Base:
        """Freshly initialised."""

        @jax.jit
        def start():
            params = nnx.split(self._network())[1]
            return Base(params, self._adam.init(params))

        return start()

    def train(self, base: Base, epoch: int) -> tuple[Base, Float[Array, ""]]:
        """One more epoch; also the share of its samples that it got right while learning."""
        order = sample_order(self._key, epoch, len(self._labels), self._batch)
        right = []
        for chosen in np.asarray(order):
            base, share = self._step(base, self._images[chosen], self._labels[chosen])
            right.append(share)
        return base, jnp.mean(jnp.stack(right))

    @cached_property
    def _step(self):
        @jax.jit
        def step(base, images, labels):
            def loss(params):
                logits = nnx.merge(self._graph, params)(images)
                return jnp.mean(losses(logits, labels)), jnp.mean(jnp.argmax(logits, axis=-1) == labels)

            gradient, right = jax.grad(loss, has_aux=True)(base.params)
            change, adam = self._adam.update(gradient, base.adam)
            return Base(optax.apply_updates(base.params, change), adam), right

        return step

    def accuracy(self, params: Any, bits: bool = False) -> float:
        """Share of its own test samples that it tells right; with `bits` in four bits."""
        params, test = four_bit_network(params) if bits else params, self.data.test
        parts = [jnp.argmax(self._logits(params, part), axis=-1) for part in _parts(test.images)]
        return float(np.mean(np.concatenate(parts) == test.labels))

    def features(self, params: Any, target: Dataset, bits: bool = False) -> Dataset:
        """Another data set, as the frozen network sees it: each feature of mean 0 and variance 1.

        Args:
            params: of the frozen network.
            target: images of the same size; moments are those of its training images.
            bits: whether weights have four bits.
        """
        params = four_bit_network(params) if bits else params
        seen = [
            np.concatenate([np.asarray(self._features(params, part)) for part in _parts(split.images)])
            for split in (target.train, target.validation, target.test)
        ]
        mean, deviation = seen[0].mean(axis=0), seen[0].std(axis=0)
        # a feature that is never on says nothing
        scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        splits = (target.train, target.validation, target.test)
        scaled = (Split((h - mean) * scale, split.labels) for h, split in zip(seen, splits, strict=True))
        return Dataset(target.name, *scaled, classes=target.classes)

    @cached_property
    def _features(self):
        return jax.jit(lambda params, images: nnx.merge(self._graph, params).features(images))

    @cached_property
    def _logits(self):
        return jax.jit(lambda params, images: nnx.merge(self._graph, params)(images))


def _parts(images: np.ndarray) -> list[np.ndarray]:
    return np.split(images, range(TOGETHER, len(images), TOGETHER))
