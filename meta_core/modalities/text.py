"""Texts: strings or UTF-8 files, in any language."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.errors import InvalidExample, shown
from meta_core.modality import Description, Modality, modalities

CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class TextConfig(Config):
    """How long a text may be."""

    max_bytes: int = Field(
        4096, ge=16, le=65536, json_schema_extra=MADE_WITH_THE_WEIGHTS, description="of a text in UTF-8"
    )


@modalities.register("text")
class TextModality(Modality):
    """Texts as UTF-8 bytes, zeros behind them, so that texts of many tasks go through a backbone together.

    Composed characters take one form (NFC); control characters, line breaks among them, become a space.
    """

    Config = TextConfig
    config: TextConfig
    backbone = "text-hash"
    example: ClassVar[Any] = "Where is my parcel?"

    def describe(self, inputs: Sequence[Any]) -> Description:
        """Nothing: a text is read by itself."""
        return {}

    def read(self, inputs: Sequence[Any], description: Description) -> Tensor:
        """Bytes [N, max_bytes], uint8."""
        return write_bytes([self._bytes(index, value) for index, value in enumerate(inputs)], self.config.max_bytes)

    def recover(self, x: Tensor) -> Sequence[Any]:
        """The texts."""
        return read_texts(x)

    def _bytes(self, index: int, value: Any) -> bytes:
        text = _decoded(index, value)
        most = self.config.max_bytes
        # a text in other forms than NFC is at most thrice as long: what is longer need not be normalised to be refused
        if len(text) <= 3 * most:
            text = CONTROLS.sub(" ", unicodedata.normalize("NFC", text)).strip()
        if not text:
            raise InvalidExample(index, "the text is empty")
        try:
            content = text.encode()
        except UnicodeEncodeError as error:
            place = f"{text[error.start]!a} at character {error.start}"
            raise InvalidExample(index, f"the text holds half a character ({place}); it is no Unicode") from None
        if len(content) > most:
            raise InvalidExample(index, f"a text has at most {most} bytes in UTF-8; found {len(content)}")
        return content


def write_bytes(contents: Sequence[bytes], length: int) -> Tensor:
    """Strings of bytes, none with a zero in it, as [N, length], uint8."""
    rows = np.frombuffer(b"".join(content.ljust(length, b"\0") for content in contents), np.uint8)
    return torch.from_numpy(rows.reshape(len(contents), length).copy())


def read_texts(x: Tensor) -> list[str]:
    """The texts whose bytes [N, L] are, as `TextModality` wrote them."""
    return [_text(row) for row in x.to("cpu", torch.uint8).numpy()]


def _text(row: Iterable[int]) -> str:
    return bytes(row).rstrip(b"\0").decode(errors="replace")


def _decoded(index: int, value: Any) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        raise InvalidExample(index, f"a text is a string; found {shown(value)}")
    try:
        return value.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidExample(index, f"the file is not UTF-8: byte {error.start} is {value[error.start]:#04x}") from None
