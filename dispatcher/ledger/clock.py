"""Time as the ledger counts it, so that leases made on one machine mean the same on another."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, text

from dispatcher.domain.errors import LedgerUnavailable
from dispatcher.ledger.engine import reachable, reading
from dispatcher.logs import get_logger

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

log = get_logger(__name__)

MEASURE_EVERY = timedelta(minutes=1)
TRY_AGAIN = timedelta(seconds=5)
"""After a first measurement failed, before the next one."""
SLOWEST_MEASUREMENT = timedelta(seconds=1)
"""A measurement is wrong by at most half of its duration; one that took longer than this never replaces another."""

_MICROSECONDS = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts while the machine sleeps, where the system has such a clock: a lease ends during a sleep as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measurement:
    """The ledger's time at one moment of this process's monotonic time."""

    ledger_time: datetime
    taken_at: float
    """On the clock ``_ELAPSED``, in seconds."""
    skew: timedelta
    """How far the ledger's clock was ahead of this host's wall clock."""
    took: timedelta

    def now(self) -> datetime:
        return self.ledger_time + timedelta(seconds=self.age())

    def age(self) -> float:
        """Return the seconds since it was taken."""
        return time.clock_gettime(_ELAPSED) - self.taken_at


class LedgerClock:
    """The database's clock, measured once a minute; in between, monotonic time is added.

    This host's wall clock may be wrong, and it may be set while the process runs: neither changes what ``now`` returns.
    A SQLite ledger has one host, whose wall clock is the ledger's.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._measured: _Measurement | None = None
        self._try_again_at = 0.0
        """On the monotonic clock: a ledger that cannot be reached is not asked at every call."""

    def synchronise(self) -> timedelta:
        """Measure the ledger's time; return how far it is ahead of this host's wall clock.

        :raises LedgerUnavailable: the ledger cannot be asked; the last measurement stays in force.
        """
        if self._engine.dialect.name == "sqlite":
            return self._keep(_wall()).skew
        with reading(self._engine) as connection:
            connection.execute(text("SELECT 1"))  # the journey alone is to be measured, not the connecting
            return self._keep(_ask(connection)).skew

    def keep_in_step(self, session: Session | None = None) -> None:
        """Measure again if the last measurement is a minute old; who acts on the ledger's time calls this first.

        A ledger that cannot be asked leaves the last measurement in force.

        :param session: the caller's session on the ledger's database, which is then asked in the caller's transaction.
        :raises LedgerUnavailable: the ledger cannot be asked, and never could: the host's clock may be wrong. With
            ``session`` whenever it cannot be asked, since its transaction is lost.
        """
        if self._is_fresh():
            return
        if session is not None and session.get_bind().dialect.name == "postgresql":
            with reachable():
                self._keep(_ask(session))
            return
        try:
            self.synchronise()
        except LedgerUnavailable as away:
            if self._measured is None:
                raise
            self._try_again_at = self.monotonic() + MEASURE_EVERY.total_seconds()  # each try may take a timeout
            log.warning("clock_not_synchronised", reason=str(away))

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC.

        The first call measures. Only if that fails does it return the time of this host's wall clock.
        """
        if self._measured is None and self.monotonic() >= self._try_again_at:
            try:
                self.synchronise()
            except LedgerUnavailable as away:
                self._try_again_at = self.monotonic() + TRY_AGAIN.total_seconds()
                log.warning("clock_not_synchronised", reason=str(away))
        return (self._measured or _wall()).now()

    def monotonic(self) -> float:
        """Return seconds from some fixed point; only differences mean anything."""
        return time.monotonic()

    def sleep(self, wait: timedelta) -> None:
        """Let time pass."""
        time.sleep(wait.total_seconds())

    def _is_fresh(self) -> bool:
        if self._measured is None:
            return False
        return self.monotonic() < self._try_again_at or self._measured.age() <= MEASURE_EVERY.total_seconds()

    def _keep(self, taken: _Measurement) -> _Measurement:
        """Put a measurement in force, unless it is much less exact than the one that is."""
        if self._measured is None or taken.took <= SLOWEST_MEASUREMENT:
            self._measured = taken
        else:
            self._try_again_at = self.monotonic() + MEASURE_EVERY.total_seconds()
        return taken


def _ask(connection: Connection | Session) -> _Measurement:
    before = time.clock_gettime(_ELAPSED)
    # A number, since an application's session may have a DateStyle that its driver cannot read.
    microseconds = int(connection.execute(text(_MICROSECONDS)).scalar_one())
    after = time.clock_gettime(_ELAPSED)
    theirs = _EPOCH + timedelta(microseconds=microseconds)
    half = timedelta(seconds=(after - before) / 2)
    return _Measurement(
        ledger_time=theirs + half,
        taken_at=after,
        skew=theirs + half - datetime.now(UTC),
        took=half * 2,
    )


def _wall() -> _Measurement:
    return _Measurement(
        ledger_time=datetime.now(UTC),
        taken_at=time.clock_gettime(_ELAPSED),
        skew=timedelta(0),
        took=timedelta(0),
    )
