"""TCP proxies that misbehave when told to: TLS in front of the API, and PostgreSQL's own protocol."""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Any

from tests.gateway.certificates import make_certificates

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Look = Callable[[bytes], Awaitable[None]]
_CHUNK = 65536
API_HOST = "api.chaos.test"


class ApiMode(Enum):
    """What becomes of connections to the API."""

    GOOD = auto()
    CUT_AT_ONCE = auto()
    """Each is closed as soon as it is there: no byte of a request leaves."""
    STALLED_HANDSHAKE = auto()
    """Nothing is ever answered, not even the TLS handshake."""
    WRONG_CERTIFICATE = auto()
    CUT_ON_THE_WAY = auto()
    """Each is reset after some bytes of requests: the last one may have arrived whole, or not."""


class Wires:
    """An event loop in a thread of its own; closing it closes every proxy."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="wires", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run something in the loop and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=10)

    def close(self) -> None:
        """Stop everything."""
        self.loop.call_soon_threadsafe(self.loop.stop)


class _Relay:
    """Carries bytes both ways between who connects and an upstream."""

    def __init__(self) -> None:
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in list(self._open):
            writer.transport.abort()

    async def between(
        self, near: Streams, far: Streams, *, there: Look | None = None, back: Look | None = None
    ) -> None:
        """Carry until either side closes; ``there`` and ``back`` see each piece before it goes on."""
        ways = ((near[0], far[1], there), (far[0], near[1], back))
        self._open |= {near[1], far[1]}
        try:
            tasks = [asyncio.ensure_future(self._carry(*way)) for way in ways]
            _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
        finally:
            for writer in (near[1], far[1]):
                self._open.discard(writer)
                with suppress(Exception):
                    writer.close()

    @staticmethod
    async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, look: Look | None) -> None:
        with suppress(OSError):
            while piece := await source.read(_CHUNK):
                if look is not None:
                    await look(piece)
                target.write(piece)
                await target.drain()


class ApiWire:
    """The API as `https://api.chaos.test:…`, in front of a sandbox that speaks plain HTTP."""

    def __init__(self, wires: Wires, sandbox_port: int, folder: Path, seed: int) -> None:
        self.mode = ApiMode.GOOD
        self._certificates = make_certificates(folder, host=API_HOST)
        self.authority = self._certificates.authority
        self._sandbox_port = sandbox_port
        self._dice = random.Random(seed)
        self._relay = _Relay()
        self._wires = wires
        self._good, self._bad, self.port = wires.run(self._listen())

    def change(self, mode: ApiMode) -> None:
        """Change what becomes of connections; those that are kept open are cut, so that it holds for all."""
        self.mode = mode
        self._wires.loop.call_soon_threadsafe(self._relay.cut)

    async def _listen(self) -> tuple[int, int, int]:
        good = await self._serve(self._to_sandbox, self._certificates.good)
        bad = await self._serve(self._to_sandbox, self._certificates.untrusted)
        front = await self._serve(self._front, None)
        return good, bad, front

    @staticmethod
    async def _serve(serve: Callable[..., Awaitable[None]], tls: ssl.SSLContext | None) -> int:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        return int(server.sockets[0].getsockname()[1])

    async def _to_sandbox(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far = await asyncio.open_connection("127.0.0.1", self._sandbox_port)
        except OSError:
            writer.transport.abort()
            return
        await self._relay.between((reader, writer), far)

    async def _front(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mode = self.mode
        if mode is ApiMode.CUT_AT_ONCE:
            writer.transport.abort()
            return
        if mode is ApiMode.STALLED_HANDSHAKE:
            while self.mode is mode and not reader.at_eof():
                await asyncio.sleep(0.1)
            writer.transport.abort()
            return
        port = self._bad if mode is ApiMode.WRONG_CERTIFICATE else self._good
        far = await asyncio.open_connection("127.0.0.1", port)
        left = self._dice.randint(2_000, 12_000) if mode is ApiMode.CUT_ON_THE_WAY else None

        async def count(piece: bytes) -> None:
            nonlocal left
            if left is not None:
                left -= len(piece)
                if left <= 0:
                    raise ConnectionResetError

        await self._relay.between((reader, writer), far, there=count)


class LedgerWire:
    """PostgreSQL at a TCP port; can cut connections, also in the middle of a commit, and have them stand still."""

    def __init__(self, wires: Wires, socket: str, seed: int) -> None:
        self.commits_to_cut = 0
        self.share_before = 0.5
        """Which share of them the server never hears of; the others it carries out, and only its reply is lost."""
        self.cut_before, self.cut_after = 0, 0
        """Commits that were cut off before the server had them, and after it had carried them out."""
        self._socket = socket
        self._dice = random.Random(seed)
        self._relay = _Relay()
        self._wires = wires
        self._flows = asyncio.Event()
        self._flows.set()
        self.port = wires.run(self._listen())

    def point_at(self, socket: str) -> None:
        """Have new connections reach another server; those that are open stay where they are."""
        self._socket = socket

    def freeze(self) -> None:
        """Carry nothing any more, over old connections and new ones: no answer, no error, until ``thaw``."""
        self._wires.loop.call_soon_threadsafe(self._flows.clear)

    def thaw(self) -> None:
        """Carry on, with all that was held back."""
        self._wires.loop.call_soon_threadsafe(self._flows.set)

    def cut(self) -> None:
        """Reset every connection."""
        self._wires.loop.call_soon_threadsafe(self._relay.cut)

    async def _listen(self) -> int:
        server = await asyncio.start_server(self._front, "127.0.0.1", 0)
        return int(server.sockets[0].getsockname()[1])

    async def _front(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        try:
            far = await asyncio.open_unix_connection(self._socket)
        except OSError:
            writer.transport.abort()
            return
        reply_is_lost = False

        async def there(piece: bytes) -> None:
            nonlocal reply_is_lost
            await self._flows.wait()
            if self.commits_to_cut > 0 and b"COMMIT\x00" in piece:
                self.commits_to_cut -= 1
                if self._dice.random() < self.share_before:
                    self.cut_before += 1
                    raise ConnectionResetError
                reply_is_lost = True

        async def back(_piece: bytes) -> None:
            await self._flows.wait()
            if reply_is_lost:
                self.cut_after += 1
                raise ConnectionResetError

        await self._relay.between((reader, writer), far, there=there, back=back)
