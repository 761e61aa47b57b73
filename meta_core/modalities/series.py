"""Series: measurements over time, of one or more channels, of any length, with gaps."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from meta_core.base64_text import decode_base64
from meta_core.config import Config
from meta_core.errors import InvalidExample, InvalidRequest, shown
from meta_core.limits import LARGEST_NUMBER, Limits
from meta_core.modality import Description, Modality, Shape, modalities
from meta_core.npy import read_npy

Values = npt.NDArray[np.float64]
"""One series, [channels, steps]; NaN where a value is missing."""

NEEDED = "a series is a list of numbers, or a list of such lists, one for each channel"
MISSING = ("", "nan", "null", "na")


class SeriesConfig(Config):
    """How series are made equally long and comparable."""

    length: int | None = Field(
        None, ge=4, le=8192, description="steps after resampling; null: those of the longest series of the support set"
    )
    most_steps: int = Field(1024, ge=16, le=8192, description="longer ones are resampled to these (if length is null)")
    standardise: bool = Field(True, description="shift and scale each channel by mean and deviation of the support set")


@modalities.register("series")
class SeriesModality(Modality):
    """Lists of numbers [steps], or [channels][steps]; null or NaN where a value is missing.

    Files are `.npy` arrays of the same axes, or CSV with a row for each step and a column for each channel, with or
    without a row of names. Steps at both ends at which every channel is missing belong to no series; gaps are filled
    by straight lines. Every series is then resampled, by straight lines too, to the length of the task.
    """

    Config = SeriesConfig
    config: SeriesConfig
    backbone = "gru"
    example: ClassVar[Any] = [[0.1, 0.4, None, 1.6, 1.2], [20.5, 20.5, 20.7, 20.6, 20.4]]

    def describe(self, inputs: Sequence[Any]) -> Description:
        """Channels and length of the task, and mean and deviation of each channel over the support set."""
        series = [_series(index, value, self.limits) for index, value in enumerate(inputs)]
        longest = max(one.shape[1] for one in series)
        length = self.config.length or min(max(longest, 4), self.config.most_steps)
        description: Description = {"channels": len(series[0]), "length": length, "fit": "resample"}
        if self.config.standardise:
            _check_channels(series, description["channels"])
            every = np.concatenate(series, axis=1)  # [channels, steps of all]
            known = np.maximum((~np.isnan(every)).sum(1), 1)
            mean = np.nansum(every, axis=1) / known
            deviation = np.sqrt(np.nansum(np.square(every - mean[:, None]), axis=1) / known)
            scale = np.where(deviation > 1e-12 * np.maximum(np.abs(mean), 1e-300), deviation, 1.0)
            description |= {"mean": mean.tolist(), "std": scale.tolist()}
        return description

    def read(self, inputs: Sequence[Any], description: Description) -> Tensor:
        """Series as [N, channels, length]. Raises `LimitExceeded` for too many values in all."""
        series = [_series(index, value, self.limits) for index, value in enumerate(inputs)]
        channels, length = description["channels"], description["length"]
        _check_channels(series, channels)
        self.limits.check("values in all series", len(series) * channels * length, "max_total_samples")
        x = np.stack([_resampled(one, length) for one in series])
        if "mean" in description:
            mean, scale = np.asarray(description["mean"])[:, None], np.asarray(description["std"])[:, None]
            x = (x - mean) / scale
        # a channel of which nothing is known is at its mean; nothing is learned from so far out that all else drowns
        return torch.from_numpy(np.nan_to_num(x, nan=0.0).clip(-1e6, 1e6).astype(np.float32))

    def shape_like(self, usual: Shape) -> Shape:
        """As many channels, and as long as configured."""
        return usual[0], self.config.length or min(usual[1], self.config.most_steps)

    def joined(self, one: Shape, other: Shape) -> Shape | None:
        """As long as the longest, where the channels are as many."""
        return max(one, other) if one[0] == other[0] else None


def _series(index: int, value: Any, limits: Limits) -> Values:
    try:
        x = _values(value)
    except (ValueError, InvalidRequest) as error:
        raise InvalidExample(index, str(error)) from None
    if x.ndim == 1:
        x = x[None]
    if x.ndim != 2 or not x.size:
        raise InvalidExample(index, f"{NEEDED}; found shape {list(x.shape)}")
    channels, steps = x.shape
    if channels > limits.max_channels:
        raise InvalidExample(index, f"found {channels} channels; at most {limits.max_channels} (setting max_channels)")
    if steps > limits.max_steps:
        raise InvalidExample(index, f"found {steps} steps; at most {limits.max_steps} are taken (setting max_steps)")
    known = ~np.isnan(x)
    if not (np.abs(x[known]) < LARGEST_NUMBER).all():
        raise InvalidExample(index, f"numbers are finite and below {LARGEST_NUMBER:g}; null is a missing value")
    (steps_known,) = np.nonzero(known.any(0))
    if not len(steps_known):
        raise InvalidExample(index, "every value of the series is missing")
    return x[:, steps_known[0] : steps_known[-1] + 1]


def _values(value: Any) -> Values:
    """[steps] or [channels, steps]. Raises `ValueError` or `InvalidRequest`."""
    if isinstance(value, str):
        value = decode_base64(value, "file")
    if isinstance(value, bytes):
        value = read_npy(value) if value.startswith(b"\x93NUMPY") else _csv(value)
    if isinstance(value, np.ndarray):
        return value.astype(np.float64)
    if not isinstance(value, list):
        raise ValueError(f"{NEEDED}; found {shown(value)}")
    if value and all(isinstance(channel, list) for channel in value):
        lengths = [len(channel) for channel in value]
        if len(set(lengths)) > 1:
            raise ValueError(f"all channels of a series have as many steps; found {shown(sorted(set(lengths)))}")
        return np.stack([_numbers(channel) for channel in value])
    return _numbers(value)


def _numbers(values: list[Any]) -> Values:
    for value in values:
        if type(value) not in (int, float) and value is not None:
            raise ValueError(f"{NEEDED}; found {shown(value)} in it")
    try:
        return np.asarray([math.nan if value is None else value for value in values], np.float64)
    except OverflowError:
        raise ValueError(f"numbers are finite and below {LARGEST_NUMBER:g}; null is a missing value") from None


def _csv(content: bytes) -> Values:
    """[channels, steps] of a CSV file, whose first line may be names."""
    try:
        rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig")), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"the file is neither .npy nor CSV: {error}") from None
    lines = list(enumerate(rows, 1))
    if rows and not any(map(_is_cell, rows[0])):
        lines = lines[1:]
    if not lines:
        raise ValueError("the file is neither .npy nor CSV with a row of numbers for each step")
    for number, row in lines:
        if len(row) != len(lines[0][1]):
            raise ValueError(f"row {number} of the CSV file has {len(row)} cells; the first has {len(lines[0][1])}")
        for text in row:
            if not _is_cell(text):
                raise ValueError(f"row {number} of the CSV file holds {shown(text)}, which is no number")
    cells = [[math.nan if _is_missing(text) else float(text) for text in row] for _, row in lines]
    return np.asarray(cells, np.float64).T


def _is_cell(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return _is_missing(text)
    return True


def _is_missing(text: str) -> bool:
    return text.strip().lower() in MISSING


def _check_channels(series: Sequence[Values], channels: int) -> None:
    for index, one in enumerate(series):
        if len(one) != channels:
            raise InvalidExample(index, f"found {len(one)} channels, where the support set has {channels}")


def _resampled(x: Values, length: int) -> Values:
    """[channels, length] at even places from the first to the last step; NaN in channels that are missing whole."""
    steps = np.arange(x.shape[1])
    places = steps if x.shape[1] == length else np.linspace(0, x.shape[1] - 1, length)
    known = ~np.isnan(x)
    return np.stack(
        [
            np.interp(places, steps[there], channel[there]) if there.any() else np.full(length, math.nan)
            for channel, there in zip(x, known, strict=True)
        ]
    )
