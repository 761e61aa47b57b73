"""Artifacts: tensors with a JSON header in one safetensors file, written and read without running any code."""

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from meta_core.errors import CorruptArtifact, InvalidRequest

FORMAT = 1
KEY = "shotput"
CHECKSUM = "sha256"
LONGEST_WRITTEN = 4_000_000
"""Characters of our own header; quoted once more inside the file it is longer, but still below what is read."""
LONGEST_HEADER = 32_000_000
"""Bytes; a file that claims more is not read any further."""

Header = dict[str, Any]


def pack(tensors: Mapping[str, Tensor], header: Header) -> bytes:
    """Tensors and header as the bytes of one artifact. Raises `InvalidRequest` for a header that is too long."""
    metadata = {KEY: json.dumps({"format": FORMAT, **header}, separators=(",", ":"), allow_nan=False)}
    if len(metadata[KEY]) > LONGEST_WRITTEN:
        raise InvalidRequest(
            f"what describes this is {len(metadata[KEY])} characters long; at most {LONGEST_WRITTEN} are kept"
        )
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return _sealed(safetensors.torch.save(plain, metadata))


def unpack(content: bytes) -> tuple[dict[str, Tensor], Header]:
    """The tensors and header of an artifact. Raises `CorruptArtifact`, also where the checksum differs."""
    header = unpack_header(content)
    _check_seal(content)
    try:
        return safetensors.torch.load(content), header
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise CorruptArtifact(f"the artifact cannot be read: {error}") from None


def _sealed(content: bytes) -> bytes:
    """The same file with its checksum in the header."""
    table, behind = _table(content)
    table["__metadata__"][CHECKSUM] = _checksum(table, behind)
    header = json.dumps(table, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # safetensors aligns the tensors behind it so
    return b"".join((struct.pack("<Q", len(header)), header, behind))


def _check_seal(content: bytes) -> None:
    """Raises `CorruptArtifact`; the first releases wrote no checksum."""
    table, behind = _table(content)
    said = table["__metadata__"].pop(CHECKSUM, None)
    if table["__metadata__"].keys() != {KEY}:  # the name of the checksum may be what was changed
        raise CorruptArtifact(f"the artifact has unknown metadata: {sorted(table['__metadata__'])}")
    if said is not None and said != _checksum(table, behind):
        raise CorruptArtifact("the artifact is not what was written: its checksum differs")


def _table(content: bytes) -> tuple[dict[str, Any], memoryview]:
    """What safetensors keeps in front, and the bytes of the tensors."""
    end = 8 + header_length(content)
    return json.loads(content[8:end]), memoryview(content)[end:]


def _checksum(table: dict[str, Any], behind: memoryview) -> str:
    """SHA-256 of the table, in an order that does not depend on who wrote it, and the tensors."""
    digest = hashlib.sha256(json.dumps(table, sort_keys=True, separators=(",", ":")).encode())
    digest.update(behind)
    return digest.hexdigest()


def unpack_header(content: bytes) -> Header:
    """The header alone; `content` may be cut off behind it. Raises `CorruptArtifact`."""
    length = header_length(content)
    if len(content) < 8 + length:
        raise CorruptArtifact(f"the artifact ends after {len(content)} bytes, inside its header of {length}")
    try:
        header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][KEY])
        written = header["format"]
    except (ValueError, KeyError, TypeError):
        raise CorruptArtifact("the artifact has no header of this program") from None
    if not isinstance(written, int) or written > FORMAT:
        raise CorruptArtifact(f"the artifact has format {written}; this program reads up to {FORMAT}")
    return dict(header)


def header_length(content: bytes) -> int:
    """Bytes of the header behind the first eight. Raises `CorruptArtifact`."""
    if len(content) < 8:
        raise CorruptArtifact(f"an artifact has at least 8 bytes; found {len(content)}")
    length: int = struct.unpack("<Q", content[:8])[0]
    if length > LONGEST_HEADER:
        raise CorruptArtifact(f"the artifact claims a header of {length} bytes; at most {LONGEST_HEADER} are read")
    return length


def on_device(tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The tensors on a device."""
    return {name: tensor.to(device) for name, tensor in tensors.items()}
