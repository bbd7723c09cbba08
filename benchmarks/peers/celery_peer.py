"""Celery: `celery -A benchmarks.peers.celery_peer worker -P threads -c 128`, or with prefork."""

from __future__ import annotations

from celery import Celery, signals

from benchmarks.peers.job import REDIS, OneByOne, Threaded, threaded

app = Celery("peer", broker=REDIS)
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=4, task_acks_late=True, broker_pool_limit=10)
_job: list[Threaded] = []


def _open(**_: object) -> None:
    _job[:] = [threaded()]


signals.worker_process_init.connect(_open, weak=False)


@app.task(name="peer.send")
def send(message: int) -> None:
    """Send one message."""
    if not _job:
        _open()
    _job[0].send(message)


def enqueue(messages: list[int], *, one_by_one: OneByOne | None = None) -> None:
    """Queue a task for each message, over one connection; ``one_by_one`` is called before each of them."""
    with app.producer_pool.acquire(block=True) as producer:
        for message in messages:
            if one_by_one is not None:
                one_by_one(message)
            send.apply_async((message,), producer=producer)
