"""Bad input by mutation: small valid files and requests, damaged at random, for every decoder and for the API itself.

A case is a kind and a function that takes it in. It passes when it ends in success or in an error that a caller can
understand and that is a 4xx; anything else is a finding.
"""

import asyncio
import base64
import csv
import functools
import io
import json
import random
import stat
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pyarrow
import pyarrow.parquet
import soundfile
import torch
from PIL import Image

from app.errors import status_of
from app.main import create_app
from meta_core import uploads
from meta_core.errors import MetaError
from meta_core.limits import Limits
from meta_core.modality import build_modality
from meta_core.npy import read_npy
from meta_core.store import Store

LIMITS = Limits(
    max_body_bytes=2_000_000,
    max_pixels=1_000_000,
    max_total_pixels=4_000_000,
    max_samples=1_000_000,
    max_total_samples=4_000_000,
    max_dataset_bytes=2_000_000,
    max_dataset_unpacked_bytes=4_000_000,
    max_dataset_members=1_000,
)
BYTES = [b"", b"\0", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 64, b"../", b"\r\n", b"NaN", b"1e999", b"\xed\xa0\x80"]
NASTY: list[Any] = [
    *(None, True, False, 0, -1, 2**31, 2**63, -(2**63) - 1, 10**30, 1e308, -1e308, 5e-324, 0.1),
    *(
        "",
        "x",
        "\0",
        "../x",
        "..\\x",
        "/etc/passwd",
        "mdl_" + "0" * 32,
        "a\r\nX-Evil: 1",
        "\ud800",
        "🜁" * 50,
        "A" * 5000,
    ),
    *("http://127.0.0.1:1/", "file:///etc/passwd", "data:image/png;base64,AAAA", "NaN", "Infinity", "${jndi:x}", "%00"),
    *([], {}, [[]], {"": ""}, {"npy": "AAAA"}, {"id": "dst_" + "0" * 32}, {"__proto__": 1}, [None], [[1], [2, 3]]),
    *([float("nan")], [float("inf")], float("nan"), float("-inf"), [0] * 3000, [[0.5] * 4] * 4, list(range(40))),
]
DEEP = 3_000
_SAFE = "/?=&@:;,!~*'()+$"


@dataclass
class Tally:
    """What became of the cases of one kind."""

    accepted: int = 0
    refused: int = 0
    findings: list[str] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def cases(self) -> int:
        """All of them."""
        return self.accepted + self.refused + len(self.findings)


Case = Callable[[random.Random], bool]
"""Takes one damaged input in; whether it was accepted. Raises what the decoder raises."""


def run(kind: Case, count: int, seed: int, most_findings: int = 20) -> Tally:
    """Try that many cases of one kind."""
    tally = Tally()
    for number in range(count):
        started = time.perf_counter()
        try:
            accepted = kind(random.Random(f"{seed} {number}"))
        except Exception as error:
            if isinstance(error, MetaError) and 400 <= status_of(error) < 500:
                accepted = False
            else:
                tally.findings.append(f"case {number}: {type(error).__module__}.{type(error).__name__}: {error}"[:500])
                if len(tally.findings) >= most_findings:
                    break
                continue
        tally.accepted += accepted
        tally.refused += not accepted
        tally.slowest = max(tally.slowest, time.perf_counter() - started)
    return tally


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Bytes with one to four changes: flipped, cut off, repeated, taken out, or replaced by what often hurts."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.randrange(len(changed) + 1) for _ in range(2))
        if rng.random() < 0.5:  # headers are where formats break
            at, end = sorted(rng.randrange(min(len(changed), 64) + 1) for _ in range(2))
        match rng.randrange(6):
            case 0 if changed:
                changed[min(at, len(changed) - 1)] ^= 1 << rng.randrange(8)
            case 1:
                del changed[at:]
            case 2:
                changed[at:at] = changed[at:end]
            case 3:
                del changed[at:end]
            case 4:
                value = rng.choice(BYTES)
                changed[at : at + len(value)] = value
            case _:
                changed[at : at + 4] = rng.randbytes(4)
    return bytes(changed)


def spoilt(value: Any, rng: random.Random) -> Any:
    """JSON with one node replaced, removed, repeated or added."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        rest = {key: item for key, item in value.items() if key != name}
        new = {**value, rng.choice(["", "x", "__class__", "\0", "é" * 100, "inputs"]): rng.choice(NASTY)}
        return rng.choice([rest, new, *[{**value, name: spoilt(value[name], rng)}] * 8])
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        more = value[:at] + [value[at]] * rng.randint(2, 30) + value[at:]
        return rng.choice(
            [value[:at] + value[at + 1 :], more, *[[*value[:at], spoilt(value[at], rng), *value[at + 1 :]]] * 8]
        )
    if isinstance(value, str) and value and rng.random() < 0.5:
        return damaged(value.encode("utf-8", "replace"), rng).decode("latin-1")
    return rng.choice(NASTY)


def as_json(value: Any, rng: random.Random) -> bytes:
    """A value as JSON text, now and then damaged, deeply nested, with a name twice, or in another encoding."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.7)
    match rng.randrange(12):
        case 0:
            return damaged(text.encode("utf-8", "replace"), rng)
        case 1:
            return text.replace("{", '{"a": ' + rng.choice(["[", '{"a":']) * rng.randint(10, DEEP), 1).encode(
                "utf-8", "replace"
            )
        case 2:
            return text.replace("{", '{"base": 1, "support": {}, ', 1).encode("utf-8", "replace")
        case 3:
            return text.encode(rng.choice(["utf-16", "utf-8-sig", "utf-32"]), "replace")
    return text.encode("utf-8", "replace")


