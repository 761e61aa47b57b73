"""Texts as people send them."""

import unicodedata
from typing import Any

import pytest
import torch

from meta_core.errors import InvalidExample
from meta_core.modalities.text import read_texts
from meta_core.modality import build_modality

TEXT = build_modality("text", {"max_bytes": 64})


def read(*values: Any) -> list[str]:
    return read_texts(TEXT.read(values, TEXT.describe(values)))


def test_a_text_comes_back_from_its_bytes() -> None:
    texts = ["Where is my parcel?", "né 北京", "👩\u200d🚀", "a" * 64]
    assert read(*texts) == texts


def test_a_file_is_read_like_the_string_it_holds() -> None:
    assert read("né".encode(), b"\xef\xbb\xbfwith a mark\r\n") == ["né", "with a mark"]


def test_composed_and_decomposed_characters_are_the_same() -> None:
    assert torch.equal(*(TEXT.read([unicodedata.normalize(form, "Ångström é 한")], {}) for form in ("NFC", "NFD")))


def test_control_characters_are_spaces() -> None:
    assert read("one\ntwo\x00\x1b[0m\x85three\t") == ["one two [0m three"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "the text is empty"),
        (" \t\n\u3000", "the text is empty"),
        ("\x00", "the text is empty"),
        ("\ud83d", r"half a character \('\\ud83d' at character 0\)"),
        (b"\xff\xfea\x00", "not UTF-8: byte 0 is 0xff"),
        ("é" * 33, "at most 64 bytes in UTF-8; found 66"),
        ("e" * 10**6, "at most 64 bytes in UTF-8; found 1000000"),
        (["a"], "a text is a string; found"),
    ],
)
def test_what_is_no_text_is_named(bad: Any, reason: str) -> None:
    with pytest.raises(InvalidExample, match=reason) as caught:
        read("good", bad)
    assert caught.value.index == 1
