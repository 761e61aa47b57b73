"""Images: encoded files (PNG, JPEG, WebP, GIF) or arrays of numbers."""

import io
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import Field
from torch import Tensor

from meta_core.base64_text import decode_base64
from meta_core.config import Config
from meta_core.drawing import frame_drawings
from meta_core.errors import InvalidExample
from meta_core.limits import Limits
from meta_core.modality import Description, Modality, Shape, modalities

NO_ARRAY = "a nested list must be rectangular and hold numbers only"
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
Pixels = npt.NDArray[np.float32]
TOGETHER = 64
"""Most images of one size that are framed at once."""

# our own limit comes before decoding and can be set; Pillow's would warn and then refuse without naming it
Image.MAX_IMAGE_PIXELS = None


class ImageConfig(Config):
    """How images are made alike before the backbone sees them."""

    size: int = Field(28, ge=8, le=1024, description="height and width after resizing, in pixels")
    channels: Literal[1, 3] = Field(3, description="1: luminance, 3: red, green and blue")
    framing: Literal["stretch", "crop", "drawing"] = Field(
        "stretch",
        description="`stretch` resizes the whole image; `crop` the square in its middle; `drawing` finds the ink, "
        "light or dark, and centres it",
    )
    crop: float = Field(1.0, gt=0, le=1, description="side of that square, as a share of the shorter side")


@modalities.register("image")
class ImageModality(Modality):
    """Base64 strings or data URLs of image files, raw file bytes, or nested lists [H][W] or [H][W][channels].

    Numbers are 0–255, or 0–1 when none is larger than 1. EXIF orientation is applied, transparency is laid on white.
    """

    Config = ImageConfig
    config: ImageConfig
    backbone = "conv4"
    example = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA..."

    def shape_like(self, usual: Shape) -> Shape:
        """As configured."""
        return self.config.channels, self.config.size, self.config.size

    def describe(self, inputs: Sequence[Any]) -> Description:
        """Nothing: the preprocessing is the base model's own."""
        return {}

    def read(self, inputs: Sequence[Any], description: Description) -> Tensor:
        """Images as [N, channels, size, size], values 0–1. Raises `LimitExceeded` for too many pixels in all."""
        if (
            isinstance(inputs, np.ndarray)
            and (array := _all_numbers(inputs, self.config.channels, self.limits)) is not None
        ):
            images = self._framed(0, array)
        else:
            images = list[Pixels]()
            for _, alike in itertools.groupby(self._each(inputs), key=np.shape):
                while some := list(itertools.islice(alike, TOGETHER)):
                    images += self._framed(len(images), np.stack(some))
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)

    def _each(self, inputs: Sequence[Any]) -> Iterator[Pixels]:
        """The pixels of each input, [H, W, channels]."""
        total = 0
        for index, value in enumerate(inputs):
            pixels = self._read_one(index, value)
            total += pixels.shape[0] * pixels.shape[1]
            self.limits.check("pixels in all images", total, "max_total_pixels")
            yield pixels

    def _framed(self, first: int, pixels: Pixels) -> list[Pixels]:
        """Images [N, H, W, channels] of one size, each made [size, size, channels]; `first` is the index of the first.

        Drawings are framed together, which takes half the time.
        """
        if self.config.framing != "drawing":
            return [self._frame(one) for one in pixels]
        grey = pixels[..., 0] if pixels.shape[3] == 1 else pixels.mean(-1)
        return [_inked(index, one) for index, one in enumerate(frame_drawings(grey, self.config.size), first)]

    def _read_one(self, index: int, value: Any) -> Pixels:
        try:
            return self._pixels(value)
        except ValueError as error:
            raise InvalidExample(index, str(error)) from None

    def _pixels(self, value: Any) -> Pixels:
        if isinstance(value, str):
            value = decode_base64(value, "image")
        if isinstance(value, bytes):
            return _decode_file(value, self.config.channels, self.limits)
        if isinstance(value, list | np.ndarray):
            return _from_numbers(value, self.config.channels, self.limits)
        raise _Unreadable(f"an image is a base64 string, a data URL or a nested list of numbers; found {_kind(value)}")

    def _frame(self, pixels: Pixels) -> Pixels:
        size = self.config.size
        if self.config.framing == "crop":
            return _resized(
                pixels, size, Image.Resampling.BICUBIC, _middle(pixels.shape[0], pixels.shape[1], self.config.crop)
            )
        return _resized(pixels, size, Image.Resampling.BOX)


