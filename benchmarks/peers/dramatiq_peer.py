"""Dramatiq: `dramatiq benchmarks.peers.dramatiq_peer --processes 2 --threads 64`."""

from __future__ import annotations

import threading

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.job import REDIS, OneByOne, Threaded, threaded

broker = RedisBroker(url=REDIS)
dramatiq.set_broker(broker)
_job: list[Threaded] = []
_opening = threading.Lock()


@dramatiq.actor(max_retries=3)
def send(message: int) -> None:
    """Send one message."""
    with _opening:
        if not _job:
            _job.append(threaded())
    _job[0].send(message)


def enqueue(messages: list[int], *, one_by_one: OneByOne | None = None) -> None:
    """Queue a task for each message; ``one_by_one`` is called before each of them."""
    for message in messages:
        if one_by_one is not None:
            one_by_one(message)
        send.send(message)
