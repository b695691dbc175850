"""The job itself: some batches of every rule at a time, then tests, curves, tables and what the networks write."""

from functools import partial
from typing import Any

import jax
import numpy as np

from hfsim.draws import address, stream
from hfsim.errors import InputError
from training.char_lstm.configuration import CharLSTM
from training.char_lstm.figures import draw
from training.char_lstm.reader import WARM_UP, Reader, bits, frequencies_loss
from training.data import load_text
from training.data.text import batches
from training.job import Results, Table, metric
from training.pulsed.job import RulesJob, ageing_metrics, ageing_rows, pulse_metrics
from training.pulsed.names import COMPENSATED, FLOAT, LABELS, TIMES
from training.pulsed.rules import TransferSettings, cmo_synapse, make_rule


class CharLSTMJob(RulesJob):
    """A step is `chunk` batches of every rule, or what is left of the epoch."""

    unit = "chunks"
    template = "char_lstm/report.html.j2"

    def __init__(self, config: CharLSTM):
        self.config = config
        self.text = load_text(config.text, config.data)
        least = config.batch * config.sequence
        for part in ("train", "validation", "test"):
            length = len(getattr(self.text, part))
            if length <= least:
                must = f"leave more than {config.batch} x {config.sequence} characters for the {part} part"
                raise InputError("--text", must, length, "give a smaller --batch or --sequence, or a longer text")
        self.inputs, self.targets = batches(self.text.train, config.batch, config.sequence)
        self.per_epoch = -(-len(self.inputs) // config.chunk)
        self.total = config.epochs * self.per_epoch
        settings = TransferSettings(**config.transfer())
        self.key, synapse, vocabulary = jax.random.key(config.seed), cmo_synapse(), len(self.text.vocabulary)

        def rule(name):
            return None if name == FLOAT else make_rule(name, synapse, config.learning_rate, self.key, settings)

        self.readers = {name: Reader(name, rule(name), config, vocabulary) for name in config.rules}
        self.trained = {name: reader.start() for name, reader in self.readers.items()}
        self.curves: dict[str, list[list[float]]] = {name: [] for name in config.rules}

    def step(self) -> None:
        epoch, chunk = divmod(self.steps, self.per_epoch)
        part = slice(chunk * self.config.chunk, (chunk + 1) * self.config.chunk)
        number, rate = epoch * len(self.inputs) + part.start, self.config.decay**epoch
        for name, reader in self.readers.items():
            trained = self.trained[name] if chunk else reader.rewound(self.trained[name])
            trained, losses = reader.train(trained, self.inputs[part], self.targets[part], number, rate)
            self.trained[name] = trained
            validated = reader.loss(
                trained, self.text.validation, self._key("validation", self.steps), most=self.config.validation
            )
            self.curves[name].append([validated, float(np.mean([float(loss) for loss in losses]))])

    def _key(self, name: str, number: int = 0):
        return address(stream(self.key, name), number)

    def headline(self) -> str:
        """Validation loss now."""
        return ", ".join(f"{name} {curve[-1][0]:.3f}" for name, curve in self.curves.items() if curve) + " nats"

    def finish(self) -> Results:
        metrics = self._text_metrics()
        for name in self.config.rules:
            metrics |= self._measured(name)
        value = {name: entry["value"] for name, entry in metrics.items()}
        rules = self.config.rules
        return Results(
            title="A text read and written by a network of memristors",
            metrics=metrics,
            highlights=_highlights(value, rules),
            figures=draw(value, rules),
            tables=[table(value, rules)],
            summary=[f"{LABELS[name]:<16}{value[f'{name}_test_loss']:.4f} nats per character, test" for name in rules],
            context={"written": {LABELS[name]: value[f"{name}_text"] for name in rules}, "warm_up": self._warm_up()},
        )

    def _text_metrics(self) -> dict[str, dict[str, Any]]:
        epochs, chunks = np.divmod(np.arange(1, self.steps + 1), self.per_epoch)
        done = epochs * len(self.inputs) + np.minimum(chunks * self.config.chunk, len(self.inputs))
        return {
            "vocabulary": metric(len(self.text.vocabulary), "1"),
            "characters": metric([len(part) for part in self.text[1:4]], "1"),
            "epochs": metric(done[-1:].sum() / len(self.inputs), "1"),
            "epochs_at_points": metric(done / len(self.inputs), "1"),
            "ages": metric(list(TIMES), "1"),
            "frequencies_test_loss": metric(
                frequencies_loss(self.text.train, self.text.test, len(self.text.vocabulary)), "nat"
            ),
        }

    def _measured(self, name: str) -> dict[str, dict[str, Any]]:
        """Curves of a rule, and its network's last losses, read with the same draws at every age."""
        reader, trained, text = self.readers[name], self.trained[name], self.text
        tested = reader.loss(trained, text.test, self._key("test"))
        codes = reader.written(trained, text.validation[:WARM_UP], self.config.sample, self._key("writing"))
        found = {
            f"{name}_validation_loss_at_points": metric([row[0] for row in self.curves[name]], "nat"),
            f"{name}_training_loss_at_points": metric([row[1] for row in self.curves[name]], "nat"),
            f"{name}_validation_loss": metric(reader.loss(trained, text.validation, self._key("test", 1)), "nat"),
            f"{name}_test_loss": metric(tested, "nat"),
            f"{name}_test_loss_bits": metric(bits(tested), "bit"),
            f"{name}_text": metric(text.decode(codes), "1"),
        }
        if name != FLOAT:
            found |= ageing_metrics(name, "loss", "nat", partial(reader.loss, trained, text.test, self._key("test")))
            found |= pulse_metrics(name, trained.arrays)
        return found

    def _warm_up(self) -> str:
        return self.text.decode(self.text.validation[:WARM_UP])


def table(value: dict[str, Any], rules: tuple[str, ...]) -> Table:
    """Test losses of the rules, fresh and aged."""
    rows = []
    for name in rules:
        loss = value[f"{name}_test_loss"]
        first = [LABELS[name], f"{value[f'{name}_validation_loss']:.3f}", f"{loss:.3f}", f"{bits(loss):.3f}"]
        rows += ageing_rows(value, name, "loss", first, "{:.3f}".format)
    nothing = value["frequencies_test_loss"]
    rows.append(["characters' frequencies", "", f"{nothing:.3f}", f"{bits(nothing):.3f}", *[""] * len(value["ages"])])
    head = ["", "validation", "test", "test [bits]", *(f"test, {age}" for age in value["ages"])]
    return Table(f"Loss in nats per character after {value['epochs']:.3g} epochs", head, rows)


def _highlights(value: dict[str, Any], rules: tuple[str, ...]) -> list[tuple[str, str]]:
    shown = [(f"{value[f'{name}_test_loss']:.3f}", f"{LABELS[name]}, nats per character, test") for name in rules[:4]]
    pulsed = next((name for name in rules if name != FLOAT), None)
    if pulsed is not None:
        aged = value[f"{pulsed}_loss_by_age{COMPENSATED}"][-1]
        shown.append((f"{aged:.3f}", f"{LABELS[pulsed]}, after ten years at rest, shift compensated"))
    return shown
