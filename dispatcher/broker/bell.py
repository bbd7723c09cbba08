"""The bell: one small task that says "something is due", deduplicated in Redis, best effort."""

from __future__ import annotations

import time

from redis import Redis

from dispatcher.broker.queues import DISPATCH, KEY_PREFIX
from dispatcher.broker.task_message import task_message
from dispatcher.logs import get_logger

log = get_logger(__name__)

_RUNG = "dispatcher:bell"
LIFE_MS = 2000
"""How long one ring stands for all others; so a bell that Redis or Celery lost is missed for no longer than that."""
DEAF_SECONDS = 1.0
"""After a failure Redis is left alone for this long, so that a burst of enqueues does not wait for it each time."""


class CeleryBell:
    """Rings by publishing the dispatch task, unless a ring is still unheard."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._deaf_until = 0.0

    def ring(self) -> bool:
        """Ring and say whether it could be heard; never raises and never takes more than a second."""
        if time.monotonic() < self._deaf_until:
            return False
        # The message has committed: whatever is wrong here, its caller must not hear of it.
        try:
            if self._redis.set(_RUNG, 1, nx=True, px=LIFE_MS):
                self._redis.lpush(KEY_PREFIX + DISPATCH, task_message(DISPATCH, queue=DISPATCH))
        except Exception as error:
            self._deaf_until = time.monotonic() + DEAF_SECONDS
            log.warning("bell_unheard", reason=type(error).__name__)
            return False
        return True

    def heard(self) -> None:
        """Take the ring down, before looking at the ledger: what commits after this rings anew."""
        try:
            self._redis.delete(_RUNG)
        except Exception as error:
            log.warning("bell_stuck", reason=type(error).__name__)  # it falls silent by itself
