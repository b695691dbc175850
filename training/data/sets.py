"""What every data set of images or signals is: three disjoint parts."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Split(NamedTuple):
    """Features with values in [-1, 1], one row each, and their labels."""

    images: Float[np.ndarray, "samples pixels"]
    labels: Int[np.ndarray, " samples"]


class Dataset(NamedTuple):
    """Three disjoint parts: `train` to learn from, `validation` to choose by, `test` to report once."""

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int
