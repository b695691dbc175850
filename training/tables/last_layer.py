"""Transfer learning: a last layer on the features of a frozen network, learned offline and on the chip.

Offline in floating point, on a network of floating point; offline on the network in four bits, the layer brought to
four bits afterwards; and online on the chip, on that same network: p = 1, a transfer every 512 samples, rate 0.1, times
0.1 once. The base networks are the project's own, so that accuracies are not the article's tasks: what compares is
how much the chip loses. Martemucci et al., Nature Electronics 8, 921 (2025).
"""

from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from hfsim.draws import stream
from models.convolutional import FEATURES
from training.data import Dataset, Split
from training.hybrid.experiment import Experiment
from training.hybrid.loop import Chip
from training.hybrid.task import Task
from training.tables.case import Case, operations
from training.tables.configuration import Tables
from training.tables.last_layer_results import present as present
from training.tables.systems import make_experiment, reported, transfer_of, with_options
from training.transfer_learning.base import Base, BaseNetwork
from training.transfer_learning.four_bits import four_bits
from training.transfer_learning.pairs import PAIRS, Load

DEFAULT_PAIRS = ("mnist-halves", "mnist-to-fashion", "fashion-to-mnist")
BASE_EPOCHS = 5
STORAGES = ("linear", "measured")


class Learners(NamedTuple):
    """The base network, and the last layers of all systems: offline in both ways, and chips by storage."""

    base: Base
    offline_float: Any
    offline_four_bits: Any
    chips: dict[str, Chip]


class LastLayerCase(Case):
    """One pair: epochs of the base network first, then of all last layers. All systems share the base network."""

    def __init__(self, config: Tables, name: str):
        self._config, self._pair = config, PAIRS[name]
        self._base_epochs = BASE_EPOCHS if config.base_epochs is None else config.base_epochs
        self._task = with_options(config, _task(self._pair.title, self._pair.target))
        super().__init__(name, self._base_epochs + self._task.epochs)
        self._on_features: dict[str, Experiment] | None = None
        # read once and let go: data that are not to be had, or too few, are told before the run begins
        _, self._classes = (reported(config, load).classes for load in (self._pair.base, self._pair.target))

    @cached_property
    def base(self) -> BaseNetwork:
        """The network that will be frozen, with its data."""
        key = stream(jax.random.key(self._config.seed), "base network")
        return BaseNetwork(reported(self._config, self._pair.base), key)

    def _experiments(self, precise: Dataset, coarse: Dataset) -> dict[str, Experiment]:
        """Systems on features of the network in floating point, and on those of four bits, by storage."""
        seen = {"float": precise, **dict.fromkeys(STORAGES, coarse)}
        return {
            storage: make_experiment(self._config, self._task, data, transfer_of(self._config, storage))
            for storage, data in seen.items()
        }

    def _frozen(self, params: Any) -> dict[str, Experiment]:
        """Systems on the trained base network, whose parameters no longer change: made once."""
        if self._on_features is None:
            target = reported(self._config, self._pair.target)
            self._on_features = self._experiments(*(self.base.features(params, target, bits) for bits in (False, True)))
        return self._on_features

    def start(self):
        # a layer starts alike on all features: there are none before the base network is trained
        blank = Split(np.zeros((1, FEATURES), np.float32), np.zeros(1, np.int32))
        data = Dataset("blank", blank, blank, blank, self._classes)
        systems = self._experiments(data, data)
        layers = systems["float"].initial_params()
        chips = {storage: systems[storage].start() for storage in STORAGES}
        return Learners(self.base.start(), layers, layers, chips)

    def epoch(self, state, number):
        if number < self._base_epochs:
            base, right = self.base.train(state.base, number)
            return state._replace(base=base), [float(right)]
        systems, own = self._frozen(state.base.params), number - self._base_epochs
        learned = {storage: systems[storage].train(state.chips[storage], own) for storage in STORAGES}
        offline_float, _ = systems["float"].train_float(state.offline_float, own)
        offline_four_bits, _ = systems["linear"].train_float(state.offline_four_bits, own)
        chips = {storage: chip for storage, (chip, _) in learned.items()}
        right = np.asarray(learned["measured"][1]).tolist()
        return Learners(state.base, offline_float, offline_four_bits, chips), right

    def measure(self, state):
        systems = self._frozen(state.base.params)
        rounded = jax.tree.map(jax.vmap(four_bits), state.offline_four_bits)
        done = {storage: systems[storage].finish(state.chips[storage]) for storage in STORAGES}
        tested = {
            "offline_float": (systems["float"], state.offline_float),
            "offline_four_bits": (systems["linear"], rounded),
            **{f"online_{storage}": (systems[storage], done[storage].params) for storage in STORAGES},
        }
        return {
            "base": [self.base.accuracy(state.base.params, bits) for bits in (False, True)],
            "accuracy": {
                name: np.asarray(system.accuracy(params, system.data.test)).tolist()
                for name, (system, params) in tested.items()
            },
            **operations(done["measured"]),
        }

    def release(self) -> None:
        delattr(self, "base")
        self._on_features = None


def _task(title: str, load: Load) -> Task:
    """The last layer's: the article's p, k and rate; ours are its norm, its epochs and when the rate decays."""
    return Task(
        title=title,
        load=load,
        hidden=(),
        norm="layer",
        epochs=10,
        probability=1.0,
        learning_rate=0.1,
        period=512,
        decay=0.1,
        decay_after=0.5,
    )


def cases(config: Tables) -> list[Case]:
    """Every pair."""
    return [LastLayerCase(config, name) for name in config.pairs or DEFAULT_PAIRS]