# --- files -----------------------------------------------------------------------------------------------------------


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


# --- kinds -----------------------------------------------------------------------------------------------------------


def decoders() -> dict[str, Case]:
    """A kind for each decoder of inputs."""
    kinds: dict[str, Case] = {}
    files = {"image": pictures(), "audio": recordings()}
    for name, seeds in files.items():
        kinds[f"{name} file"] = _file_reader(name, seeds)
    kinds["npy"] = _with(arrays(), lambda content: read_npy(content) is not None)
    kinds["series file"] = _file_reader("series", [arrays()[0], b"1,2\n3,4\n,5\n"])
    kinds["text file"] = _file_reader("text", ["déjà vu".encode(), b"plain"])
    good: dict[str, list[Any]] = {
        "image": [base64.b64encode(pictures()[0]).decode(), [[0, 255], [128, 3]]],
        "audio": [base64.b64encode(recordings()[0]).decode()] * 2,
        "table": [{"a": 1.5, "b": "x", "c": None}, {"a": 2, "b": "y", "c": True}],
        "text": ["words", "and more"],
        "vector": [[0.5, 1, 2], [3, 4, 5]],
        "series": [[0.5, None, 2, 3], [[1, 2], [3, 4]]],
    }
    for name, inputs in good.items():
        kinds[f"{name} JSON"] = _value_reader(name, inputs)
    return kinds


def _with(seeds: list[bytes], read: Callable[[bytes], Any]) -> Case:
    def case(rng: random.Random) -> bool:
        read(damaged(rng.choice(seeds), rng))
        return True

    return case


def _file_reader(name: str, seeds: list[bytes]) -> Case:
    modality = build_modality(name, {}, LIMITS)
    return _with(seeds, lambda content: modality.read([content], modality.describe([content])))


def _value_reader(name: str, inputs: list[Any]) -> Case:
    modality = build_modality(name, {}, LIMITS)

    def case(rng: random.Random) -> bool:
        values = spoilt(inputs, rng)
        values = values if isinstance(values, list) and values else [values]
        x = modality.read(values, modality.describe(values))
        assert x.isfinite().all() or name == "series", "a number that is none was let through"
        return True

    return case


def uploaded() -> dict[str, Case]:
    """A kind for each format of datasets."""
    lines, jsonl = texts()
    files = {"zip and npz": archives(), "Parquet": tables(), "CSV": lines, "JSONL": jsonl}
    return {f"dataset {name}": _upload(seeds) for name, seeds in files.items()}


def _upload(seeds: list[bytes]) -> Case:
    folder = tempfile.TemporaryDirectory(prefix="shotput-fuzz-")
    path, store = Path(folder.name) / "file", Store("memory:///")
    (root := Path(folder.name) / "root").mkdir()

    def case(rng: random.Random, _keep: Any = folder) -> bool:
        seed = rng.choice(seeds)
        path.write_bytes(seed if rng.random() < 0.02 else damaged(seed, rng))
        before = set(store.keys("someone"))
        try:
            uploads.add(store, "someone", path, limits=LIMITS)
        except MetaError:
            assert set(store.keys("someone")) == before, "something was kept of a file that was refused"
            raise
        finally:
            assert not any(root.iterdir()), "something was written beside the file"
        return True

    return case


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


@functools.cache
def bodies() -> list[tuple[str, Any]]:
    """Valid bodies, and where they go."""
    rows = {"inputs": [{"a": 0.5, "b": "x"}, {"a": 1, "b": None}] * 2, "labels": ["u", "v"] * 2}
    picture = base64.b64encode(pictures()[0]).decode()
    training = {"steps": 10, "tasks": 2, "shots": 2, "queries": 2}
    recipe = {"name": "x", "dataset": "sinusoids", "learner": "cnp", "backbone": "identity", "training": training}
    points = {"inputs": [[0.5], [1.5]], "labels": [0.5, 1.0]}
    return [
        (
            "/adapt",
            {"base": "table", "support": rows, "learner": "ridge", "params": {"penalty": 1.0}, "metadata": {"a": [1]}},
        ),
        ("/adapt", {"base": "omniglot", "support": {"inputs": [picture] * 2, "labels": [0, 1]}, "keep_support": True}),
        ("/adapt", {"base": "sinusoid", "support": points, "task": "regression", "name": "x"}),
        ("/predict", {"model": "mdl_" + "0" * 32, "inputs": [{"a": 1}], "coverage": 0.9}),
        ("/evaluate", {"model": "mdl_" + "0" * 32, "inputs": [{"a": 1}], "labels": ["u"]}),
        ("/evaluate", {"base": "table", "dataset": "mixtures", "ways": 5, "shots": 1, "tasks": 2}),
        ("/meta-train", recipe),
        ("/meta-train", {**recipe, "dataset": {"id": "dst_" + "0" * 32}, "params": {"width": 8}}),
        ("/models/mdl_" + "0" * 32 + "/readapt", {"base": "omniglot@2"}),
        ("/bases/omniglot/readapt", {"version": 1}),
        ("/bases/omniglot", {"default": 7}),
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _encodable(values: dict[str, str]) -> dict[str, str]:
    return {name: value.encode("utf-8", "replace").decode() for name, value in values.items()}


def kinds(api: Api) -> Iterator[tuple[str, Case, float]]:
    """Every kind, with its share of the cases: what is quick is tried more often."""
    yield from ((name, case, 3.0 if "JSON" in name or name == "npy" else 2.0) for name, case in decoders().items())
    yield from ((name, case, 1.5) for name, case in uploaded().items())
    yield from ((name, case, 2.0 if name == "HTTP bodies" else 1.0) for name, case in api.cases().items())
