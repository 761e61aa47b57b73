"""Vectors: lists of numbers of one length."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from meta_core.config import Config
from meta_core.errors import InvalidExample, shown
from meta_core.limits import LARGEST_NUMBER, Limits
from meta_core.modality import Description, Modality, modalities

TOO_LARGE = f"numbers must be finite and below {LARGEST_NUMBER:g}"


class VectorConfig(Config):
    """Whether numbers are taken as they are."""

    standardise: bool = Field(False, description="shift and scale each number by mean and deviation of the support set")


@modalities.register("vector")
class VectorModality(Modality):
    """Lists of numbers; all of a task have the length of the support set's first."""

    Config = VectorConfig
    config: VectorConfig
    example: ClassVar[Any] = [5.1, 3.5, 1.4, 0.2]

    def describe(self, inputs: Sequence[Any]) -> Description:
        """Length of the vectors, and their mean and deviation if they are to be standardised."""
        x = _read(inputs, None, self.limits)
        description: Description = {"length": x.shape[1]}
        if self.config.standardise:
            deviation = x.std(0)
            description |= {"mean": x.mean(0).tolist(), "std": np.where(deviation > 0, deviation, 1.0).tolist()}
        return description

    def read(self, inputs: Sequence[Any], description: Description) -> Tensor:
        """Vectors as [N, length]."""
        x = _read(inputs, description["length"], self.limits)
        if "mean" in description:
            x = (x - np.asarray(description["mean"])) / np.asarray(description["std"])
        return torch.from_numpy(x.astype(np.float32))

    def recover(self, x: Tensor) -> Sequence[Any] | None:
        """The numbers, where they are taken as they are."""
        return None if self.config.standardise else list(x.numpy())


def _read(inputs: Sequence[Any], length: int | None, limits: Limits) -> npt.NDArray[np.float64]:
    rows = [_row(index, value) for index, value in enumerate(inputs)]
    length = len(rows[0]) if length is None else length
    if not 0 < length <= limits.max_columns:
        raise InvalidExample(0, f"a vector has 1–{limits.max_columns} numbers (setting max_columns); found {length}")
    for index, row in enumerate(rows):
        if len(row) != length:
            raise InvalidExample(index, f"found {len(row)} numbers, where the support set has {length}")
        if not (np.abs(row) < LARGEST_NUMBER).all():
            raise InvalidExample(index, TOO_LARGE)
    return np.stack(rows)


def _row(index: int, value: Any) -> npt.NDArray[np.float64]:
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return value.astype(np.float64)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = [value]
    if not isinstance(value, list | tuple) or not all(type(v) in (int, float) for v in value):
        raise InvalidExample(index, f"a vector is a list of numbers; found {shown(value)}")
    try:
        return np.asarray(value, np.float64)
    except OverflowError:
        raise InvalidExample(index, TOO_LARGE) from None
