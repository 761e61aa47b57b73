"""Clients that are slow, stop in the middle, or never end: each is closed, in its own time."""

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app import errors
from app.body_limit import BodyLimit
from app.patience import PatientProtocol
from tests.running import free_port


class Impatient(PatientProtocol):
    head_seconds = 0.3


async def size(request: Request) -> JSONResponse:
    return JSONResponse(len(await request.body()))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    app = Starlette(routes=[Route("/size", size, methods=["POST"])])
    for kind in errors.HTTPException, Exception:
        app.add_exception_handler(kind, errors._http_error)
    app.add_middleware(BodyLimit, most=100_000, most_of_dataset=1, patience=0.3)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, http=Impatient, log_level="error"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield port
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"", b"HTTP/1.1 408"),
        (b"POST /size HTTP/1.1\r\nHost: x\r\n", b"HTTP/1.1 408"),
        (b"POST /size HTTP/1.1\r\nX: " + bytes(70_000).replace(b"\0", b"x"), b"HTTP/1.1 431"),
        (b"POST /size HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc", b"HTTP/1.1 408"),
        (b"POST /size HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"HTTP/1.1 408"),
        (b"POST /size HTTP/1.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", b"HTTP/1.1 200"),
    ],
    ids=["nothing", "half a head", "endless headers", "half a body", "an endless body", "a whole request"],
)
def test_a_connection_is_answered_and_closed_whatever_comes(port: int, sent: bytes, answered: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(sent)
        received = b""
        while chunk := client.recv(1 << 16):
            received += chunk
    assert received.startswith(answered), received


def test_a_kept_connection_may_send_another_request(port: int) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(2):
        client.request("POST", "/size", b"abc")
        assert client.getresponse().read() == b"3"
    client.close()
