"""Taskiq: `taskiq worker benchmarks.peers.taskiq_peer:broker --workers 2 --max-async-tasks 256`."""

from __future__ import annotations

import asyncio

from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import ListQueueBroker

from benchmarks.peers.job import REDIS, Looped

broker = ListQueueBroker(url=REDIS)
_job = Looped()


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def _open(_: TaskiqState) -> None:
    await _job.open()


@broker.task(task_name="peer.send")
async def send(message: int) -> None:
    """Send one message."""
    await _job.send(message)


def enqueue(messages: list[int]) -> None:
    """Queue a task for each message."""

    async def run() -> None:
        await broker.startup()
        for start in range(0, len(messages), 200):
            await asyncio.gather(*(send.kiq(message) for message in messages[start : start + 200]))
        await broker.shutdown()

    asyncio.run(run())
