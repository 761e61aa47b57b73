"""An S3-compatible store for tests: the one that SHOTPUT_TEST_S3 names, or moto's server where it is installed."""

import os
import secrets
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from meta_core.store import Store
from tests.running import free_port
from tests.worker.site import until


@contextmanager
def s3_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A bucket of its own."""
    if url := os.environ.get("SHOTPUT_TEST_S3"):
        yield Store(f"{url.rstrip('/')}/{secrets.token_hex(8)}")
        return
    if (program := shutil.which("moto_server")) is None:
        pytest.skip("needs SHOTPUT_TEST_S3=s3://bucket, or moto_server on PATH (pip install 'moto[s3,server]')")
    endpoint = f"http://127.0.0.1:{(port := free_port())}"
    server = subprocess.Popen([program, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _made(f"{endpoint}/bucket"), seconds=60)
        settings = {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "REGION": "us-east-1", "ALLOW_HTTP": "true"}
        for name, value in {**settings, "ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        yield Store("s3://bucket")
    finally:
        server.kill()
        server.wait()


def _made(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return direct.open(urllib.request.Request(url, method="PUT"), timeout=5).status == 200
    except OSError:
        return False
