"""Kinds of cases for the application itself."""

import asyncio
import json
import random
from typing import Any
from urllib.parse import quote

import httpx
import torch

from app.main import create_app
from benchmarks.fuzz.case import LIMITS, Case
from benchmarks.fuzz.damage import NASTY, as_json, damaged, spoilt
from benchmarks.fuzz.files import archives, pictures, tables, texts
from benchmarks.fuzz.requests import bodies
from meta_core.store import Store

_SAFE = "/?=&@:;,!~*'()+$"


class Api:
    """The application in this process, on a store in memory and without Redis: accepted orders are only kept."""

    def __init__(self) -> None:
        self.store = Store("memory:///")
        self._loop = asyncio.new_event_loop()
        self.app = create_app(
            self.store, "unix:///nonexistent", LIMITS, device=torch.device("cpu"), wait_seconds=0, cache_bytes=1 << 20
        )
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=("127.0.0.1", 1))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        self._batching = self._loop.create_task(self.app.state.parts.batcher.run())

    def close(self) -> None:
        """End what runs."""
        self._batching.cancel()
        self._loop.run_until_complete(asyncio.gather(self._batching, return_exceptions=True))
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()

    def ask(self, method: str, path: str, **request: Any) -> bool:
        """One request; whether it was accepted. Raises `AssertionError` for an answer that is none of ours."""
        before = set(self.store.keys("default"))
        answer = self._loop.run_until_complete(self._client.request(method, path, **request))
        where = f"{method} {path[:200]!r}: {answer.status_code} {answer.text[:200]}"
        if answer.status_code < 400:
            return True
        assert answer.status_code < 500, where
        assert answer.headers["content-type"] == "application/problem+json", where
        assert answer.json()["status"] == answer.status_code, where
        assert "x-evil" not in answer.headers, where
        assert len(answer.content) < 20_000, f"{len(answer.content)} bytes of error: {where}"
        assert set(self.store.keys("default")) == before, f"something was kept: {where}"
        return False

    def cases(self) -> dict[str, Case]:
        """A kind for each way in."""
        return {
            "HTTP bodies": self._bodies,
            "HTTP forms": self._forms,
            "HTTP uploads": self._uploads,
            "HTTP paths": self._paths,
            "HTTP headers": self._headers,
        }

    def _bodies(self, rng: random.Random) -> bool:
        path, body = rng.choice(bodies())
        for _ in range(rng.choice([0, 1, 1, 2, 3])):
            body = spoilt(body, rng)
        return self.ask(
            "PATCH" if path.startswith("/bases/") and "readapt" not in path else "POST",
            path,
            content=as_json(body, rng),
            headers={"content-type": "application/json"},
        )

    def _forms(self, rng: random.Random) -> bool:
        parts = [("base", "omniglot"), ("params", "{}"), ("metadata", '{"a": 1}'), ("name", "x"), ("learner", "ridge")]
        values = {
            name: spoilt(value, rng) if rng.random() < 0.4 else value for name, value in parts[: rng.randint(1, 5)]
        }
        text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
        labels = [
            rng.choice(["a", "b", "unlabelled", "", "é", "../x", 'a"b', "base"]) for _ in range(rng.randint(0, 5))
        ]
        files = [(label, (rng.choice(["x.png", "../x", "a\0b"]), damaged(pictures()[0], rng))) for label in labels]
        request = httpx.Request("POST", "http://x/", data=_encodable(text), files=files or [("a", ("x", b""))])
        body = request.read()
        if rng.random() < 0.4:
            body = damaged(body, rng)
        headers = {"content-type": request.headers["content-type"]}
        return self.ask("POST", rng.choice(["/adapt", "/predict", "/datasets"]), content=body, headers=headers)

    def _uploads(self, rng: random.Random) -> bool:
        content = damaged(rng.choice([*archives()[:2], *tables(), *texts()[0], *texts()[1]]), rng)
        names = ("name", "format", "target", "task", "modality")
        query = {name: _text(rng.choice(NASTY)) for name in names if rng.random() < 0.2}
        return self.ask("POST", "/datasets", content=content, params=_encodable(query))

    def _paths(self, rng: random.Random) -> bool:
        ids = [
            "mdl_" + "0" * 32,
            "job_" + "f" * 32,
            "dst_" + "a" * 32,
            "omniglot@1",
            "table",
            "..%2f..%2fx",
            "%00",
            "%0a",
        ]
        id = damaged(rng.choice(ids).encode(), rng).decode("latin-1") if rng.random() < 0.7 else rng.choice(ids)
        folder = rng.choice(["models", "jobs", "datasets", "bases", "learners", "keys", ""])
        tail = rng.choice(["", "", "/events", "/readapt", "/examples", "/..", "?limit=-1", "?limit=1e9", "?cursor=%00"])
        method = rng.choice(["GET", "GET", "DELETE", "PATCH", "POST", "PUT", "HEAD", "OPTIONS"])
        path = quote(f"/{folder}/{id}{tail}", safe=f"{_SAFE}%" if rng.random() < 0.5 else _SAFE)
        return self.ask(method, f"http://127.0.0.1{path}") if method not in ("HEAD", "OPTIONS") else True

    def _headers(self, rng: random.Random) -> bool:
        names = (
            "prefer",
            "idempotency-key",
            "content-type",
            "authorization",
            "last-event-id",
            "content-length",
            "x-request-id",
        )
        values = [
            b"wait=9999999999999",
            b"wait=NaN",
            b"\xff\xfe",
            b"a" * 300,
            b"",
            b"\x00",
            b"text/html",
            b"Bearer sk_x",
            b"-1",
        ]
        values += [
            b'application/json; charset="utf-7"',
            b"multipart/form-data",
            b"multipart/form-data; boundary=",
            b"1e9",
        ]
        headers = [(name.encode(), damaged(rng.choice(values), rng)) for name in names if rng.random() < 0.4]
        body = json.dumps(bodies()[0][1]).encode()
        return self.ask(
            "POST",
            rng.choice(["/adapt", "/predict", "/datasets", "/meta-train", "/evaluate"]),
            content=body,
            headers=headers,
        )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _encodable(values: dict[str, str]) -> dict[str, str]:
    return {name: value.encode("utf-8", "replace").decode() for name, value in values.items()}
