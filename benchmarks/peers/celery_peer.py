"""Celery: `celery -A benchmarks.peers.celery_peer worker -P threads -c 64`, or with prefork."""

from __future__ import annotations

from celery import Celery, signals

from benchmarks.peers.job import REDIS, Threaded

app = Celery("peer", broker=REDIS)
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=4, task_acks_late=True, broker_pool_limit=10)
_job: list[Threaded] = []


def _open(**_: object) -> None:
    _job[:] = [Threaded()]


signals.worker_process_init.connect(_open, weak=False)
signals.celeryd_init.connect(lambda **_: None, weak=False)


@app.task(name="peer.send")
def send(message: int) -> None:
    """Send one message."""
    if not _job:
        _open()
    _job[0].send(message)


def enqueue(messages: list[int]) -> None:
    """Queue a task for each message, over one connection."""
    with app.producer_pool.acquire(block=True) as producer:
        for message in messages:
            send.apply_async((message,), producer=producer)
