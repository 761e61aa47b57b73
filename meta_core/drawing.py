"""Drawings as people make them, made alike: light ink on black, centred, of one size."""

import functools

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.Image import Resampling

Pixels = npt.NDArray[np.float32]

INK = 0.25
"""Share of the strongest contrast from which a pixel counts as ink when the drawing is framed."""
MARGIN = 0.1
"""Empty border on each side, as a share of the framed size."""
WIDEST = 128
"""Longest side of ink that is resized by matrices; beyond, these are large."""


def frame_drawing(grey: Pixels, size: int) -> Pixels | None:
    """A drawing [H, W], dark on light or light on dark, as ink [size, size] from 0 to 1; None when it is blank."""
    return frame_drawings(grey[None], size)[0]


def frame_drawings(grey: Pixels, size: int) -> list[Pixels | None]:
    """Each of several drawings [N, H, W] as `frame_drawing` does.

    The paper is what the border shows (its median); ink is the contrast to it. The ink's bounding box is centred in
    a square and scaled to fill it up to a margin.
    """
    border = np.sort(np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], axis=1))  # [N, B]
    paper = (border[:, (border.shape[1] - 1) // 2] + border[:, border.shape[1] // 2]) / 2
    ink = np.abs(grey - paper[:, None, None])
    strongest = ink.max((1, 2))  # [N]
    blank = strongest < 1e-3
    ink /= np.where(blank, 1, strongest)[:, None, None]
    rows, columns = (ink > INK).any(2), (ink > INK).any(1)
    boxes = zip(rows.argmax(1), _last(rows), columns.argmax(1), _last(columns), strict=True)
    return [
        None if empty else _centred(one[top:bottom, left:right], size)
        for empty, one, (top, bottom, left, right) in zip(blank, ink, boxes, strict=True)
    ]


def _last(inked: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """One past the last true value of each row."""
    ends: npt.NDArray[np.intp] = inked.shape[1] - inked[:, ::-1].argmax(1)
    return ends


def _centred(ink: Pixels, size: int) -> Pixels:
    inner = round(size * (1 - 2 * MARGIN))
    scale = inner / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    resized = _resized(ink, height, width, Resampling.BILINEAR if scale > 1 else Resampling.BOX)
    framed = np.zeros((size, size), np.float32)
    top, left = (size - height) // 2, (size - width) // 2
    np.divide(resized, max(resized.max(), 1e-6), out=framed[top : top + height, left : left + width])
    return framed


def _resized(ink: Pixels, height: int, width: int, how: Resampling) -> Pixels:
    """As Pillow resizes it; where it is small by two matrix products, which takes a third of the time."""
    if max(ink.shape) > WIDEST:
        return np.asarray(Image.fromarray(ink).resize((width, height), how), np.float32)
    vertical, horizontal = _shares(ink.shape[0], height, how), _shares(ink.shape[1], width, how)
    resized: Pixels = np.matmul(np.matmul(vertical, ink), horizontal.T)
    return resized


@functools.lru_cache(maxsize=1024)
def _shares(before: int, after: int, how: Resampling) -> Pixels:
    """The share of each of `before` pixels in a row in each of those `after` resizing it, [after, before]."""
    each_alone = Image.fromarray(np.eye(before, dtype=np.float32))
    return np.ascontiguousarray(np.asarray(each_alone.resize((after, before), how), np.float32).T)
