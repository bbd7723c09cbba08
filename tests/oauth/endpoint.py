"""A token endpoint of our own: a real HTTP server that counts what it is asked and answers as it is told."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

TOKEN_PREFIX = "tok-NEVER-IN-CLEAR-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it came in."""

    method: str
    path: str
    form: dict[str, list[str]]
    pair: str
    """What the Basic header said: client id, colon, secret."""
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What to answer. ``raw`` goes out as it is, instead of everything else."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0
    raw: bytes | None = None
    drip: float = 0
    """Seconds between any two bytes."""


Answer = Callable[[int, Call], Reply]
"""From the number of the call (from 1) and the call to what is answered."""


def granting(*, delay: float = 0, **fields: Any) -> Answer:
    """Grant a new token each time; a field given as None is left out."""

    def answer(number: int, call: Call) -> Reply:
        said: dict[str, Any] = {
            "access_token": f"{TOKEN_PREFIX}{number}",
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": call.form.get("scope", [""])[0],
        }
        said |= fields
        body = json.dumps({name: value for name, value in said.items() if value is not None}).encode()
        return Reply(body=body, delay=delay, headers={"Content-Type": "application/json"})

    return answer


def refusing(status: int, error: str = "", description: str = "", **headers: str) -> Answer:
    """Answer with an error as RFC 6749 has it."""
    said = {"error": error, "error_description": description} if error else {}
    reply = Reply(
        status=status, body=json.dumps(said).encode(), headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    return lambda number, call: reply


def always(reply: Reply) -> Answer:
    """Answer the same to everybody."""
    return lambda number, call: reply


class TokenEndpoint:
    """Listens on loopback. ``answer`` may be replaced at any time; ``calls`` is everything that was asked."""

    def __init__(self) -> None:
        self.answer: Answer = granting()
        self.calls: list[Call] = []
        self._counting = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/oauth2/token"

    @property
    def server(self) -> ThreadingHTTPServer:
        return self._server

    @contextmanager
    def running(self) -> Iterator[TokenEndpoint]:
        thread = threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def count(self, call: Call) -> int:
        with self._counting:
            self.calls.append(call)
            return len(self.calls)


def _handler(endpoint: TokenEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            basic = self.headers.get("Authorization", "").removeprefix("Basic ")
            call = Call(
                method=self.command,
                path=self.path,
                form=parse_qs(body),
                pair=base64.b64decode(basic).decode(),
                at=time.monotonic(),
            )
            self._send(endpoint.answer(endpoint.count(call), call))

        def _send(self, reply: Reply) -> None:
            time.sleep(reply.delay)
            if reply.raw is None:
                headers = {"Content-Length": str(len(reply.body))} | reply.headers
                lines = [f"HTTP/1.1 {reply.status} Said", *(f"{name}: {value}" for name, value in headers.items())]
                out = "\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body
            else:
                out = reply.raw
            self.close_connection = True
            with suppress(OSError):
                for start in range(0, len(out), step := 1 if reply.drip else len(out) or 1):
                    self.wfile.write(out[start : start + step])
                    self.wfile.flush()
                    time.sleep(reply.drip)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler
