"""Dramatiq: `dramatiq benchmarks.peers.dramatiq_peer --processes 2 --threads 64`."""

from __future__ import annotations

import threading

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.job import REDIS, Threaded

broker = RedisBroker(url=REDIS)
dramatiq.set_broker(broker)
_job: list[Threaded] = []
_opening = threading.Lock()


@dramatiq.actor(max_retries=3)
def send(message: int) -> None:
    """Send one message."""
    with _opening:
        if not _job:
            _job.append(Threaded())
    _job[0].send(message)


def enqueue(messages: list[int]) -> None:
    """Queue a task for each message."""
    for message in messages:
        send.send(message)
