"""The options of training by pulses on a text."""

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from training.pulsed.configuration import PulsedConfiguration
from training.pulsed.names import RULES


@dataclasses.dataclass(frozen=True)
class CharLSTM(PulsedConfiguration):
    """Train a character LSTM of two layers of 64 on arrays of CMO/HfOx devices, then leave it alone for ten years.

    The text is read in streams side by side, a chunk of each at a time, and the loss is that of the next character.
    Every rule starts from the same weights and reads the same chunks under the same dropout. Weights live in simulated
    devices of 22 states (card cmo-hfox-2025-pulsed), biases are digital. A character of a stream is a sample: pulses
    of one sample come after those of another. Give a time budget with --minutes: an epoch of a book takes minutes in
    floating point, and much longer by pulses.
    """

    name: ClassVar[str] = "char-lstm"
    length: ClassVar[str] = "epochs"
    unsettling: ClassVar[tuple[str, ...]] = (*PulsedConfiguration.unsettling, "text")

    epochs: int = 2
    """Passes over the training part of the text, of every rule."""
    rules: tuple[str, ...] = ("float", "agad")
    """Which rules: float, agad, cttv2, ttv2, mixed, sgd."""
    text: Path | None = None
    """A text in UTF-8, in place of war_and_peace.txt of a data directory. Its contents are a setting of the run, its
    place is not."""
    data: Path | None = None
    """Directory of the data sets, in place of $HFSIM_DATA or ~/.cache/hfsim."""
    batch: int = 32
    """Streams side by side."""
    sequence: int = 100
    """Characters of each stream in a gradient step, through which errors go back in time."""
    chunk: int = 30
    """Gradient steps between two points of the curves: the unit of checkpoints and of --minutes."""
    hidden: int = 64
    """Size of each LSTM layer."""
    layers: int = 2
    """LSTM layers."""
    dropout: float = 0.2
    """Share of each layer's outputs that is left out in training."""
    learning_rate: float = 10.0
    """Of the mean loss of a batch, in units of the float matrix, for every rule and for the digital biases. Chosen in
    floating point on the validation part: 1 and 3 are slower, 20 does not learn."""
    clip: float = 1.0
    """Largest norm of the gradient: in floating point of the whole network's; with arrays, whose gradients nothing
    measures, of the digital parameters' alone."""
    fill: float = 0.15
    """Weight that the largest initial weight of an array becomes in the devices' window. Chosen for AGAD on the
    validation part: at 0.4 learning is noisier, at 0.08 a step of a device is too coarse to begin with."""
    products: Literal["analog", "exact"] = "analog"
    """Whether products pass converters of 7 and 9 bits and read noise, there and back."""
    validation: int = 20
    """Batches of the validation part that the curves are measured on; 0 takes all."""
    sample: int = 400
    """Characters that each trained network writes."""

    def __post_init__(self):
        super().__post_init__()
        self._require_positive("epochs", "batch", "sequence", "chunk", "hidden", "layers")
        for name, low, high in (
            ("dropout", 0, 0.99),
            ("learning_rate", 0, 1e6),
            ("clip", 1e-6, 1e9),
            ("fill", 1e-3, 1),
            ("validation", 0, 1e9),
            ("sample", 0, 1e6),
        ):
            self._require_range(name, low, high)
        self._require_some("rules", RULES)

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "text": self._digest}

    @cached_property
    def _digest(self) -> str:
        from training.data.text import load_text

        return f"sha256 {load_text(self.text, self.data).sha256}"

    def job(self):
        from training.char_lstm.job import CharLSTMJob

        return CharLSTMJob(self)
