"""Files fetched once, checked against a published checksum."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx

from meta_core.errors import DownloadFailed

Report = Callable[[str, int, int | None], None]
"""Called with the file's name, the bytes so far, and the bytes in all if known."""


def silent(name: str, done: int, total: int | None) -> None:
    """Reports nothing."""


def fetch(url: str, path: Path, checksum: str, report: Report = silent) -> None:
    """Download `url` to `path` unless it is there; `checksum` reads "md5:…" or "sha256:…".

    Nothing appears at `path` before the checksum fits. Raises `DownloadFailed` with the address and the reason.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    algorithm, expected = checksum.split(":", 1)
    digest = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=30) as response, partial.open("wb") as file:
            response.raise_for_status()
            size = response.headers.get("content-length")
            for chunk in response.iter_bytes():
                file.write(chunk)
                digest.update(chunk)
                report(path.name, file.tell(), int(size) if size else None)
    except (httpx.HTTPError, OSError) as error:
        partial.unlink(missing_ok=True)
        raise DownloadFailed(f"could not download {url} to {path}: {error}") from None
    if digest.hexdigest() != expected:
        partial.unlink()
        raise DownloadFailed(f"{url} has {algorithm} {digest.hexdigest()}, expected {expected}; nothing was kept")
    partial.rename(path)
