"""Hashed pieces of texts, against a count of the pieces one by one."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from meta_core.backbone import build_backbone
from meta_core.errors import InvalidParameter
from meta_core.modality import build_modality

TEXT = build_modality("text", {"max_bytes": 200})
NAMES = [
    "Où est mon colis, mon colis bleu?",
    "where is it",
    "Where  is IT?",
    "天气 怎么样",
    "a",
    "👩\u200d🚀 went up, up, up",
]


def embedded(*texts: str, **config: int) -> Tensor:
    return build_backbone("text-hash", (200,), config)(TEXT.read(texts, {}))


def pieces(text: str) -> Counter[str]:
    tokens = "".join(c if c.isalnum() else f" {c} " for c in text.casefold()).split()
    spaced = f" {' '.join(tokens)} "
    runs = [spaced[i : i + n] for n in range(2, 6) for i in range(len(spaced) - n + 1)]
    return Counter(runs + [f" {' '.join(tokens[i : i + n])} " for n in (1, 2) for i in range(len(tokens) - n + 1)])


def test_the_angle_between_texts_is_that_of_their_counted_pieces() -> None:
    z = embedded(*NAMES, width=65536).double()
    counts = [pieces(text) for text in NAMES]
    keys = sorted(set().union(*counts))
    x = np.asarray([[1 + math.log(c[k]) if c[k] else 0.0 for k in keys] for c in counts])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose((z @ z.T).numpy(), x @ x.T, atol=0.03)  # but for pieces that share a number by chance


def test_case_and_spacing_do_not_matter() -> None:
    assert torch.equal(embedded(NAMES[1]), embedded("WHERE is\tit "))


def hashed(piece: str) -> int:
    """The same sum in integers without end."""
    h = sum(ord(character) * 0x9E3779B97F4A7C15**j for j, character in enumerate(piece)) % 2**64
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    h = (h ^ h >> 27) * 0x94D049BB133111EB % 2**64
    return h ^ h >> 31


def test_a_piece_adds_to_the_number_that_its_hash_names() -> None:
    z = embedded("Où 京?", width=64, shortest=2, longest=2, words=0)[0]
    expected = torch.zeros(64)
    for piece in (" o", "où", "ù ", " 京", "京 ", " ?", "? "):
        expected[hashed(piece) % 64] += -1 if hashed(piece) < 2**63 else 1
    torch.testing.assert_close(z, expected / expected.norm())


def test_many_texts_are_embedded_as_each_alone() -> None:
    texts = [f"{name} number {i}" for i in range(70) for name in NAMES]
    torch.testing.assert_close(embedded(*texts)[400:401], embedded(texts[400]))


@pytest.mark.parametrize("shape", [(3, 28, 28), ()])
def test_only_texts_are_taken(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidParameter, match="takes texts"):
        build_backbone("text-hash", shape, {})
