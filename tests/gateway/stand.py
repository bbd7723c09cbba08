"""A stand-in for the API that does on its socket exactly what a test says, honest HTTP or not."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Peer:
    """One accepted connection, from the server's side."""

    def __init__(self, connection: socket.socket, stand: Stand) -> None:
        self.socket = connection
        self._stand = stand
        self._buffer = b""

    def receive(self) -> Received | None:
        """Read one whole request; None once the client has closed."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return None
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(self._buffer) < length:
            if not self._more():
                return None
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        method, target, _ = first.split(" ")
        received = Received(method, target, headers, body)
        self._stand.received.append(received)
        return received

    def _more(self) -> bool:
        part = self.socket.recv(65536)
        self._buffer += part
        self._stand.bytes_seen += len(part)
        return bool(part)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.socket.close(self.socket)

    def hang(self) -> None:
        """Keep the connection open and say nothing until the client gives up (or the test is over)."""
        with suppress(OSError):
            while self.socket.recv(65536):
                pass


Script = Callable[[Peer], object]


@dataclass(slots=True)
class Stand:
    """A listening server; each connection runs the script in a thread of its own."""

    script: Script
    tls: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    bytes_seen: int = 0
    """Bytes of requests, TLS not counted."""
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=512))
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._open.append(connection)
        with suppress(OSError):
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            with connection:
                self.script(Peer(connection, self))


def answer(status: int = 200, body: bytes = b'{"id":"m-1"}', **headers: str) -> bytes:
    """Build an answer; ``retry_after="3"`` becomes the header Retry-After."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Content-Length": str(len(body)), **named}.items())
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode() + body


def always(data: bytes, *, after: float = 0) -> Script:
    """Answer every request with the same bytes and keep the connection open."""

    def script(peer: Peer) -> None:
        while peer.receive() is not None:
            time.sleep(after)
            peer.send(data)

    return script


def once(*steps: bytes | float, then: Callable[[Peer], None] | None = None) -> Script:
    """Take one request, then send bytes and wait seconds in turn; then hang, reset, or (by default) close."""

    def script(peer: Peer) -> None:
        if peer.receive() is None:
            return
        for step in steps:
            if isinstance(step, bytes):
                peer.send(step)
            else:
                time.sleep(step)
        if then is not None:
            then(peer)

    return script


def dripping(data: bytes, *, every: float) -> Script:
    """Take one request and send the bytes one at a time."""
    return once(*(step for byte in data for step in (bytes([byte]), every)), then=Peer.hang)
