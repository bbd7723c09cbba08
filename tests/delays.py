"""A TCP proxy that is far away: every byte arrives later, both ways, as over a long wire."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(slots=True)
class Distance:
    """How far away the server is now."""

    seconds: float
    """To there and back."""
    port: int = field(default=0, init=False)


@contextmanager
def far_away(port: int, seconds: float) -> Iterator[Distance]:
    """Put a server on this host at a distance, to there and back, and yield the port to call instead."""
    distance = Distance(seconds)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="distance", daemon=True)
    thread.start()

    async def listen() -> None:
        server = await asyncio.start_server(lambda *near: _relay(near, port, distance), "127.0.0.1", 0)
        distance.port = server.sockets[0].getsockname()[1]

    asyncio.run_coroutine_threadsafe(listen(), loop).result(timeout=10)

    async def stop() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    try:
        yield distance
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)


async def _relay(near: tuple[asyncio.StreamReader, asyncio.StreamWriter], port: int, distance: Distance) -> None:
    await asyncio.sleep(distance.seconds)  # the handshake of TCP, which the kernel has made already
    with suppress(OSError):
        far = await asyncio.open_connection("127.0.0.1", port)
        ways = [_carry(near[0], far[1], distance), _carry(far[0], near[1], distance)]
        await asyncio.gather(*ways)


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, distance: Distance) -> None:
    """Carry pieces in their order, each on its way for half of the distance while others follow it."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, piece = await under_way.get()
            await asyncio.sleep(due - loop.time())
            if not piece:
                target.close()
                return
            target.write(piece)

    delivering = asyncio.ensure_future(deliver())
    with suppress(OSError):
        while piece := await source.read(65536):
            under_way.put_nowait((loop.time() + distance.seconds / 2, piece))
    under_way.put_nowait((loop.time() + distance.seconds / 2, b""))
    with suppress(OSError):
        await delivering
