"""Artifacts: bit-equal there and back, and nothing else is taken for one."""

import struct

import pytest
import torch

from meta_core.artifact import FORMAT, LONGEST_HEADER, pack, unpack, unpack_header
from meta_core.errors import CorruptArtifact

TENSORS = {"a": torch.randn(3, 4, dtype=torch.float64), "b": torch.arange(3), "c": torch.randn(5).bfloat16()}
HEADER = {"kind": "test", "nested": {"text": "naïve – ✓", "list": [1, 2.5, None]}}


def test_tensors_and_header_come_back_bit_for_bit() -> None:
    tensors, header = unpack(pack(TENSORS, HEADER))
    assert header == {"format": FORMAT, **HEADER}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_the_header_is_read_without_the_tensors() -> None:
    content = pack(TENSORS, HEADER)
    length = struct.unpack("<Q", content[:8])[0]
    assert unpack_header(content[: 8 + length])["kind"] == "test"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        struct.pack("<Q", LONGEST_HEADER + 1) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 4) + b"\xff\xfe\xff\xfe",
        pack(TENSORS, HEADER)[:-1],
        pack(TENSORS, HEADER) + b"x",
        pack(TENSORS, {**HEADER, "format": FORMAT + 1}),
        pack(TENSORS, {**HEADER, "format": "1"}),
    ],
    ids=range(11),
)
def test_anything_else_is_corrupt(content: bytes) -> None:
    with pytest.raises(CorruptArtifact):
        unpack(content)


def test_a_newer_format_says_so() -> None:
    with pytest.raises(CorruptArtifact, match=f"format {FORMAT + 1}; this program reads up to {FORMAT}"):
        unpack_header(pack({}, {"format": FORMAT + 1}))


def test_a_changed_byte_is_noticed_wherever_it_is() -> None:
    content = pack(TENSORS, HEADER)
    unpack(content)
    for position in range(8, len(content)):
        if content[position : position + 1] == b" ":  # padding
            continue
        changed = bytearray(content)
        changed[position] ^= 1
        with pytest.raises(CorruptArtifact):
            unpack(bytes(changed))
