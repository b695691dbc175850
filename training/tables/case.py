"""One line of a table: systems that learn for some epochs, and what is measured of them."""

import abc
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from hfsim.hybrid import count_network
from training.hybrid.experiment import Experiment
from training.hybrid.loop import Chip

Measures = dict[str, Any]


class Case(abc.ABC):
    """Its state is a pytree of arrays whose structure never changes; an epoch depends on state and number alone."""

    def __init__(self, name: str, epochs: int):
        self.name, self.epochs = name, epochs

    @abc.abstractmethod
    def start(self) -> Any:
        """The state before the first epoch."""

    @abc.abstractmethod
    def epoch(self, state: Any, number: int) -> tuple[Any, list[float]]:
        """The state after one more epoch, and the share that each system got right in it."""

    @abc.abstractmethod
    def measure(self, state: Any) -> Measures:
        """What the trained systems do, ready for JSON."""

    def release(self) -> None:  # noqa: B027, a case without data has nothing to do
        """Let go of data and programs; called after `measure`."""


class Learner(Case):
    """Systems of one experiment, which is made when it is first needed, for its data are large."""

    def __init__(self, name: str, epochs: int, make: Callable[[], Experiment]):
        super().__init__(name, epochs)
        self._make = make

    @cached_property
    def experiment(self) -> Experiment:
        return self._make()

    @abc.abstractmethod
    def params(self, state: Any) -> Any:
        """The weights of each system that a test uses; the state stays as it is."""

    def counts(self, state: Any) -> Measures:
        """Operations of the memory up to now; none where there is no memory."""
        return {}

    def release(self) -> None:
        self.__dict__.pop("experiment", None)

    def _accuracy(self, params: Any) -> list[float]:
        return np.asarray(self.experiment.accuracy(params, self.experiment.data.test)).tolist()


class FloatCase(Learner):
    """The same networks in floating point."""

    def start(self):
        return self.experiment.initial_params()

    def epoch(self, state, number):
        params, right = self.experiment.train_float(state, number)
        return params, np.asarray(right).tolist()

    def params(self, state):
        return state

    def measure(self, state):
        return {"accuracy": self._accuracy(state)}


class ChipCase(Learner):
    """Chips."""

    def start(self):
        return self.experiment.start()

    def epoch(self, state, number):
        chips, right = self.experiment.train(state, number)
        return chips, np.asarray(right).tolist()

    def params(self, state):
        return self.experiment.finish(state).params

    def measure(self, state):
        chips = self.experiment.finish(state)
        return {"accuracy": self._accuracy(chips.params), **self.counts(chips)}

    def counts(self, state: Chip) -> Measures:
        """Operations of each chip, and the sizes of its network."""
        return {"sizes": list(self.experiment.sizes), **operations(state)}


def operations(chips: Chip) -> Measures:
    """Operations of each chip: of its worst cell, and of its whole network."""
    transfers = int(np.asarray(chips.memory.transfers)[0])
    layers = [np.asarray(weight.updates) for weight in chips.memory.weights]
    counts = [count_network([layer[chip] for layer in layers], transfers) for chip in range(len(layers[0]))]
    kept = (
        "updates",
        "worst_updates",
        "worst_fecap_operations",
        "worst_memristor_operations",
        "fecap_operations",
        "memristor_operations",
    )
    return {
        "samples": int(np.asarray(chips.memory.samples)[0]),
        "synapses": counts[0].synapses,
        "transfers": transfers,
        **{name: [getattr(count, name) for count in counts] for name in kept},
    }
