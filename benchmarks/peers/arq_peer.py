"""Arq: `arq benchmarks.peers.arq_peer.WorkerSettings`."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.peers.job import IN_FLIGHT, REDIS, Looped, OneByOne, produce


async def send(context: dict[str, Any], message: int) -> None:
    """Send one message."""
    await context["job"].send(message)


async def _startup(context: dict[str, Any]) -> None:
    context["job"] = Looped()
    await context["job"].open()


class WorkerSettings:
    """As arq's documentation has it; results are not kept."""

    functions: ClassVar = [send]
    on_startup = _startup
    redis_settings = RedisSettings.from_dsn(REDIS or "redis://localhost")
    max_jobs = IN_FLIGHT
    keep_result = 0
    poll_delay = 0.05


def enqueue(messages: list[int], *, one_by_one: OneByOne | None = None) -> None:
    """Queue a task for each message; ``one_by_one`` is called before each of them."""

    async def run() -> None:
        pool = await create_pool(WorkerSettings.redis_settings)
        if one_by_one is None:
            for start in range(0, len(messages), 50):
                await asyncio.gather(*(pool.enqueue_job("send", message) for message in messages[start : start + 50]))
        else:
            for message in messages:
                one_by_one(message)
                await pool.enqueue_job("send", message)
        await pool.close()

    produce(run())