class _Unreadable(ValueError):
    """One image that cannot be read; the caller knows its index."""


def _kind(value: Any) -> str:
    return {type(None): "null", dict: "an object", bool: "a boolean"}.get(type(value), type(value).__name__)


def _inked(index: int, framed: Pixels | None) -> Pixels:
    if framed is None:
        raise InvalidExample(index, "the image is blank: every pixel has the same value")
    return framed[:, :, None]


def _middle(height: int, width: int, share: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the square in the middle of an image."""
    half = share * min(height, width) / 2
    return width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half


def _resized(
    pixels: Pixels, size: int, how: Image.Resampling, box: tuple[float, float, float, float] | None = None
) -> Pixels:
    """A square of it, or all, as [size, size, channels]; values beyond 0–1, which sharp edges give, are cut off."""
    planes = [Image.fromarray(pixels[:, :, c]).resize((size, size), how, box) for c in range(pixels.shape[2])]
    return np.stack([np.asarray(plane, np.float32) for plane in planes], axis=-1).clip(0, 1)


def _decode_file(content: bytes, channels: int, limits: Limits) -> Pixels:
    mode = "L" if channels == 1 else "RGB"
    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
        _check_size(image.width, image.height, limits)
        image.load()
        image = ImageOps.exif_transpose(image)
        return _flatten(image, mode)
    except UnidentifiedImageError:
        raise _Unreadable(f"not a readable image; the formats are {', '.join(FORMATS)}") from None
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged files
        if isinstance(error, _Unreadable):
            raise
        raise _Unreadable(f"the image file is damaged: {error}") from None


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        most = f"at most {limits.max_pixels} pixels are taken (setting max_pixels)"
        raise _Unreadable(f"the image has {width}×{height} pixels; {most}")


def _flatten(image: Image.Image, mode: str) -> Pixels:
    """Values 0–1 as [H, W, channels], transparency laid on white."""
    if image.mode.startswith("I"):  # 16-bit grey would be clipped by convert
        grey: Pixels = np.asarray(image, np.float32) / np.float32(65535)
        return np.repeat(grey[:, :, None], 1 if mode == "L" else 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    pixels: Pixels = np.asarray(image.convert(mode), np.float32) / np.float32(255)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _all_numbers(array: npt.NDArray[Any], channels: int, limits: Limits) -> Pixels | None:
    """Good images in one array as [N, H, W, channels]; None for all others, which are to be read one by one."""
    if array.dtype.kind not in "biuf" or array.ndim not in (3, 4) or not array.size:
        return None
    pixels: Pixels = array.astype(np.float32)
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    n, height, width, found = pixels.shape
    if found != channels or height * width > limits.max_pixels or n * height * width > limits.max_total_pixels:
        return None
    low, high = pixels.min(), pixels.max((1, 2, 3))
    if not (np.isfinite(low) and np.isfinite(high).all()) or low < 0 or high.max() > 255:
        return None
    whole: Pixels = np.where(high > 1, 255, 1).astype(np.float32)  # [N]
    return pixels / whole[:, None, None, None]


def _from_numbers(value: Any, channels: int, limits: Limits) -> Pixels:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        raise _Unreadable(NO_ARRAY) from None
    if array.dtype.kind not in "biuf":
        raise _Unreadable(NO_ARRAY)
    pixels: Pixels = array.astype(np.float32)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or not pixels.size:
        raise _Unreadable(f"an array image is [H][W] or [H][W][1 or 3]; found shape {list(np.shape(value))}")
    _check_size(pixels.shape[1], pixels.shape[0], limits)
    low, high = pixels.min(), pixels.max()  # NaN if there is any
    if not (np.isfinite(low) and np.isfinite(high)):
        raise _Unreadable("the image holds NaN or infinity")
    if low < 0 or high > 255:
        raise _Unreadable(f"pixel values are 0–255 (or 0–1); found {low:g} to {high:g}")
    pixels = pixels / np.float32(255 if high > 1 else 1)
    if pixels.shape[2] == channels:
        return pixels
    return pixels.mean(2, keepdims=True) if channels == 1 else np.repeat(pixels, 3, axis=2)
