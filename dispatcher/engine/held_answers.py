"""Answers that neither the ledger nor the disk could take: kept in memory, and offered to both until one takes them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from dispatcher.domain.attempt import Settlement
from dispatcher.engine.spool import Spool
from dispatcher.engine.spooled import settle_spooled
from dispatcher.logs import get_logger
from dispatcher.ports import Ledger

log = get_logger(__name__)

RETRY_EVERY = timedelta(milliseconds=500)
REMIND_EVERY = timedelta(minutes=1)
LAST_TRIES = timedelta(seconds=10)
"""How long a process that ends goes on trying. What is lost then is what a killed process loses: in doubt."""


@dataclass(slots=True, kw_only=True)
class HeldAnswers:
    """The answers that a process still holds. A thread offers them, so that an idle process loses none."""

    spool: Spool
    ledger: Ledger
    retry_every: timedelta = RETRY_EVERY
    _answers: list[Settlement] = field(default_factory=list, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def keep(self, batch: Sequence[Settlement]) -> None:
        """Hold answers until the ledger or the disk takes them."""
        with self._lock:
            self._answers += batch
            if self._thread is None:
                self._thread = threading.Thread(target=self._offer, name="held answers", daemon=True)
                self._thread.start()

    def put_down(self) -> bool:
        """Offer what is held to the disk and to the ledger once; return whether nothing is held any more."""
        with self._lock:
            if not self._answers:
                return True
            try:
                self.spool.append(self._answers)
            except Exception:  # whatever the reason, the answers are still here
                return self._settle()
            log.warning("spooled", attempts=len(self._answers), reason="the disk takes answers again")
            self._answers = []
            return True

    def close(self, *, patience: timedelta = LAST_TRIES) -> None:
        """Try for a last while, then say in the log what is lost."""
        ends = time.monotonic() + patience.total_seconds()
        while not self.put_down() and time.monotonic() < ends:
            time.sleep(self.retry_every.total_seconds())
        with self._lock:
            if self._answers:
                messages = [str(each.message_id) for each in self._answers]
                log.error("answers_lost", attempts=len(messages), messages=messages)
                self._answers = []

    def _settle(self) -> bool:
        try:
            refused = settle_spooled(self.ledger, self._answers)
            self._answers = [each.answer for each in refused if each.answer is not None]
            if refused:
                self.spool.quarantine(refused)
        except Exception:  # as above
            return False
        self._answers = []
        return True

    def _offer(self) -> None:
        remind_at = time.monotonic() + REMIND_EVERY.total_seconds()
        while True:
            time.sleep(self.retry_every.total_seconds())
            with self._lock:
                if self.put_down():
                    self._thread = None
                    return
                if time.monotonic() >= remind_at:
                    remind_at = time.monotonic() + REMIND_EVERY.total_seconds()
                    log.error("spool_failed", attempts=len(self._answers), reason="answers are still in memory only")
