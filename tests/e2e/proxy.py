"""A proxy between client and service that swallows replies."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def dropping(port: int, replies: int) -> Iterator[str]:
    """URL of a proxy to a port of this machine. Of so many first replies it reads the beginning, then hangs up."""
    dropped = iter(range(replies))

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            client: socket.socket = self.request
            with socket.create_connection(("127.0.0.1", port)) as upstream:
                threading.Thread(target=_pass_on, args=(client, upstream), daemon=True).start()
                while reply := upstream.recv(1 << 16):
                    if next(dropped, None) is not None:
                        return
                    client.sendall(reply)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # either side has hung up
        while data := source.recv(1 << 16):
            target.sendall(data)
