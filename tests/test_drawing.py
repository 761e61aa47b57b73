"""Drawings are made alike however people make them."""

import numpy as np
import pytest
from PIL import Image

from meta_core import drawing
from meta_core.drawing import frame_drawing, frame_drawings
from tests.drawings import draw


def framed(image: Image.Image) -> np.ndarray:
    result = frame_drawing(np.asarray(image.convert("L"), np.float32), 28)
    assert result is not None
    return result


def test_ink_is_light_on_black_and_centred() -> None:
    pixels = framed(draw("cross", 0))
    assert pixels.max() == pytest.approx(1)
    assert np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).max() == 0
    rows, columns = (np.nonzero(pixels.max(axis) > 0.25)[0] for axis in (1, 0))
    for found in (rows, columns):
        assert abs((found[0] + found[-1]) / 2 - 13.5) <= 1


@pytest.mark.parametrize("other", [{"ink": "white", "paper": "black"}, {"ink": "navy", "paper": "beige"}])
def test_light_on_dark_is_the_same_drawing_as_dark_on_light(other: dict[str, str]) -> None:
    np.testing.assert_allclose(framed(draw("stairs", 1)), framed(draw("stairs", 1, **other)), atol=0.02)


def test_margins_change_nothing() -> None:
    drawing = draw("circle", 2)
    wide = Image.new("RGB", (300, 200), "white")
    wide.paste(drawing, (150, 70))
    np.testing.assert_allclose(framed(drawing), framed(wide), atol=1e-6)


def test_a_larger_drawing_is_nearly_the_same() -> None:
    small, large = framed(draw("circle", 3)), framed(draw("circle", 3, size=384))
    assert np.abs(small - large).mean() < 0.05


def test_a_blank_sheet_is_no_drawing() -> None:
    assert frame_drawing(np.full((20, 20), 0.5, np.float32), 28) is None


def test_drawings_framed_together_are_those_that_pillow_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        sheets = np.zeros((3, *rng.integers(2, 90, 2)), np.float32)
        for sheet in sheets:
            (top, left), (bottom, right) = (rng.integers(0, n - 1) for n in sheet.shape), sheet.shape
            sheet[top : rng.integers(top, bottom) + 1, left : rng.integers(left, right) + 1] = 1
        sheets *= 0.5 + 0.5 * rng.random(sheets.shape, np.float32)
        together = frame_drawings(sheets, 28)
        with monkeypatch.context() as patched:
            patched.setattr(drawing, "WIDEST", 0)
            one_by_one = frame_drawings(sheets, 28)
        for a, b in zip(together, one_by_one, strict=True):
            assert (a is None) == (b is None)
            assert a is None or np.abs(a - b).max() < 1e-5
