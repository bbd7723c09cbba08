"""Time as the ledger counts it, so that leases made on one machine mean the same on another."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

from dispatcher.domain.errors import LedgerUnavailable
from dispatcher.ledger.engine import reading
from dispatcher.logs import get_logger

log = get_logger(__name__)

MEASURE_EVERY = timedelta(minutes=1)


class LedgerClock:
    """The host's clock, put right by PostgreSQL's; a SQLite ledger has one host, whose clock is right."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._offset = timedelta(0)
        self._measured_at: float | None = None

    def synchronise(self) -> timedelta:
        """Measure how far this host's clock is from the ledger's, and return it.

        :raises LedgerUnavailable: the ledger cannot be asked; the last offset stays in force.
        """
        if self._engine.dialect.name == "postgresql":
            with reading(self._engine) as connection:
                connection.execute(text("SELECT 1"))
                before = datetime.now(UTC)
                theirs = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
                after = datetime.now(UTC)
            self._offset = theirs - (before + (after - before) / 2)
        self._measured_at = self.monotonic()
        return self._offset

    def keep_in_step(self) -> None:
        """Measure again if that was a while ago; a ledger that cannot be asked leaves the last offset in force."""
        if self._measured_at is None or self.monotonic() - self._measured_at > MEASURE_EVERY.total_seconds():
            try:
                self.synchronise()
            except LedgerUnavailable as away:
                self._measured_at = self.monotonic()  # not again at once: each try may take a connect timeout
                log.warning("clock_not_synchronised", reason=str(away))

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        return datetime.now(UTC) + self._offset

    def monotonic(self) -> float:
        """Return seconds from some fixed point; only differences mean anything."""
        return time.monotonic()

    def sleep(self, wait: timedelta) -> None:
        """Let time pass."""
        time.sleep(wait.total_seconds())
