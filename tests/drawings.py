"""Drawings of our own for tests: three simple figures in many hands, and their PNG files."""

import base64
import io
import random

from PIL import Image, ImageDraw

FIGURES = ("circle", "cross", "stairs")


def draw(figure: str, seed: int, *, size: int = 96, ink: str = "black", paper: str = "white") -> Image.Image:
    """One drawing of a figure; place, size and thickness differ with the seed."""
    hand = random.Random(f"{figure} {seed}")
    image = Image.new("RGB", (size, size), paper)
    pen = ImageDraw.Draw(image)
    left, top = (hand.uniform(0.1, 0.3) * size for _ in range(2))
    side, width = hand.uniform(0.45, 0.6) * size, round(hand.uniform(0.03, 0.06) * size)
    right, bottom = left + side, top + side * hand.uniform(0.9, 1.1)
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    if figure == "circle":
        pen.ellipse((left, top, right, bottom), outline=ink, width=width)
    elif figure == "cross":
        pen.line((middle_x, top, middle_x, bottom), fill=ink, width=width)
        pen.line((left, middle_y, right, middle_y), fill=ink, width=width)
    else:
        steps = [(left, top), (middle_x, top), (middle_x, middle_y), (right, middle_y), (right, bottom)]
        pen.line(steps, fill=ink, width=width, joint="curve")
    return image


def png(image: Image.Image) -> bytes:
    """The image as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def base64_png(image: Image.Image) -> str:
    """The image as it stands in a request."""
    return base64.b64encode(png(image)).decode()


def support_of(shots: int) -> dict[str, list[str]]:
    """A support set of all figures."""
    labels = [figure for figure in FIGURES for _ in range(shots)]
    inputs = [base64_png(draw(figure, seed)) for figure in FIGURES for seed in range(shots)]
    return {"inputs": inputs, "labels": labels}
