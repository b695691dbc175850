"""The digits are real, split once, and never shared between parts."""

import numpy as np

from training.data import load_digits


def test_parts_are_disjoint_stratified_and_complete():
    data = load_digits()
    parts = (data.train, data.validation, data.test)
    assert [len(p.labels) for p in parts] == [1149, 288, 360]
    rows = np.concatenate([p.images for p in parts])
    assert rows.min() == -1 and rows.max() == 1 and len(rows) == 1797
    for part in parts:
        share = np.bincount(part.labels, minlength=10) / len(part.labels)
        np.testing.assert_allclose(share, 0.1, atol=0.012)


def test_the_split_is_the_same_every_time():
    np.testing.assert_array_equal(load_digits().test.images, load_digits().test.images)
