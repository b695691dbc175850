"""The data sets of the experiments: real images, split once and for all."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

SPLIT_SEED = 20250101  # of the stratified splits; the same for every run, so that test images stay unseen


class Split(NamedTuple):
    """Images with values in [-1, 1], one row each, and their labels."""

    images: Float[np.ndarray, "samples pixels"]
    labels: Int[np.ndarray, " samples"]


class Dataset(NamedTuple):
    """Three disjoint parts: `train` to learn from, `validation` to choose by, `test` to report once."""

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int


def load_digits() -> Dataset:
    """scikit-learn's handwritten digits: 1,797 real 8 x 8 images in ten classes.

    E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998), CC BY 4.0. Stratified: 20 %
    test; of the other 80 %, a fifth is the validation part. Pixels 0..16 become [-1, 1].
    """
    from sklearn.datasets import load_digits as bundled_digits  # slow to import: only where it is used
    from sklearn.model_selection import train_test_split

    bunch = bundled_digits()
    images = (bunch.data / 8.0 - 1.0).astype(np.float32)
    labels = bunch.target.astype(np.int32)
    index = np.arange(len(labels))
    rest, test = train_test_split(index, test_size=0.2, stratify=labels, random_state=SPLIT_SEED)
    train, validation = train_test_split(rest, test_size=0.2, stratify=labels[rest], random_state=SPLIT_SEED)
    parts = (Split(images[part], labels[part]) for part in (train, validation, test))
    return Dataset("digits", *parts, classes=10)
