"""The tasks: each does nothing but call what it was given."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from celery import Celery
from celery.exceptions import Reject

from dispatcher.broker.app import DISPATCH, ENQUEUE, TICK
from dispatcher.domain.errors import LedgerUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the tasks call, in the process that runs them."""

    dispatch: Callable[[], object]
    """Pump for one slice."""
    enqueue: Callable[[str], object]
    """Put one sealed message into the ledger."""
    tick: Callable[[], object]
    """One beat of the clock."""


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

    @app.task(name=TICK, acks_late=False)
    def tick() -> None:
        work.tick()
