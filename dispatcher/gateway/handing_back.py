"""From the threads that call to the pump that waits: what has finished, in the order in which it did."""

from __future__ import annotations

import threading
from datetime import timedelta
from queue import Empty, SimpleQueue

from dispatcher.domain.attempt import Sent


class HandingBack:
    """The half of a ``Transport`` that is the same whatever carries the calls."""

    def __init__(self) -> None:
        self._finished: SimpleQueue[Sent] = SimpleQueue()
        self._counting = threading.Lock()
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        """How many calls have been started and not yet handed back by ``finished``."""
        return self._in_flight

    def finished(self, *, wait: timedelta) -> list[Sent]:
        """Return the calls that have completed, in the order in which they did.

        Waits for the first one at the most ``wait``, also when nothing is under way, so it can be a pump's only sleep.
        """
        sents: list[Sent] = []
        seconds = wait.total_seconds()
        try:
            sents.append(self._finished.get(timeout=seconds) if seconds > 0 else self._finished.get_nowait())
            while True:
                sents.append(self._finished.get_nowait())
        except Empty:
            pass
        if sents:
            with self._counting:
                self._in_flight -= len(sents)
        return sents

    def _started(self, count: int) -> None:
        with self._counting:
            self._in_flight += count

    def _done(self, sent: Sent) -> None:
        self._finished.put(sent)
