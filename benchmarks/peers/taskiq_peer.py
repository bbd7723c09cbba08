"""Taskiq: `taskiq worker benchmarks.peers.taskiq_peer:broker --workers 2 --max-async-tasks 256`."""

from __future__ import annotations

import asyncio

from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import ListQueueBroker

from benchmarks.peers.job import REDIS, Looped, OneByOne, produce

broker = ListQueueBroker(url=REDIS)
_job = Looped()


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def _open(_: TaskiqState) -> None:
    await _job.open()


@broker.task(task_name="peer.send")
async def send(message: int) -> None:
    """Send one message."""
    await _job.send(message)


def enqueue(messages: list[int], *, one_by_one: OneByOne | None = None) -> None:
    """Queue a task for each message; ``one_by_one`` is called before each of them."""

    async def run() -> None:
        await broker.startup()
        if one_by_one is None:
            for start in range(0, len(messages), 200):
                await asyncio.gather(*(send.kiq(message) for message in messages[start : start + 200]))
        else:
            for message in messages:
                one_by_one(message)
                await send.kiq(message)
        await broker.shutdown()

    produce(run())
