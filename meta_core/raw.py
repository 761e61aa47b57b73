"""Support inputs as they were sent, kept beside what was read of them: another base model may read them otherwise."""

import functools
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import torch
from torch import Tensor

from meta_core.npy import read_npy

RAW, LENGTHS, KINDS = "raw", "raw_lengths", "raw_kinds"
"""Tensors of a support set: all inputs as bytes, labelled ones first; how many bytes each has, and of what kind."""
FILE, JSON, ARRAY = range(3)
MOST_BYTES = 16_000_000
"""Beyond which inputs are not kept: such a support set serves only base models that read it alike."""


def pack_raw(inputs: Sequence[Any]) -> dict[str, Tensor]:
    """The tensors that keep these inputs; none where they are too large."""
    kinds, contents, total = [], [], 0
    for value in inputs:
        kind, content = _written(value)
        kinds.append(kind)
        contents.append(content)
        total += len(content)
        if total > MOST_BYTES:
            return {}
    return {
        RAW: torch.from_numpy(np.frombuffer(b"".join(contents), np.uint8).copy()),
        LENGTHS: torch.tensor([len(content) for content in contents]),
        KINDS: torch.tensor(kinds, dtype=torch.uint8),
    }


def unpack_raw(tensors: Mapping[str, Tensor]) -> list[Any] | None:
    """The inputs that `pack_raw` was given; None where they are not among the tensors."""
    if RAW not in tensors:
        return None
    content, ends = tensors[RAW].numpy().tobytes(), tensors[LENGTHS].cumsum(0).tolist()
    parts = [content[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return [_read(kind, part) for kind, part in zip(tensors[KINDS].tolist(), parts, strict=True)]


def without_raw(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The other tensors."""
    return {name: value for name, value in tensors.items() if name not in (RAW, LENGTHS, KINDS)}


def _written(value: Any) -> tuple[int, bytes]:
    if isinstance(value, bytes):
        return FILE, value
    if isinstance(value, np.ndarray):
        return ARRAY, _npy_head(value.dtype, value.shape) + value.tobytes()
    value = value.item() if isinstance(value, np.generic) else value
    try:
        return JSON, orjson.dumps(value)
    except TypeError:  # whole numbers beyond 64 bits, halves of characters
        return JSON, json.dumps(value).encode()


@functools.lru_cache(maxsize=256)
def _npy_head(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """What a .npy file of an array in C order begins with; all of a support set are mostly alike."""
    head = io.BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, description)
    return head.getvalue()


def _read(kind: int, content: bytes) -> Any:
    if kind == FILE:
        return content
    return read_npy(content) if kind == ARRAY else json.loads(content)
