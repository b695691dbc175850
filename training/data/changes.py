"""What may become of images that a network has learned: the camera ages and slips, pixels change places, classes go.

Every draw is by a seed of this file: the change is the same for all splits and runs.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from training.data.sets import Split

DRIFT_SEED = 20250103
"""Which pixels are stuck, and how weak the others are."""
SLIP = 1 / 28
"""The image moves right and down by this part of its side, and by a pixel at least: one of 28."""
WEAKEST = 0.2
"""Gains of the pixels spread evenly from here to 1, each pixel's its own: layer norm undoes only a common gain."""
STUCK = 0.1
"""Share of the pixels that read always dark or always bright, as many of either: light where there was none."""
FADED, VEIL = 0.7, 0.2
"""Contrast that is left, and the brightness that stray light adds, of a range of 2."""
PERMUTATION_SEED = 20250104
DARK, BRIGHT = -1.0, 1.0


def drifted(split: Split) -> Split:
    """The split as a camera sees it that slipped, faded, and has weak and stuck pixels."""
    count, pixels = split.images.shape
    side = math.isqrt(pixels)
    slip = max(1, round(SLIP * side))
    moved = np.full((count, side, side), DARK, np.float32)
    moved[:, slip:, slip:] = split.images.reshape(count, side, side)[:, : side - slip, : side - slip]
    random = np.random.default_rng(DRIFT_SEED)
    gain = random.uniform(WEAKEST, 1.0, pixels).astype(np.float32)
    chosen = random.permutation(pixels)[: round(STUCK * pixels)]
    seen = np.clip(DARK + VEIL + FADED * gain * (moved.reshape(count, pixels) - DARK), DARK, BRIGHT)
    seen[:, chosen] = _stuck(len(chosen))
    return split._replace(images=seen)


def _stuck(count: int) -> Float[np.ndarray, " pixels"]:
    return np.where(np.arange(count) % 2, DARK, BRIGHT).astype(np.float32)


def permuted(split: Split) -> Split:
    """The split with its pixels in another order: as hard to learn for a network without convolutions."""
    order = np.random.default_rng(PERMUTATION_SEED).permutation(split.images.shape[1])
    return split._replace(images=split.images[:, order])


def of_classes(split: Split, classes: Sequence[int]) -> Split:
    """The samples of some classes alone."""
    kept = np.isin(split.labels, classes)
    return Split(split.images[kept], split.labels[kept])
