"""Lower bounds of index searches, so that dead entries which an open transaction keeps are not read by each claim.

PostgreSQL cannot remove an index entry while any session's snapshot may still see its row: a ``pg_dump``, an analyst's
open transaction, a replica's feedback. The searches for what is due begin at the oldest entry, which is where the dead
ones collect. Once a search walks through many, this module looks for the least value that still counts (the least
``due_at`` that is queued, for example), and the searches of the next second begin there.

Why a bound hides nothing that is due. A bound is at most the least value among the rows that count in the snapshot of
its search, whoever holds them locked; so no row of that snapshot lies below it. A row that counts only later has a
value no older than the moment at which it was written: enqueue, retry, replay, "send now" and a new lease set it to
their own time or a later one. A bound is therefore never later than ``SLACK`` before its search: transactions shorter
than that and clocks that agree within it always write above it. What remains is a row that was dated back by more: by
a transaction that stayed open longer, by an application whose clock is slow, by a campaign whose file is imported
while it runs, by a producer's own SQL. The next search sees it, as it reads from the very beginning. So it waits for at
most a second, or for thirty times the duration of a search if that is longer, and only while there are dead entries:
without them no bound is used.

SQLite removes an index entry with its row, so there no bound is needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Self, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, ScalarSelect, Select, func, literal, select

from dispatcher.ledger.types import UtcDateTime

Key = TypeVar("Key")

SLACK = timedelta(seconds=2)
"""How far below its search's own moment a bound stays."""
SLOW_S = 0.001
"""A call of the ledger that takes longer may have read dead entries: it is worth a search."""
WALK = timedelta(microseconds=100)
"""A search for one value that takes the server longer read many dead entries; without them it takes a fifth of this."""
EVERY_S = 1.0
"""For how long a bound is used before it is searched again."""
SHARE = 30
"""Searches take at most 1 / ``SHARE`` of the time, however many dead entries there are."""


@dataclass(slots=True, kw_only=True)
class LowerBounds(Generic[Key]):
    """The bounds of one kind of search, by the places that it reads; of one process.

    Two threads may use it at once: then both may search, and both find a valid bound.
    """

    search: Callable[[Connection, datetime], dict[Key, Least]]
    monotonic: Callable[[], float] = time.monotonic
    slow_s: float = SLOW_S
    walk: timedelta = WALK
    _bounds: dict[Key, datetime] = field(default_factory=dict, init=False)
    _wanted: bool = field(default=False, init=False)
    _next_search: float = field(default=float("-inf"), init=False)

    @contextmanager
    def applied(self, connection: Connection, now: datetime) -> Iterator[dict[Key, datetime]]:
        """Give the bounds to a block that searches; a place without one is read from its beginning.

        :param now: the ledger's time.
        """
        if connection.dialect.name != "postgresql":
            yield {}
            return
        if (self._bounds or self._wanted) and self.monotonic() >= self._next_search:
            self._renew(connection, now)
        began = self.monotonic()
        yield self._bounds
        self._wanted = self.monotonic() - began >= self.slow_s

    def _renew(self, connection: Connection, now: datetime) -> None:
        began = self.monotonic()
        latest = now - SLACK
        found = self.search(connection, now)
        self._bounds = {
            place: latest if least.value is None else min(least.value, latest)
            for place, least in found.items()
            if least.took > self.walk
        }
        self._next_search = began + max(EVERY_S, SHARE * (self.monotonic() - began))


@dataclass(frozen=True, slots=True)
class Least:
    """The least value of a place that counts, and how long the server looked for it."""

    value: datetime | None
    """None if nothing counts there."""
    took: timedelta

    @classmethod
    def of(cls, row: Row[*tuple[Any, ...]]) -> Self:
        """Read the columns of ``timed``."""
        return cls(row.least, row.ended - row.began)


def timed(least: ScalarSelect[datetime]) -> tuple[ColumnElement[datetime], ...]:
    """Build columns that find the least value and measure on the server how long that took, as ``Least.of`` reads them.

    PostgreSQL evaluates columns in their order, and a subquery when its column is evaluated.
    """
    moment = UtcDateTime()
    return (
        func.clock_timestamp(type_=moment).label("began"),
        least.label("least"),
        func.clock_timestamp(type_=moment).label("ended"),
    )


def single(least: Select[Any]) -> Callable[[Connection, datetime], dict[None, Least]]:
    """Return the search of an index that has one place alone."""
    columns = select(*timed(least.limit(1).scalar_subquery()), literal(None).label("place"))

    def search(connection: Connection, _now: datetime) -> dict[None, Least]:
        return {None: Least.of(connection.execute(columns).one())}

    return search
