"""What a network is trained on before it is frozen, and what a last layer on it learns afterwards.

The article has a MobileNet-V2 trained on CIFAR-100 or ImageNet; here the project trains a small network itself, on
data that it has.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from training.data import Dataset, Split, load_digits, load_fashion_mnist, load_mnist
from training.data.changes import of_classes

Load = Callable[[Path | None], Dataset]


@dataclasses.dataclass(frozen=True)
class Pair:
    """The data of a base network, and those of the last layer: images of one size, none in both."""

    title: str
    base: Load
    target: Load


class PublishedPair(NamedTuple):
    """Mean accuracy of ten runs: the last layer offline in floating point and in four bits, and learned on the chip."""

    title: str
    offline_float: float
    offline_four_bits: float
    online: float


PUBLISHED = (
    PublishedPair("CIFAR-100 to CIFAR-10", 0.894, 0.900, 0.882),
    PublishedPair("ImageNet to Pets", 0.901, 0.901, 0.883),
    PublishedPair("ImageNet to Flowers-102", 0.824, 0.833, 0.767),
    PublishedPair("ImageNet to Birds", 0.665, 0.671, 0.627),
    PublishedPair("ImageNet to Cars", 0.491, 0.491, 0.418),
)
"""Of a frozen 4-bit MobileNet-V2. Martemucci et al., Nature Electronics 8, 921 (2025)."""


def renumbered(data: Dataset, classes: Sequence[int]) -> Dataset:
    """The samples of some classes, which are numbered anew from 0."""

    def kept(split: Split) -> Split:
        images, labels = of_classes(split, classes)
        return Split(images, np.searchsorted(classes, labels).astype(labels.dtype))

    parts = (kept(split) for split in (data.train, data.validation, data.test))
    return Dataset(f"{data.name} {classes[0]}-{classes[-1]}", *parts, classes=len(classes))


def _half(load: Load, classes: Sequence[int]) -> Load:
    return lambda data: renumbered(load(data), classes)


def _bundled(data: Path | None) -> Dataset:
    return load_digits()


PAIRS = {
    "mnist-halves": Pair("MNIST 0-4 to 5-9", _half(load_mnist, range(5)), _half(load_mnist, range(5, 10))),
    "mnist-to-fashion": Pair("MNIST to Fashion-MNIST", load_mnist, load_fashion_mnist),
    "fashion-to-mnist": Pair("Fashion-MNIST to MNIST", load_fashion_mnist, load_mnist),
    "digits-halves": Pair("digits 0-4 to 5-9", _half(_bundled, range(5)), _half(_bundled, range(5, 10))),
}
