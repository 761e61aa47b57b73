"""Drawings as people make them, made alike: light ink on black, centred, of one size."""

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Spans = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

INK = 0.25
"""Share of the strongest contrast from which a pixel counts as ink when the drawing is framed."""
MARGIN = 0.1
"""Empty border on each side, as a share of the framed size."""
WIDEST = 256
"""Pixels of a side beyond which drawings are resampled one by one, which takes less memory."""


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
    inked = ink > INK
    rows, columns = inked.any(2), inked.any(1)
    top, bottom, left, right = rows.argmax(1), _last(rows), columns.argmax(1), _last(columns)
    if max(grey.shape[1:]) > WIDEST:
        boxes = zip(ink, map(slice, top, bottom), map(slice, left, right), strict=True)
        framed = [_centred(one[tuple(box)], size) for one, *box in boxes]
    else:
        framed = list(_centred_together(ink, (top, bottom - top), (left, right - left), size))
    return [None if empty else one for empty, one in zip(blank, framed, strict=True)]


def _last(inked: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """One past the last true value of each row."""
    ends: npt.NDArray[np.intp] = inked.shape[1] - inked[:, ::-1].argmax(1)
    return ends


def _centred_together(ink: Pixels, rows: Spans, columns: Spans, size: int) -> Pixels:
    """The boxes of several drawings [N, H, W], given by where their rows and columns begin and how many they are.

    What `_centred` does, to the last digits: resampling is a matrix product for each axis.
    """
    inner = round(size * (1 - 2 * MARGIN))
    scale = inner / np.maximum(rows[1], columns[1])  # [N]
    vertical = _resampling(rows, scale, ink.shape[1], size)  # [N, size, H]
    horizontal = _resampling(columns, scale, ink.shape[2], size)  # [N, size, W]
    framed: Pixels = np.matmul(np.matmul(vertical, ink), horizontal.transpose(0, 2, 1))
    framed /= np.maximum(framed.max((1, 2)), np.float32(1e-6))[:, None, None]
    return framed


def _resampling(spans: Spans, scale: Floats, length: int, size: int) -> Pixels:
    """By what each of `length` pixels counts in each of `size` framed ones, [N, size, length], as Pillow has it."""
    start, span = (values[:, None, None] for values in spans)
    framed = np.maximum(1, np.rint(spans[1] * scale))[:, None, None]  # pixels that the span shall have
    place = np.arange(size)[:, None] - (size - framed) // 2  # [N, size, 1], of a pixel among those
    step = span / framed
    wide = np.maximum(step, 1)
    enlarging = scale[:, None, None] > 1
    centre, reach = (place + 0.5) * step, np.where(enlarging, 1, 0.5) * wide
    first = np.maximum(0, np.floor(centre - reach + 0.5))
    last = np.where((place >= 0) & (place < framed), np.minimum(span, np.floor(centre + reach + 0.5)), 0)
    pixel = np.arange(length) - start  # [N, 1, length]
    away = (pixel - centre + 0.5) * (1 / wide)
    weight = np.where(enlarging, 1 - np.abs(away), (away > -0.5) & (away <= 0.5)).clip(min=0)  # triangle or box
    weight *= (pixel >= first) & (pixel < last)
    total = weight.sum(2, keepdims=True)
    share: Pixels = (weight / np.where(total > 0, total, 1)).astype(np.float32)
    return share


def _centred(ink: Pixels, size: int) -> Pixels:
    inner = round(size * (1 - 2 * MARGIN))
    scale = inner / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    enlarging = scale > 1
    resampling = Image.Resampling.BILINEAR if enlarging else Image.Resampling.BOX
    resized = np.asarray(Image.fromarray(ink).resize((width, height), resampling), np.float32)
    framed = np.zeros((size, size), np.float32)
    top, left = (size - height) // 2, (size - width) // 2
    framed[top : top + height, left : left + width] = resized / max(resized.max(), 1e-6)
    return framed
