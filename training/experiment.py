"""A configured experiment: its compiled programs, and what it carries from epoch to epoch."""

from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import hfsim
from hfsim.draws import address, stream
from hfsim.errors import InputError
from hfsim.hybrid import WORDS_PER_UNIT, memristor, transfer
from hfsim.learning import HybridMemory, Nearest, Stochastic, Truncate
from models import MLP
from training import checkpoint
from training.configuration import CARD, OnChip, require_same_run
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


class Progress:
    """What a run carries from epoch to epoch: both networks and their learning curves."""

    def __init__(self, experiment: Experiment):
        self.hybrid = experiment.config.memory == "hybrid"
        self.epoch = 0
        self.seconds = 0.0
        self.chips = experiment.start() if self.hybrid else None
        self.params = experiment.initial_params()
        self.curves: dict[str, list[list[float]]] = {
            name: [] for name in (("chip", "chip_online") if self.hybrid else ()) + ("float", "float_online")
        }

    def step(self, experiment: Experiment, accuracy) -> None:
        """Train both networks for one epoch; `accuracy` measures them on the validation part."""
        if self.chips is not None:
            self.chips, online = experiment.train(self.chips, self.epoch)
            self.curves["chip"].append(np.asarray(accuracy(self.chips.params)).tolist())
            self.curves["chip_online"].append(np.asarray(online).tolist())
        self.params, online = experiment.train_float(self.params, self.epoch)
        self.curves["float"].append(np.asarray(accuracy(self.params)).tolist())
        self.curves["float_online"].append(np.asarray(online).tolist())
        self.epoch += 1

    def headline(self) -> str:
        """Validation accuracy now, mean over chips."""
        return ", ".join(
            f"{name} {np.mean(self.curves[name][-1]):.1%}" for name in ("chip", "float") if name in self.curves
        )

    def save(self, path: Path, settings: dict[str, Any]) -> None:
        """Write a checkpoint."""
        arrays = checkpoint.chip_arrays(self.chips) if self.chips is not None else {}
        for index, leaf in enumerate(jax.tree.leaves(self.params)):
            arrays[f"float_kernel_{index}"] = np.asarray(leaf)
        record = {"settings": settings, "epoch": self.epoch, "seconds": self.seconds, "curves": self.curves}
        checkpoint.save(path, arrays, record)

    def restore(self, path: Path, settings: dict[str, Any]) -> None:
        """Take up a checkpoint of the same settings; `epochs` alone may differ.

        Raises:
            InputError: it is damaged, or of another configuration.
        """
        arrays, record = checkpoint.load(path)
        if not {"settings", "epoch", "seconds", "curves"} <= record.keys():
            raise InputError("checkpoint", "be one of this program", f"{path}, which lacks its record")
        require_same_run(settings, record["settings"])
        if record["epoch"] > settings["epochs"]:
            raise InputError(
                "--epochs", f"be at least the {record['epoch']} epochs that the run has behind it", settings["epochs"]
            )
        if self.chips is not None:
            self.chips = checkpoint.restore_chips(self.chips, arrays)
        leaves, structure = jax.tree.flatten(self.params)
        stored = [arrays.get(f"float_kernel_{index}") for index in range(len(leaves))]
        if any(found is None or found.shape != leaf.shape for found, leaf in zip(stored, leaves, strict=True)):
            raise InputError("checkpoint", "hold the arrays of this network", "another network's")
        self.params = jax.tree.unflatten(structure, [jnp.asarray(found) for found in stored])
        self.epoch, self.seconds, self.curves = record["epoch"], record["seconds"], record["curves"]
