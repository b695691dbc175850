"""Spectra of heartbeats: the 20 features that the hybrid-memory article learns from.

10 numbers of the lowest components of the discrete Fourier transform of 700 ms about the R peak, of each of two leads.
The article does not say which parts of the complex numbers are taken, nor how they are scaled: here the real and
imaginary parts of components 1 to 5 (component 0 is the drift of the base line), each shifted and scaled to mean 0 and
variance 1 over the beats that are learned from; docs/choices.md has the alternatives.
Martemucci et al., Nature Electronics 8, 921 (2025).
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from training.data.mitbih import load_beats
from training.data.sets import Dataset, Split

COMPONENTS = slice(1, 6)
"""Of each lead, in steps of 1.43 Hz."""


def load_heartbeats(data: Path | None = None) -> Dataset:
    """Spectra of the beats, normal or not, patients apart.

    Raises:
        InputError: the beats are not to be had.
    """
    beats = load_beats(data).dataset()
    splits = (beats.train, beats.validation, beats.test)
    features = [spectra(split.images.reshape(len(split.images), -1, 2)) for split in splits]
    mean, deviation = features[0].mean(axis=0), features[0].std(axis=0)
    scaled = (Split((x - mean) / deviation, split.labels) for x, split in zip(features, splits, strict=True))
    return Dataset("heartbeats", *scaled, classes=2)


def spectra(signal: Float[np.ndarray, "beats samples leads"]) -> Float[np.ndarray, "beats features"]:
    """Real parts of the lowest components, then imaginary parts, of the first lead and then of the second."""
    lowest = np.fft.rfft(signal, axis=1)[:, COMPONENTS]
    parts = np.concatenate([lowest.real, lowest.imag], axis=1)
    return parts.transpose(0, 2, 1).reshape(len(signal), -1).astype(np.float32)
