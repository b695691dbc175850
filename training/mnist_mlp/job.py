"""The job itself: an epoch of one rule after another, then tests, curves and tables."""

from functools import partial
from typing import Any

import jax

from training.job import Results, Table, metric
from training.mnist_mlp.configuration import MnistMLP
from training.mnist_mlp.figures import draw
from training.pulsed.images import ImageLearner, load_images, test_key
from training.pulsed.job import RulesJob, ageing_metrics, ageing_rows, pulse_metrics
from training.pulsed.names import COMPENSATED, FLOAT, LABELS, TIMES
from training.pulsed.rules import TransferSettings, cmo_synapse, make_rule


class MnistMLPJob(RulesJob):
    """A step is an epoch of one rule; the rules take turns."""

    unit = "epochs of a rule"

    def __init__(self, config: MnistMLP):
        self.config = config
        self.total = config.epochs * len(config.rules)
        self.data = load_images(config)
        settings = TransferSettings(**config.transfer())
        key, synapse = jax.random.key(config.seed), cmo_synapse()

        def learner(name: str) -> ImageLearner:
            if name == FLOAT:
                return ImageLearner(name, None, self.data, config, config.rate(name))
            rule = make_rule(name, synapse, config.rate(name), key, settings)
            return ImageLearner(name, rule, self.data, config, config.learning_rate)

        self.learners = {name: learner(name) for name in config.rules}
        self.trained = {name: learner.start() for name, learner in self.learners.items()}
        self.curves: dict[str, list[list[float]]] = {name: [] for name in config.rules}

    def step(self) -> None:
        epoch, place = divmod(self.steps, len(self.config.rules))
        name = self.config.rules[place]
        learner = self.learners[name]
        self.trained[name], online = learner.epoch(self.trained[name], epoch, self.config.decay**epoch)
        validated = learner.accuracy(self.trained[name], self.data.validation, test_key(learner, epoch))
        self.curves[name].append([validated, online])

    def headline(self) -> str:
        """Validation accuracy now."""
        return ", ".join(f"{name} {curve[-1][0]:.1%}" for name, curve in self.curves.items() if curve)

    def finish(self) -> Results:
        metrics = {"epochs": metric(len(self.curves[self.config.rules[0]]), "1")}
        for name, learner in self.learners.items():
            curve = self.curves[name]
            metrics[f"{name}_validation_by_epoch"] = metric([row[0] for row in curve], "1")
            metrics[f"{name}_online_by_epoch"] = metric([row[1] for row in curve], "1")
            last = test_key(learner, self.config.epochs)
            tested = learner.accuracy(self.trained[name], self.data.test, last)
            metrics[f"{name}_test_accuracy"] = metric(tested, "1")
            if name != FLOAT:
                at = partial(learner.accuracy, self.trained[name], self.data.test, last)
                metrics |= ageing_metrics(name, "accuracy", "1", at)
                metrics |= pulse_metrics(name, self.trained[name].arrays)
        metrics["ages"] = metric(list(TIMES), "1")
        value = {name: entry["value"] for name, entry in metrics.items()}
        return Results(
            title=f"A perceptron trained by pulses: {self.config.dataset}",
            metrics=metrics,
            highlights=_highlights(value, self.config.rules),
            figures=draw(value, self.config.rules, self.config.dataset),
            tables=[table(value, self.config.rules)],
            summary=[f"{LABELS[name]:<16}{value[f'{name}_test_accuracy']:.2%}" for name in self.config.rules],
        )


def table(value: dict[str, Any], rules: tuple[str, ...]) -> Table:
    """Test accuracy of the rules, fresh and aged."""
    rows = []
    for name in rules:
        first = [LABELS[name], f"{value[f'{name}_test_accuracy']:.2%}"]
        rows += ageing_rows(value, name, "accuracy", first, "{:.2%}".format)
    return Table("Test accuracy", ["", "trained", *TIMES], rows)


def _highlights(value: dict[str, Any], rules: tuple[str, ...]) -> list[tuple[str, str]]:
    shown = [(f"{value[f'{name}_test_accuracy']:.2%}", f"{LABELS[name]}, test") for name in rules[:3]]
    best = next((name for name in rules if name != FLOAT), None)
    if best is not None:
        aged = value[f"{best}_accuracy_by_age{COMPENSATED}"][-1]
        shown.append((f"{aged:.2%}", f"{LABELS[best]}, after ten years at rest, shift compensated"))
    return shown
