"""scikit-learn's digits: real images that come with a package."""

from typing import Any

import numpy as np

from training.data.sets import Dataset, Split

SPLIT_SEED = 20250101  # of the stratified splits; the same for every run, so that test images stay unseen


def load_digits() -> Dataset:
    """scikit-learn's handwritten digits: 1,797 real 8 x 8 images in ten classes.

    E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998), CC BY 4.0. Stratified: 20 %
    test; of the other 80 %, a fifth is the validation part. Pixels 0..16 become [-1, 1].
    """
    from sklearn.datasets import load_digits as bundled_digits  # slow to import: only where it is used
    from sklearn.model_selection import train_test_split

    bunch: Any = bundled_digits()
    images = (bunch.data / 8.0 - 1.0).astype(np.float32)
    labels = bunch.target.astype(np.int32)
    index = np.arange(len(labels))
    rest, test = train_test_split(index, test_size=0.2, stratify=labels, random_state=SPLIT_SEED)
    train, validation = train_test_split(rest, test_size=0.2, stratify=labels[rest], random_state=SPLIT_SEED)
    parts = (Split(images[part], labels[part]) for part in (train, validation, test))
    return Dataset("digits", *parts, classes=10)
