"""One online training of the study `schedule`: data, network, memory, and what it costs."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Key

import hfsim
from hfsim.draws import address, stream
from hfsim.errors import InputError
from hfsim.hybrid import (
    WORDS_PER_UNIT,
    HybridArray,
    HybridCosts,
    OperationPrices,
    Work,
    memristor,
    published_rule,
    transfer,
)
from hfsim.learning import AbstractSchedule, HybridMemory, Training, train
from models import MLP
from training.codesign.configuration import CoDesign
from training.data import Split, load_digits, load_mnist
from training.hybrid.loop import losses, predict, sample_order
from training.hybrid.task import TASKS

CARD = "cea-leti-2025-hybrid"
HIDDEN = 32
"""Features of the hidden layer; chosen: a training of 4,596 samples then takes tens of milliseconds."""
EPOCHS = {"digits": 4, "mnist": 1}
"""Chosen: 4,596 online steps of digits; of MNIST so many samples as `SAMPLES`."""
SAMPLES = {"digits": None, "mnist": 5_000}
"""Learned from by default; None takes all."""
JUDGED = 2_000
"""Most validation samples whose loss is lowered; chosen: more would cost as much as learning."""


class Part(NamedTuple):
    """Images and labels that compiled programs use."""

    images: Float[Array, "samples pixels"]
    labels: Int[Array, " samples"]


def _part(split: Split, kept: int | None = None) -> Part:
    return Part(*(jnp.asarray(x[:kept]) for x in split))


class Outcome(NamedTuple):
    """Of one training: loss and accuracy on the judged split, accuracy on the tested one, gates summed, expected
    transfers, ln probability."""

    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    tested: Float[Array, ""] | None
    transfers: Float[Array, ""]
    expected_transfers: Float[Array, ""]
    log_probability: Float[Array, ""]


class Task:
    """Networks of one hidden layer that learn online on hybrid chips with measured transfers."""

    def __init__(self, config: CoDesign):
        dataset = config.dataset or "digits"
        self.title = dataset
        data = load_mnist(config.data) if dataset == "mnist" else load_digits()
        kept = config.samples or SAMPLES[dataset]
        if config.samples is not None and config.samples > len(data.train.labels):
            raise InputError("--samples", f"be at most {len(data.train.labels)}, those of {dataset}", config.samples)
        self.train, self.test = _part(data.train, kept), _part(data.test)
        self.validation = _part(data.validation, JUDGED)
        self.epochs = config.epochs or EPOCHS[dataset]
        self.samples = self.epochs * len(self.train.labels)
        self.sizes = (self.train.images.shape[1], HIDDEN, data.classes)
        self.card = hfsim.load_card(CARD)
        self.rule = TASKS["digits-online"]
        self.memory = HybridMemory(
            transfer=transfer(self.card, "measured"),
            memristor=memristor(self.card),
            key=jax.random.key(0),  # of another chip in each run
            learning_rate=jnp.asarray(self.rule.learning_rate),
            probability=jnp.asarray(self.rule.probability),
        )
        self._price = self._prices()
        self.graph = nnx.split(nnx.eval_shape(lambda: self._network(jax.random.key(0))))[0]

    def _network(self, key) -> MLP:
        spread = self.rule.initial_spread / WORDS_PER_UNIT
        return MLP(self.sizes, initial_spread=spread, rngs=nnx.Rngs(params=stream(key, "initial weights")))

    def run(
        self,
        training: Training,
        key: Key[Array, ""],
        judged: Part,
        tested: Part | None = None,
        *,
        steps: int | None = None,
        chunk: int | None = None,
        last: int | None = None,
    ) -> Outcome:
        """One training; `key` addresses chip, initial weights, order of samples, and every draw.

        Args:
            training: memory and schedule.
            key: of this run.
            judged: the split of loss and accuracy.
            tested: another split of whose accuracy alone is told; None for none.
            steps: the first samples of the training alone.
            chunk, last: as in `train`.
        """
        training = eqx.tree_at(lambda t: t.memory.key, training, key)
        order = jnp.concatenate([sample_order(key, epoch, len(self.train.labels)) for epoch in range(self.epochs)])
        order = order[:steps]
        samples = self.train.images[order], self.train.labels[order]
        initial = nnx.split(self._network(key))[1]
        found = train(training, self._loss, initial, samples, chunk=chunk, last=last)
        logits = nnx.merge(self.graph, found.params)(judged.images)
        return Outcome(
            jnp.mean(losses(logits, judged.labels)),
            self._accuracy(found.params, judged),
            None if tested is None else self._accuracy(found.params, tested),
            found.transfers,
            found.expected_transfers,
            found.log_probability,
        )

    def _accuracy(self, params, split: Part) -> Float[Array, ""]:
        return jnp.mean(predict(self.graph, params, split.images) == split.labels)

    def _loss(self, params, sample):
        image, label = sample
        return losses(nnx.merge(self.graph, params)(image), label)

    def runs(
        self, schedules: AbstractSchedule, keys: Key[Array, " runs"], judged: Part, tested: Part | None = None
    ) -> Outcome:
        """Exact trainings one after another, one for each of as many schedules (leading axis) and keys."""
        return _runs(self, self.memory, schedules, keys, judged, tested)

    def energy(self, transfers) -> Float[Array, "..."]:
        """Energy of a training [nJ] with so many transfers, the first and the last one added; linear in them."""
        fixed, each = self._price
        return fixed + each * (jnp.asarray(transfers) + 2)

    def _prices(self) -> tuple[float, float]:
        """Energy of a training without transfers, and of one of them [nJ]."""
        costs, array = HybridCosts.from_card(self.card), HybridArray.from_card(self.card)
        synapses = sum(a * b for a, b in zip(self.sizes[:-1], self.sizes[1:], strict=True))
        updates = self.rule.probability * self.samples * synapses

        def total(transfers: float) -> float:
            work = Work.of_training(self.sizes, array, samples=self.samples, updates=updates, transfers=transfers)
            return float(costs.energies(work).total)

        return total(0.0), total(1.0) - total(0.0)

    def wear(self, transfers: float) -> dict[str, float]:
        """Trainings that the worst FeCAP and memristor survive, by the card's endurance and the article's rule."""
        prices = OperationPrices.from_card(self.card)
        rule = published_rule(
            prices, samples=self.samples, probability=self.rule.probability, period=self.samples / (transfers + 2)
        )
        return {"fecap": float(rule.fecap_margin), "memristor": float(rule.memristor_margin)}


@eqx.filter_jit
def _runs(
    task: Any, memory: HybridMemory, schedules: AbstractSchedule, keys, judged: Part, tested: Part | None
) -> Outcome:
    return jax.lax.map(lambda one: task.run(Training(memory, one[0]), one[1], judged, tested), (schedules, keys))


def run_keys(key: Key[Array, ""], number: int) -> Key[Array, " runs"]:
    """Keys of so many runs."""
    return jax.vmap(lambda run: address(key, run))(jnp.arange(number))


def even_phases(keys: Key[Array, " runs"]) -> Float[Array, " runs"]:
    """A phase in [0, 1) for each run, so that no schedule gains by where its last transfer happens to fall."""
    return jax.vmap(lambda key: jax.random.uniform(stream(key, "phase")))(keys)


def mean_and_error(values: Any) -> list[float]:
    """Mean, and its standard error."""
    values = np.asarray(values, float)
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return [float(values.mean()), float(error)]
