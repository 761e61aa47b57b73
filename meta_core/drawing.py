"""Drawings as people make them, made alike: light ink on black, centred, of one size."""

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.float32]

INK = 0.25
"""Share of the strongest contrast from which a pixel counts as ink when the drawing is framed."""
MARGIN = 0.1
"""Empty border on each side, as a share of the framed size."""


def frame_drawing(grey: Pixels, size: int) -> Pixels | None:
    """A drawing [H, W], dark on light or light on dark, as ink [size, size] from 0 to 1; None when it is blank.

    The paper is what the border shows (its median); ink is the contrast to it. The ink's bounding box is centred in
    a square and scaled to fill it up to a margin.
    """
    border = np.sort(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
    paper = (border[(len(border) - 1) // 2] + border[len(border) // 2]) / 2  # np.median has five times the overhead
    ink = np.abs(grey - paper)
    strongest = ink.max()
    if strongest < 1e-3:
        return None
    ink = ink / strongest
    rows, columns = np.nonzero(ink.max(1) > INK)[0], np.nonzero(ink.max(0) > INK)[0]
    top, left = rows[0], columns[0]
    height, width = rows[-1] + 1 - top, columns[-1] + 1 - left
    return _centred(ink[top : top + height, left : left + width], size)


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
