"""The tasks: each does nothing but call what it was given."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import Celery
from celery.exceptions import Reject

from dispatcher.broker.queues import DISPATCH, ENQUEUE
from dispatcher.domain.errors import LedgerUnavailable
from dispatcher.logs import get_logger

log = get_logger(__name__)

_RETRY_SECONDS = 1.0
"""How long a message that the ledger could not take waits at least; a worker takes no other one meanwhile."""
_REDELIVERY_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the tasks call, in the process that runs them."""

    dispatch: Callable[[], object]
    """Pump for one slice."""
    enqueue: Callable[[Any], object]
    """Put one sealed message into the ledger, given the task's only argument; None if it has not exactly one."""


def register(app: Celery, work: Work) -> None:
    """Give the application its tasks."""

    @app.task(name=DISPATCH)
    def dispatch() -> None:
        work.dispatch()

    # The broker has the only copy: it is acknowledged once the message has committed, and given back whatever else
    # happens, a killed process and a time limit included.
    @app.task(
        name=ENQUEUE,
        bind=True,
        acks_late=True,
        reject_on_worker_lost=True,
        acks_on_failure=False,
        acks_on_timeout=False,
    )
    def enqueue(task: Any, *arguments: Any, **named: Any) -> None:
        if (task.request.delivery_info or {}).get("redelivered"):
            time.sleep(_REDELIVERY_SECONDS)  # what ends its process each time must not do so in a hot loop
        began = time.monotonic()
        try:
            work.enqueue(arguments[0] if len(arguments) == 1 and not named else None)
        except Exception as error:
            level = log.warning if isinstance(error, LedgerUnavailable) else log.exception
            level(
                "enqueue_deferred", reason=str(error) if isinstance(error, LedgerUnavailable) else type(error).__name__
            )
            # To the end of the queue. Waiting for a lock was pause enough.
            time.sleep(max(0.0, _RETRY_SECONDS - (time.monotonic() - began)))
            raise Reject(requeue=True) from None
