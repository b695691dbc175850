"""The job itself: an epoch of one rule after another, all devices and seeds at once."""

from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hfsim.learning import PulsedSynapse
from training.ablation.cases import SWEEPS, Case, device, stacked
from training.ablation.configuration import Ablation
from training.ablation.figures import draw
from training.data import Split, load_digits
from training.job import Results, Table, metric
from training.pulsed.images import after_epoch, batches, loss, unit
from training.pulsed.job import RulesJob
from training.pulsed.learner import Learner
from training.pulsed.names import LABELS
from training.pulsed.networks import perceptron
from training.pulsed.rules import TransferSettings, make_rule

SIZES = (64, 100, 10)


class AblationJob(RulesJob):
    """A step is an epoch of one rule; the rules take turns."""

    unit = "epochs of a rule"

    def __init__(self, config: Ablation):
        self.config = config
        self.total = config.epochs * len(config.rules)
        self.data = load_digits()
        self.names, self.cases = stacked(config.sweeps)
        self.seeds = jnp.arange(config.seed, config.seed + config.seeds, dtype=jnp.uint32)
        self.images, self.labels = unit(self.data.train), jnp.asarray(self.data.train.labels)
        self.batches, self.settings = batches(config, self.data), TransferSettings(**config.transfer())
        self.trained = {name: self._start(name) for name in config.rules}
        self.curves: dict[str, list[Any]] = {name: [] for name in config.rules}

    def _learner(self, name: str, case: Case, seed) -> Learner:
        """One network on the devices of a case."""
        config, root = self.config, jax.random.key(seed)
        network = perceptron(SIZES, name, (config.fill,) * 2, False, root)
        rule = make_rule(name, PulsedSynapse(device=device(case)), config.learning_rate, root, self.settings)
        return Learner(network, loss, rule, learning_rate=config.learning_rate, key=root)

    def _over_all(self, function):
        """`function` of (case, seed, ...) for all cases and seeds, compiled."""
        by_seed = jax.vmap(function, in_axes=(None, 0, 0, None, None))
        return jax.jit(jax.vmap(by_seed, in_axes=(0, None, 0, None, None)))

    def _start(self, name: str) -> Any:
        def start(case, seed, unused, also, too):
            return self._learner(name, case, seed).start()

        blank = jnp.zeros((len(self.names), len(self.seeds)))
        return self._over_all(start)(self.cases, self.seeds, blank, None, None)

    @cached_property
    def _epochs(self) -> dict[str, Any]:
        return {name: self._over_all(partial(self._epoch, name)) for name in self.config.rules}

    def _epoch(self, name: str, case: Case, seed, trained, number, rate):
        learner = self._learner(name, case, seed)
        size = (self.batches, self.config.batch)
        trained, _ = after_epoch(learner, trained, number, rate, (self.images, self.labels), size)
        return trained, _accuracy(learner, trained, self.data.validation)

    def step(self) -> None:
        epoch, place = divmod(self.steps, len(self.config.rules))
        name = self.config.rules[place]
        rate = jnp.asarray(self.config.decay**epoch)
        self.trained[name], validated = self._epochs[name](
            self.cases, self.seeds, self.trained[name], jnp.int32(epoch), rate
        )
        self.curves[name].append(np.asarray(validated).tolist())

    def headline(self) -> str:
        """Best validation accuracy of each rule now, over the cases."""
        best = {name: np.mean(curve[-1], axis=1).max() for name, curve in self.curves.items() if curve}
        return ", ".join(f"{name} {value:.1%}" for name, value in best.items())

    def finish(self) -> Results:
        metrics = {}
        for name in self.config.rules:

            def tested(case, seed, trained, also, too, name=name):
                return _accuracy(self._learner(name, case, seed), trained, self.data.test)

            found = np.asarray(self._over_all(tested)(self.cases, self.seeds, self.trained[name], None, None))
            for sweep in self.config.sweeps:
                own = [place for place, (other, _) in enumerate(self.names) if other == sweep]
                metrics[f"{name}_{sweep}_test_accuracy"] = metric(found[own].mean(axis=1), "1")
                metrics[f"{name}_{sweep}_test_accuracy_per_seed"] = metric(found[own], "1")
        for sweep in self.config.sweeps:
            metrics[sweep] = metric(list(SWEEPS[sweep][1]), "1")
        metrics["epochs"] = metric(len(self.curves[self.config.rules[0]]), "1")
        value = {name: entry["value"] for name, entry in metrics.items()}
        return Results(
            title="What a device's properties do to each learning rule",
            metrics=metrics,
            figures=draw(value, self.config.rules, self.config.sweeps),
            tables=tables(value, self.config.rules, self.config.sweeps),
            notes=["All else is the card's: up_down -0.22, 22 states, noise 0.86 dw_min, reference exact."],
            summary=[f"{sweep}: {SWEEPS[sweep][0]}, {len(SWEEPS[sweep][1])} values" for sweep in self.config.sweeps],
        )


def tables(value: dict[str, Any], rules: tuple[str, ...], sweeps: tuple[str, ...]) -> list[Table]:
    """Test accuracy of every rule, one table for each property."""
    made = []
    for sweep in sweeps:
        rows = [[LABELS[name], *(f"{a:.1%}" for a in value[f"{name}_{sweep}_test_accuracy"])] for name in rules]
        made.append(Table(f"Test accuracy: {SWEEPS[sweep][0]}", ["", *(f"{v:g}" for v in value[sweep])], rows))
    return made


def _accuracy(learner: Learner, trained, split: Split):
    logits = learner.parts.network(trained.weights, trained.digital)(unit(split))
    return jnp.mean(jnp.argmax(logits, axis=-1) == jnp.asarray(split.labels))
