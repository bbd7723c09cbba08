"""Whether the main loop of a worker or a clock still turns: the difference between waiting and being stuck."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dispatcher.logs import get_logger

log = get_logger(__name__)

STUCK_AFTER_S = 60.0
"""Longer than a reconnection's pause (30 s at most) and than any call that a main loop makes."""

ENDS_AFTER_S = 60.0
"""How long a stuck process goes on with a failing health check before it ends itself."""
STUCK_EXIT_CODE = 70
"""As ``EX_SOFTWARE`` in sysexits.h."""


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
        return self.overdue_s > 0

    @property
    def overdue_s(self) -> float:
        """For how many seconds a sign of life has been overdue; 0 if none is."""
        last = self._last
        return 0.0 if last is None else max(0.0, self.now() - last - self.stuck_after_s)


def end_when_stuck(
    pulse: Pulse, *, after_s: float = ENDS_AFTER_S, end: Callable[[int], object] = os._exit
) -> threading.Thread:
    """End this process if its loop has been stuck for so long, in a thread of its own; returns the thread.

    The health check fails first. Where nobody acts on it, whoever supervises the process starts a new one.
    """

    def watch() -> None:
        while pulse.overdue_s <= after_s:
            time.sleep(min(5.0, after_s))
        log.error("process_stuck", overdue_s=round(pulse.overdue_s), exit_code=STUCK_EXIT_CODE)
        end(STUCK_EXIT_CODE)

    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    thread.start()
    return thread
