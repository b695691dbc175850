"""The job itself: an epoch of every network at a time, then tests, curves and a table."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from training.job import Results, Table, metric
from training.learning_rates.configuration import LearningRates
from training.learning_rates.figures import draw
from training.pulsed.images import ImageLearner, load_images, test_key
from training.pulsed.job import RulesJob
from training.pulsed.names import LABELS
from training.pulsed.rules import TransferSettings, cmo_synapse, make_rule

NO_CEILING = 1e9
WAYS = {"ceiling": "with the ceiling", "no_ceiling": "without"}
"""With a ceiling of transfers, and without."""
WITHIN = 0.01
"""Accuracy below the best that still counts as robust."""


class LearningRatesJob(RulesJob):
    """A step is an epoch of every network, so that all have learned as long whenever it ends."""

    def __init__(self, config: LearningRates):
        self.config, self.data, self.total = config, load_images(config), config.epochs
        key, settings = jax.random.key(config.seed), TransferSettings(**config.transfer())
        rule = make_rule(config.rule, cmo_synapse(), 1.0, key, settings)
        self.learner = ImageLearner(config.rule, rule, self.data, config, config.digital_rate)
        self.rules = {
            f"{way} {rate:g}": eqx.tree_at(
                lambda r: (r.learning_rate, r.ceiling), rule, (jnp.float32(rate), jnp.float32(ceiling))
            )
            for way, ceiling in zip(WAYS, (config.ceiling, NO_CEILING), strict=True)
            for rate in config.rates
        }
        self.trained = dict.fromkeys(self.rules, self.learner.start())
        self.curves: dict[str, list[Any]] = {name: [] for name in self.rules}

    def step(self) -> None:
        rate, key = self.config.decay**self.steps, test_key(self.learner, self.steps)
        for name, rule in self.rules.items():
            self.trained[name], _ = self.learner.epoch(self.trained[name], self.steps, rate, rule)
            self.curves[name].append(self.learner.accuracy(self.trained[name], self.data.validation, key))

    def headline(self) -> str:
        """Validation accuracy now, of the best."""
        return f"best {max(curve[-1] for curve in self.curves.values()):.1%}"

    def finish(self) -> Results:
        metrics = {"rates": metric(list(self.config.rates), "1"), "epochs": metric(self.steps, "1")}
        last = test_key(self.learner, self.config.epochs)
        for way in WAYS:
            names = [f"{way} {rate:g}" for rate in self.config.rates]
            tested = [self.learner.accuracy(self.trained[name], self.data.test, last) for name in names]
            metrics[f"{way}_validation_by_epoch"] = metric([self.curves[name] for name in names], "1")
            metrics[f"{way}_test_accuracy"] = metric(tested, "1")
        value = {name: entry["value"] for name, entry in metrics.items()}
        label = LABELS[self.config.rule]
        return Results(
            title=f"{label} over learning rates: {self.config.dataset}",
            metrics=metrics,
            figures=draw(value, label, self.config.dataset),
            tables=[table(value)],
            notes=[robustness(value)],
            summary=[robustness(value)],
        )


def table(value: dict[str, Any]) -> Table:
    """Test accuracy over learning rates."""
    rows = [[WAYS[way], *(f"{a:.2%}" for a in value[f"{way}_test_accuracy"])] for way in WAYS]
    return Table("Test accuracy", ["learning rate", *(f"{rate:g}" for rate in value["rates"])], rows)


def robustness(value: dict[str, Any]) -> str:
    """Over which factor of the learning rate accuracy stays within a point of the way's own best.

    The widest range of neighbouring rates counts.
    """
    said = []
    for way, label in WAYS.items():
        pairs = sorted(zip(value["rates"], value[f"{way}_test_accuracy"], strict=True))
        least = max(accuracy for _, accuracy in pairs) - WITHIN
        best, run = 0.0, []
        for rate, accuracy in pairs:
            run = [*run, rate] if accuracy >= least else []
            best = max(best, run[-1] / run[0] if run else 0.0)
        said.append(f"{label} over a factor of {best:g}")
    return f"Within {100 * WITHIN:g} point of its own best: {', '.join(said)}."
