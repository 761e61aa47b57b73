"""Files are fetched whole and right, or not at all."""

import hashlib
import http.server
import importlib
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from meta_core.download import fetch
from meta_core.errors import DownloadFailed, InvalidParameter
from meta_core.hub import not_fetched

CONTENT = b"drawings" * 20_000
CHECKSUM = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "file.zip").write_bytes(CONTENT)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_file_is_fetched_once_with_progress(site: str, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    path = tmp_path / "new folder" / "file.zip"
    for _ in range(2):
        fetch(f"{site}/file.zip", path, CHECKSUM, lambda *step: seen.append(step))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("file.zip", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in seen] == sorted({done for _, done, _ in seen})


@pytest.mark.parametrize(
    ("address", "checksum", "words"),
    [
        ("/file.zip", "md5:" + "0" * 32, "expected 0000"),
        ("/nothing.zip", CHECKSUM, "404"),
    ],
)
def test_what_is_not_right_leaves_nothing(site: str, tmp_path: Path, address: str, checksum: str, words: str) -> None:
    path = tmp_path / "kept" / "file.zip"
    with pytest.raises(DownloadFailed, match=words):
        fetch(site + address, path, checksum)
    assert list(path.parent.iterdir()) == []


def test_a_server_that_is_away_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"http://127\.0\.0\.1:9/x"):
        fetch("http://127.0.0.1:9/x", tmp_path / "x", CHECKSUM)


def test_a_hub_that_has_no_such_thing_is_the_callers_mistake_and_one_that_fails_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("huggingface_hub")
    missing = importlib.import_module("huggingface_hub.errors").RevisionNotFoundError
    answer = httpx.Response(404, request=httpx.Request("GET", "https://example.org/"))
    unknown = missing("no such revision", response=answer)
    assert isinstance(not_fetched(unknown, "weights", "not here"), InvalidParameter)
    assert isinstance(not_fetched(ConnectionError("no route"), "weights", "not here"), DownloadFailed)
    monkeypatch.setattr(importlib.import_module("huggingface_hub.constants"), "HF_HUB_OFFLINE", True)
    assert isinstance(not_fetched(ConnectionError("offline"), "weights", "not here"), InvalidParameter)
