"""A stand-in for the API that is never the limit: HTTP by hand on an event loop, a fixed latency, a journal of keys.

python benchmarks/stand_in.py --port 8099 --latency-ms 50
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections import Counter
from typing import ClassVar

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
KEY = re.compile(rb"idempotency-key: *([^\r]+)", re.IGNORECASE)
TOKEN = json.dumps(
    {"access_token": "t" * 40, "token_type": "Bearer", "expires_in": 3600, "scope": "write gifting:send"}
).encode()


class Api(asyncio.Protocol):
    """One connection."""

    latency = 0.05
    journal: ClassVar[Counter[str]] = Counter()
    arrivals: ClassVar[dict[str, float]] = {}
    """When the first request of each key came, on the machine's monotonic clock."""

    def __init__(self) -> None:
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end]
            found = LENGTH.search(head)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self.buffer) < whole:
                return
            self.buffer = self.buffer[whole:]
            self.answer(head)

    def answer(self, head: bytes) -> None:
        target = head.split(b" ", 2)[1]
        if target == b"/journal/arrivals":
            self.reply(json.dumps(self.arrivals).encode())
        elif target.startswith(b"/journal"):
            counts = {"calls": sum(self.journal.values()), "messages": len(self.journal)}
            if target.endswith(b"clear"):
                self.journal.clear()
                self.arrivals.clear()
            self.reply(json.dumps(counts).encode())
        elif target.startswith(b"/send"):
            found = KEY.search(head)
            key = found[1].decode() if found else ""
            self.journal[key] += 1
            self.arrivals.setdefault(key, time.monotonic())
            body = b'{"id":"m-%d"}' % len(self.journal)
            asyncio.get_running_loop().call_later(self.latency, self.reply, body)
        else:
            self.reply(TOKEN)

    def reply(self, body: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            )


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Api, "127.0.0.1", port, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=50)
    given = parser.parse_args()
    Api.latency = given.latency_ms / 1000
    asyncio.run(serve(given.port))
