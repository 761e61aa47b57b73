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


def test_a_palette_with_a_transparent_colour_is_laid_on_white() -> None:
    image = Image.new("P", (16, 16), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (0, 0, 8, 16))
    (pixels,) = reader().read([encoded(image, transparency=0)], {})
    assert pixels[:, :, 12].min() == 1
    assert pixels[:, 0, 3].tolist() == [0, 0, 1]


def test_four_inks_of_print_become_colours() -> None:
    (pixels,) = reader().read([encoded(halves().convert("CMYK"), "JPEG")], {})
    assert pixels[0, :, 2].mean() > 0.9
    assert pixels[2, :, 13].mean() > 0.9


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(format: str) -> None:
    content = encoded(halves(), format, save_all=True, append_images=[Image.new("RGB", (32, 32), "lime")])
    (pixels,) = reader().read([content], {})
    assert pixels[1].mean() < 0.1
    assert pixels[0, :, 2].mean() > 0.9


@pytest.mark.parametrize(("mode", "expected"), [("1", 1.0), ("L", 1.0), ("LA", 1.0), ("RGBA", 1.0), ("I;16", 1.0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_layout_of_white_is_white(mode: str, expected: float, channels: int) -> None:
    white = np.full((20, 30), 65535, np.uint16) if mode == "I;16" else None
    image = Image.new("L", (30, 20), "white").convert(mode) if white is None else Image.fromarray(white)
    x = reader(channels=channels).read([encoded(image)], {})
    assert x.shape == (1, channels, 16, 16)
    assert x.min().item() == expected


def test_sixteen_bits_of_colour_keep_their_colours() -> None:
    rows = np.zeros((16, 16, 3), ">u2")
    rows[:, :, 1] = 40_000
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    content = png(16, 16, lines, depth=16, colour=2)
    (pixels,) = reader().read([content], {})
    assert pixels[1].mean().item() == pytest.approx(40_000 / 65_535, abs=0.01)
    assert pixels[0].max() == pixels[2].max() == 0


def test_the_square_in_the_middle_is_cut_out() -> None:
    image = Image.new("RGB", (64, 32), "red")
    image.paste("blue", (16, 0, 48, 32))
    (pixels,) = reader(framing="crop", crop=0.9).read([encoded(image)], {})
    assert pixels[2].min() > 0.99
    assert pixels[0].max() < 0.01


def test_a_cut_out_square_is_what_pillow_makes_of_it() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (50, 80, 3), np.uint8)
    (pixels,) = reader(framing="crop").read([encoded(Image.fromarray(rows))], {})
    expected = Image.fromarray(rows).crop((15, 0, 65, 50)).resize((16, 16), Image.Resampling.BICUBIC)
    inside = np.s_[2:-2, 2:-2]  # at its edges the square sees what lies beyond, as if cut after resizing
    np.testing.assert_allclose(pixels.permute(1, 2, 0).numpy()[inside] * 255, np.asarray(expected)[inside], atol=1)


def bomb(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes that claims to be enormous."""
    return png(width, height, b"\0" * 99, depth=8, colour=0)


def png(width: int, height: int, lines: bytes, *, depth: int, colour: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


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


@pytest.mark.parametrize("framing", ["stretch", "drawing"])
@pytest.mark.parametrize("shape", [(4, 20, 30), (4, 20, 30, 1), (4, 20, 30, 3)])
def test_one_array_is_read_as_its_images_one_by_one(framing: str, shape: tuple[int, ...]) -> None:
    modality = build_modality("image", {"channels": 1, "framing": framing})
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    array[1] /= 255  # from 0 to 1
    array[2, :, :3] = array[2, 0, 0]  # a wide border
    torch.testing.assert_close(modality.read(array, {}), modality.read(list(array), {}), rtol=0, atol=0)


@pytest.mark.parametrize("value", [-1, 256, np.nan, np.inf])
def test_one_array_with_a_bad_image_names_it(value: float) -> None:
    array = np.full((3, 16, 16), 7.0)
    array[1, 2, 3] = value
    with pytest.raises(InvalidExample) as caught:
        build_modality("image", {"channels": 1}).read(array, {})
    assert caught.value.index == 1
