"""Images of every format, layout and size, and files that are none."""

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from meta_core.errors import InvalidExample
from meta_core.limits import Limits
from meta_core.modality import Modality, build_modality


def reader(**config: Any) -> Modality:
    return build_modality("image", {"size": 16, "channels": 3, **config})


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def halves() -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", (32, 32), "red")
    image.paste("blue", (16, 0, 32, 32))
    return image


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF"])
def test_formats_give_the_same_pixels(format: str) -> None:
    (pixels,) = reader().read([encoded(halves(), format)], {})
    assert pixels.shape == (3, 16, 16)
    assert pixels[0, :, 2].mean() > 0.95
    assert pixels[2, :, 2].mean() < 0.05
    assert pixels[2, :, 13].mean() > 0.95


def test_base64_data_url_bytes_and_numbers_are_the_same_image() -> None:
    content = encoded(halves())
    text = base64.b64encode(content).decode()
    array = np.asarray(halves())
    x = reader().read(
        [content, text, f"data:image/png;base64,{text}", array.tolist(), array, (array / 255).tolist()], {}
    )
    for other in x[1:]:
        torch.testing.assert_close(other, x[0])


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270° to view
    turned = reader().read([encoded(halves().rotate(90, expand=True), "PNG", exif=exif)], {})
    torch.testing.assert_close(turned, reader().read([encoded(halves())], {}))


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    assert reader().read([encoded(clear)], {}).min() == 1


def test_sixteen_bit_grey_keeps_its_range() -> None:
    grey = Image.fromarray(np.full((16, 16), 32768, np.uint16))
    assert reader(channels=1).read([encoded(grey)], {}).mean().item() == pytest.approx(0.5, abs=0.01)


def bomb(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes that claims to be enormous."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (bomb(30_000, 30_000), "."),
        (bomb(5_000, 5_000), "max_pixels"),
        (encoded(halves())[:-40], "damaged"),
        (b"", "not a readable image"),
        (b"%PDF-1.4", "not a readable image"),
        (encoded(halves(), "TIFF"), "not a readable image"),
        ("not base64!", "base64"),
        ("data:image/png,plain", "data URL"),
        (np.zeros((2, 2, 2, 2)), "shape"),
        (np.zeros((4, 4, 5)), "shape"),
        ([[0, 256]], "0–255"),
        ([[-1, 0]], "0–255"),
    ],
)
def test_what_is_no_image_says_why(value: Any, words: str) -> None:
    with pytest.raises(InvalidExample, match=words):
        reader().read([value], {})


def test_large_arrays_are_refused_like_large_files() -> None:
    modality = build_modality("image", {}, Limits(max_pixels=100))
    with pytest.raises(InvalidExample, match="11×10 pixels; at most 100"):
        modality.read([np.zeros((10, 11))], {})


def test_a_blank_drawing_is_an_error() -> None:
    with pytest.raises(InvalidExample, match="blank"):
        reader(channels=1, framing="drawing").read([encoded(Image.new("L", (9, 9)))], {})
