"""Whether the main loop of a worker or a clock still turns: the difference between waiting and being stuck."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

STUCK_AFTER_S = 60.0
"""Longer than a reconnection's pause (30 s at most) and than any call that a main loop makes."""


@dataclass(slots=True)
class Pulse:
    """The time of the last sign of life. One thread beats, another reads: a float needs no lock."""

    stuck_after_s: float = STUCK_AFTER_S
    now: Callable[[], float] = time.monotonic
    _last: float | None = field(default=None, init=False)

    def beat(self) -> None:
        """Record a sign of life."""
        self._last = self.now()

    def pause(self) -> None:
        """Expect none for now: the loop starts, or waits for Redis. That is no reason to restart a process."""
        self._last = None

    @property
    def stuck(self) -> bool:
        """Whether a sign of life is overdue."""
        last = self._last
        return last is not None and self.now() - last > self.stuck_after_s
