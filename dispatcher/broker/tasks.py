"""The tasks: each does nothing but call what it was given."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Celery
from celery.exceptions import Reject

from dispatcher.broker.queues import BEAT_LIFE_SECONDS, DISPATCH, ENQUEUE, TICK
from dispatcher.domain.errors import LedgerUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the tasks call, in the process that runs them."""

    dispatch: Callable[[], object]
    """Pump for one slice."""
    enqueue: Callable[[str], object]
    """Put one sealed message into the ledger."""
    tick: Callable[[timedelta], object]
    """One beat of the clock, which was due so long ago."""


def register(app: Celery, work: Work) -> None:
    """Give the application its tasks."""

    @app.task(name=DISPATCH)
    def dispatch() -> None:
        work.dispatch()

    @app.task(name=ENQUEUE)
    def enqueue(sealed: str) -> None:
        try:
            work.enqueue(sealed)
        except LedgerUnavailable:
            time.sleep(1)  # back to the queue, not in a hot loop: the broker has the only copy
            raise Reject(requeue=True) from None

    @app.task(name=TICK, acks_late=False, bind=True)
    def tick(task: Any) -> None:
        work.tick(_since_due(task.request.expires))


def _since_due(expires: str | None) -> timedelta:
    """Say how long a beat was under way: when it was due is told by when it would have expired."""
    if expires is None:
        return timedelta(0)  # somebody else's beat
    due = datetime.fromisoformat(expires) - timedelta(seconds=BEAT_LIFE_SECONDS)
    return max(timedelta(0), datetime.now(UTC) - due)
