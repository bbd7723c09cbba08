"""What calls came to, by the minute: added to with each batch that settles, read by charts and metrics."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select

from dispatcher.domain.attempt import Settlement
from dispatcher.domain.message import Channel
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.ledger.tables import MINUTES
from dispatcher.ledger.upsert import insert_into

BUCKETS_MS = (50, 100, 250, 500, 1000, 2500, 5000)
KEPT = timedelta(days=2)
_SUMS = ("calls", "latency_ms", *(f"le_{limit}" for limit in BUCKETS_MS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """The calls of one minute on one channel that came to one outcome."""

    minute: str
    channel: Channel
    outcome: OutcomeKind
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """All calls of a channel that ever came to an outcome, and how long they took."""

    channel: Channel
    outcome: OutcomeKind
    calls: int
    latency_ms: int
    within: tuple[int, ...]
    """How many took at the most so long, for each of ``BUCKETS_MS``."""


def minute_of(moment: datetime) -> str:
    """Return the minute of a moment in UTC, in the form of its rows."""
    return moment.isoformat("T", "minutes")[:16]


def add(connection: Connection, settled: Sequence[tuple[str, Settlement]]) -> None:
    """Count a batch, in the transaction that settles it."""
    took: dict[tuple[str, str, str, str], list[int]] = defaultdict(list)
    for channel, each in settled:
        key = (minute_of(each.finished_at), channel, each.outcome.kind.value, each.worker)
        took[key].append(each.latency_ms)
    if took:
        rows: list[dict[str, str | int]] = []
        for (minute, channel, outcome, worker), latencies in sorted(took.items()):
            latencies.sort()
            row: dict[str, str | int] = {"minute": minute, "channel": channel, "outcome": outcome, "worker": worker}
            row.update(calls=len(latencies), latency_ms=sum(latencies))
            row.update({f"le_{limit}": bisect_right(latencies, limit) for limit in BUCKETS_MS})
            rows.append(row)
        _upsert(connection, rows)


def since(connection: Connection, moment: datetime) -> list[Minute]:
    """Return the minutes from a moment on, in order."""
    by = (MINUTES.c.minute, MINUTES.c.channel, MINUTES.c.outcome)
    rows = connection.execute(
        select(*by, func.sum(MINUTES.c.calls).label("calls"))
        .where(MINUTES.c.minute >= minute_of(moment))
        .group_by(*by)
        .order_by(*by)
    )
    return [
        Minute(minute=row.minute, channel=Channel(row.channel), outcome=OutcomeKind(row.outcome), calls=int(row.calls))
        for row in rows
    ]


def totals(connection: Connection) -> list[Total]:
    """Return what all calls came to since the ledger was made."""
    by = (MINUTES.c.channel, MINUTES.c.outcome)
    sums = [func.sum(MINUTES.c[name]).label(name) for name in _SUMS]
    rows = connection.execute(select(*by, *sums).group_by(*by).order_by(*by)).all()
    return [
        Total(
            channel=Channel(row.channel),
            outcome=OutcomeKind(row.outcome),
            calls=int(row.calls),
            latency_ms=int(row.latency_ms),
            within=tuple(int(getattr(row, f"le_{limit}")) for limit in BUCKETS_MS),
        )
        for row in rows
    ]


def fold(connection: Connection, *, now: datetime) -> int:
    """Fold old minutes into their sums, and return how many rows went. Only whole days are folded at once."""
    old = (MINUTES.c.minute != "") & (MINUTES.c.minute < minute_of(now - KEPT))
    by = (MINUTES.c.channel, MINUTES.c.outcome)
    sums = [func.sum(MINUTES.c[name]).label(name) for name in _SUMS]
    rows = connection.execute(select(*by, *sums).where(old).group_by(*by)).all()
    if not rows:
        return 0
    gone = connection.execute(delete(MINUTES).where(old)).rowcount
    _upsert(
        connection,
        [
            {
                "minute": "",
                "worker": "",
                **{name: int(value) if name in _SUMS else value for name, value in row._mapping.items()},
            }
            for row in rows
        ],
    )
    return gone


def _upsert(connection: Connection, rows: list[dict[str, str | int]]) -> None:
    insert = insert_into(connection, MINUTES)
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=[MINUTES.c.minute, MINUTES.c.channel, MINUTES.c.outcome, MINUTES.c.worker],
            set_={name: MINUTES.c[name] + getattr(insert.excluded, name) for name in _SUMS},
        ),
        rows,
    )
