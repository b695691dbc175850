"""Spectra of heartbeats: the 20 features that the hybrid-memory article learns from.

The 10 lowest components of the discrete Fourier transform of 700 ms about the R peak, of each of two leads. The article
does not say which part of the complex numbers is taken, nor how it is scaled: here magnitudes, each shifted and scaled
to mean 0 and variance 1 over the beats that are learned from. Martemucci et al., Nature Electronics 8, 921 (2025).
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from training.data.mitbih import load_beats
from training.data.sets import Dataset, Split

COMPONENTS = 10
"""Of each lead, from 0 Hz in steps of 1.43 Hz."""


def load_heartbeats(data: Path | None = None) -> Dataset:
    """Spectra of the beats, normal or not, patients apart.

    Raises:
        InputError: the beats are not to be had.
    """
    beats = load_beats(data).dataset()
    features = [spectra(split.images.reshape(len(split.images), -1, 2)) for split in beats[1:4]]
    mean, deviation = features[0].mean(axis=0), features[0].std(axis=0)
    train, validation, test = (
        Split((x - mean) / deviation, split.labels) for x, split in zip(features, beats[1:4], strict=True)
    )
    return Dataset("heartbeats", train, validation, test, classes=2)


def spectra(signal: Float[np.ndarray, "beats samples leads"]) -> Float[np.ndarray, "beats features"]:
    """Magnitudes of the lowest components, of the first lead and then of the second."""
    lowest = np.abs(np.fft.rfft(signal, axis=1)[:, :COMPONENTS])
    return lowest.transpose(0, 2, 1).reshape(len(signal), -1).astype(np.float32)
