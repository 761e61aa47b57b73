"""Small valid files of every format, and a few that are valid but must not be taken."""

import csv
import functools
import io
import json
import stat
import zipfile
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import soundfile
from PIL import Image


@functools.cache
def pictures() -> list[bytes]:
    """A picture in every format that is read."""
    image = Image.fromarray((np.arange(24 * 24 * 3) % 251).astype(np.uint8).reshape(24, 24, 3))
    modes = [
        ("PNG", "RGB"),
        ("JPEG", "RGB"),
        ("WEBP", "RGB"),
        ("GIF", "P"),
        ("PNG", "P"),
        ("PNG", "I;16"),
        ("BMP", "L"),
    ]
    files = []
    for format, mode in [*modes, ("TIFF", "RGB"), ("PNG", "RGBA"), ("PNG", "1")]:
        buffer = io.BytesIO()
        (image.convert("L").convert(mode) if mode in ("I;16", "1", "P") else image.convert(mode)).save(buffer, format)
        files.append(buffer.getvalue())
    return files


@functools.cache
def recordings() -> list[bytes]:
    """A tone in every format that is read."""
    samples = 0.5 * np.sin(np.arange(4000) * 0.2)
    files = []
    for format in ("WAV", "FLAC", "OGG", "MP3", "AIFF"):
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, 8000, format=format)
        files.append(buffer.getvalue())
    return files


@functools.cache
def arrays() -> list[bytes]:
    """Arrays as .npy, one of pickled objects among them."""
    files = []
    for array in (
        np.eye(4),
        np.arange(6, dtype="<i4"),
        np.array([{"a": 1}], dtype=object),
        np.asfortranarray(np.eye(3)),
    ):
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=True)
        files.append(buffer.getvalue())
    return files


@functools.cache
def archives() -> list[bytes]:
    """Class folders, arrays, and archives that lead out of themselves."""
    picture = pictures()[0]
    plain = {f"{label}/{i}.png": picture for label in "ab" for i in range(2)}
    link = zipfile.ZipInfo("a/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    sets: list[dict[Any, bytes]] = [
        plain,
        {f"{label}/{i}.wav": recordings()[0] for label in "ab" for i in range(2)},
        {**plain, "../x.png": picture},
        {**plain, "/etc/x.png": picture},
        {**plain, link: b"/etc/passwd"},
        {**plain, "a/zeros.png": bytes(1_500_000)},
        {"x.npy": arrays()[0], "y.npy": arrays()[1][:-8] + bytes(0)},
        {"x.npy": arrays()[2], "y.npy": arrays()[2]},
    ]
    files = []
    for members in sets:
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w", method) as archive:
                for name, content in members.items():
                    archive.writestr(name, content)
            files.append(buffer.getvalue())
    buffer = io.BytesIO()
    np.savez(buffer, x=np.random.default_rng(0).normal(size=(8, 3)), y=np.arange(8) % 2)
    return [*files, buffer.getvalue()]


@functools.cache
def tables() -> list[bytes]:
    """A table as Parquet, of numbers, texts, dates and missing values."""
    columns = {"a": [1.0, None, 3.0, 4.0], "b": ["x", "y", None, "é"], "c": [1, 2, 3, 4], "kind": ["u", "v", "u", "v"]}
    files = []
    for compression in ("none", "snappy", "zstd"):
        buffer = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table(columns), buffer, compression=compression)
        files.append(buffer.getvalue())
    return files


@functools.cache
def texts() -> tuple[list[bytes], list[bytes]]:
    """Tables as CSV, and lines of JSON."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["a", "b", "kind"], *([i, f"te,xt {i}", "uv"[i % 2]] for i in range(8))])
    lines = [{"text": f"words {i}", "label": "uv"[i % 2]} for i in range(6)]
    rows = [{"input": {"a": i, "b": None}, "label": i % 2} for i in range(6)]
    vectors = [{"input": [0.5, i], "label": i / 2} for i in range(6)]
    jsonl = ["\n".join(map(json.dumps, some)).encode() for some in (lines, rows, vectors)]
    return [buffer.getvalue().encode()], jsonl
