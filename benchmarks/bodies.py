"""What clients send to `/adapt`: random drawings of five classes in each form that a body may have."""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

WAYS, SHOTS = 5, 5


def drawings() -> tuple[np.ndarray, list[str]]:
    """Pixels [25, 28, 28] and labels of a 5-way 5-shot support set."""
    pixels = np.random.default_rng(0).integers(0, 256, (WAYS * SHOTS, 28, 28), np.uint8)
    return pixels, [f"class {i // SHOTS}" for i in range(WAYS * SHOTS)]


def forms(pixels: np.ndarray) -> dict[str, Any]:
    """The inputs as one array, as a file each, and as lists of numbers."""
    return {"npy": _npy(pixels), "png": [_png(image) for image in pixels], "json": pixels.tolist()}


def _npy(array: np.ndarray) -> dict[str, str]:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return {"npy": base64.b64encode(buffer.getvalue()).decode()}


def _png(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
