"""Vectors: as they are, or standardised by the support set."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from meta_core.errors import InvalidExample
from meta_core.limits import Limits
from meta_core.modality import build_modality


def test_numbers_are_taken_as_they_are() -> None:
    vector = build_modality("vector", {})
    assert vector.read([[1, 2.5], [3, 4]], vector.describe([[0, 0]])).tolist() == [[1, 2.5], [3, 4]]


def test_standardised_numbers_agree_with_scikit_learn() -> None:
    x = np.random.default_rng(0).normal(3, 5, size=(20, 4))
    x[:, 2] = 7  # a constant stays where it is
    vector = build_modality("vector", {"standardise": True})
    read = vector.read(x.tolist(), vector.describe(x.tolist()))
    np.testing.assert_allclose(read, StandardScaler().fit_transform(x), atol=1e-6)


def test_length_is_that_of_the_support_set_and_bounded() -> None:
    vector = build_modality("vector", {}, Limits(max_columns=3))
    with pytest.raises(InvalidExample, match="found 1 numbers, where the support set has 2"):
        vector.read([[1, 2], [1]], vector.describe([[0, 0]]))
    with pytest.raises(InvalidExample, match="max_columns"):
        vector.describe([[1, 2, 3, 4]])
