"""Systems that learn on after a change, tested on what they learned before and on what is new after every epoch."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from training.tables.case import Case, Learner
from training.tables.scenarios import Course

COUNTED = ("samples", "transfers", "fecap_operations", "memristor_operations")


class Progress(NamedTuple):
    """Systems now and at the end of the first stage; after every epoch accuracies and counts since the start."""

    systems: Any
    trained: Any
    accuracy: Float[np.ndarray, "epochs stages seeds"]
    counts: Float[np.ndarray, "epochs kinds seeds"]


class CourseCase(Case):
    """Systems of a learner in a course: its first stage once, and from there each change."""

    def __init__(self, learner: Learner, course: Course):
        super().__init__(f"{course.first.name}_{learner.name}", course.epochs)
        self._learner, self._course = learner, course
        self._loaded: int | None = None

    def start(self):
        systems, seeds = self._learner.start(), len(self._learner.experiment.keys)
        accuracy = np.zeros((self.epochs, len(self._course.stages), seeds))
        return Progress(systems, systems, accuracy, np.zeros((self.epochs, len(COUNTED), seeds)))

    def epoch(self, state: Progress, number: int):
        stage, epoch = self._course.place(number)
        if self._loaded != stage:
            self._learner.experiment.learn_from(self._course.stages[stage].learned())
            self._loaded = stage
        systems = state.trained if stage and not epoch else state.systems
        # the order of samples is that of the epoch in a system's life, whatever other changes there are
        lived = self._course.first.epochs + epoch if stage else epoch
        systems, right = self._learner.epoch(systems, lived)
        accuracy, counts = state.accuracy.copy(), state.counts.copy()
        accuracy[number] = self._tested(systems)
        counts[number] = self._counted(systems)
        return Progress(systems, state.trained if stage else systems, accuracy, counts), right

    def _tested(self, systems: Any) -> Float[np.ndarray, "stages seeds"]:
        experiment, params = self._learner.experiment, self._learner.params(systems)
        return np.stack([np.asarray(experiment.accuracy(params, stage.test)) for stage in self._course.stages])

    def _counted(self, systems: Any) -> Float[np.ndarray, "kinds seeds"]:
        found, seeds = self._learner.counts(systems), len(self._learner.experiment.keys)
        return np.stack([np.broadcast_to(np.float64(found.get(kind, 0)), seeds) for kind in COUNTED])

    def measure(self, state: Progress):
        stages = [[stage.name, stage.epochs] for stage in self._course.stages]
        return {"stages": stages, "accuracy": state.accuracy.tolist(), "counts": state.counts.tolist()}

    def release(self) -> None:
        self._learner.release()
        self._loaded = None
