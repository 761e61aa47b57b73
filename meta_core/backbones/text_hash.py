"""Texts by the words and the pieces of words in them; nothing is learned and nothing downloaded."""

import re

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from meta_core.backbone import Backbone, Normalisation, backbones
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.errors import InvalidParameter
from meta_core.modalities.text import read_texts

Codes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

AT_ONCE = 64
"""Texts, so that few arrays as long as all their characters are held."""
TOKEN = re.compile(r"\w+|[^\w\s]")
BASE = np.uint64(0x9E3779B97F4A7C15)
INVERSE = np.uint64(pow(int(BASE), -1, 2**64))
"""Of the polynomial whose value, modulo 2⁶⁴, stands for a run of characters."""


class TextHashConfig(Config):
    """Which pieces are counted, and into how many numbers."""

    width: int = Field(4096, ge=64, le=65536, json_schema_extra=MADE_WITH_THE_WEIGHTS)
    shortest: int = Field(2, ge=1, le=8, json_schema_extra=MADE_WITH_THE_WEIGHTS, description="characters of a piece")
    longest: int = Field(5, ge=1, le=8, json_schema_extra=MADE_WITH_THE_WEIGHTS, description="characters of a piece")
    words: int = Field(2, ge=0, le=4, json_schema_extra=MADE_WITH_THE_WEIGHTS, description="words of a phrase, at most")


@backbones.register("text-hash")
class TextHash(Backbone):
    """Signed hashing of character n-grams and of words (Weinberger et al., 2009, arXiv:0902.2206).

    An n-gram that comes k times counts 1 + ln k, goes into one of `width` numbers with one of two signs, both given by
    its hash, and the whole is scaled to length 1. Case is folded; a piece may span words. The same on every machine.
    """

    Config = TextHashConfig
    config: TextHashConfig

    def __init__(self, shape: tuple[int, ...], config: TextHashConfig) -> None:
        super().__init__(shape, config)
        if len(shape) != 1:
            raise InvalidParameter(f"backbone text-hash takes texts, bytes [L]; inputs have shape {list(shape)}")
        if config.shortest > config.longest:
            raise InvalidParameter("backbone text-hash: shortest is more than longest", "shortest")
        self.dimension = config.width

    @property
    def normalisation(self) -> Normalisation:
        """Nothing is normalised by others."""
        return "none"

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Bytes [N, L] to [N, width]."""
        texts = [" ".join(TOKEN.findall(text.casefold())) for text in read_texts(x)]
        z = [self._embedded(texts[first : first + AT_ONCE]) for first in range(0, len(texts), AT_ONCE)]
        return torch.from_numpy(np.concatenate(z).astype(np.float32)).to(x.device)

    def _embedded(self, texts: list[str]) -> Numbers:
        hashes, rows = self._pieces(texts)
        together = hashes ^ (rows.astype(np.uint64) * BASE)  # the same for a piece that comes again in its text
        _, first, counts = np.unique(together, return_index=True, return_counts=True)
        hashes, rows = hashes[first], rows[first]
        values = (1 + np.log(counts)) * np.where(hashes >> np.uint64(63), 1.0, -1.0)
        places = rows * self.config.width + (hashes % np.uint64(self.config.width)).astype(np.int64)
        z = np.bincount(places, values, len(texts) * self.config.width).reshape(len(texts), -1)
        normalised: Numbers = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
        return normalised

    def _pieces(self, texts: list[str]) -> tuple[Codes, Places]:
        """Hash of every piece of every text, and which text it is of."""
        spaced = [f" {text} " for text in texts]
        lengths = np.asarray([len(text) for text in spaced])
        row = np.repeat(np.arange(len(texts)), lengths)  # [T]
        last = np.repeat(np.cumsum(lengths), lengths)  # [T]
        codes = np.frombuffer("".join(spaced).encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)  # [T]
        spaces = np.flatnonzero(codes == ord(" "))
        every = np.arange(len(codes))
        runs = [(every, every + n) for n in range(self.config.shortest, self.config.longest + 1)]
        runs += [(spaces[:-n], spaces[n:] + 1) for n in range(1, self.config.words + 1)]  # with the space on each side
        starts, ends = (np.concatenate(side) for side in zip(*runs, strict=True))
        inside = ends <= last[starts]
        starts, ends = starts[inside], ends[inside]
        return _hashes(codes, starts, ends), row[starts]


def _hashes(codes: Codes, starts: Places, ends: Places) -> Codes:
    """Σ_j code_j · B^(j − start) of each run, mixed so that every bit of it counts (the finaliser of splitmix64)."""
    powers, inverses = (np.full(len(codes), base).cumprod() for base in (BASE, INVERSE))  # [T]
    sums = np.r_[np.uint64(0), np.cumsum(codes * powers)]  # [T + 1]
    h: Codes = (sums[ends] - sums[starts]) * inverses[starts]
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        h = (h ^ (h >> np.uint64(shift))) * np.uint64(factor)
    return h ^ (h >> np.uint64(31))
