"""Open transactions of anybody in the ledger's database that keep dead rows from being removed.

Reads what every role may see: the server hides another role's start of a transaction, but neither its application nor
the oldest transaction that it may still see. How long it has been open is then told by the counts of calls, which are
written all the time: it is as old as the first of them that it cannot see.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text

LONG = timedelta(minutes=5)
"""A transaction that has been open for longer deserves a person's attention."""

_OLDEST = text("""
WITH holders AS (
    SELECT pid, application_name AS application, CAST(usename AS text) AS role,
        clock_timestamp() - xact_start AS open_for,
        greatest(coalesce(age(backend_xmin), 0), coalesce(age(backend_xid), 0)) AS transactions
    FROM pg_stat_activity
    WHERE (datname = current_database() OR datname IS NULL) AND pid <> pg_backend_pid()
        AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
    UNION ALL
    SELECT NULL, 'prepared transaction ' || gid, CAST(owner AS text), clock_timestamp() - prepared, age(transaction)
    FROM pg_prepared_xacts WHERE database = current_database()
    UNION ALL
    SELECT active_pid, 'replication slot ' || slot_name, NULL, NULL, age(xmin)
    FROM pg_replication_slots WHERE xmin IS NOT NULL
), oldest AS (
    SELECT * FROM holders ORDER BY open_for DESC NULLS LAST, transactions DESC LIMIT 1
), behind AS (
    SELECT * FROM holders WHERE open_for IS NULL ORDER BY transactions DESC LIMIT 1
)
SELECT pid, application, role, transactions, CAST(extract(epoch FROM open_for) AS float) AS seconds,
    (SELECT CAST(extract(epoch FROM clock_timestamp() AT TIME ZONE 'UTC'
            - (min(CAST(minute AS timestamp)) + interval '1 minute')) AS float)
        FROM dispatcher_minutes
        WHERE minute <> '' AND found.open_for IS NULL AND age(dispatcher_minutes.xmin) <= found.transactions
    ) AS at_least
FROM (SELECT * FROM oldest UNION SELECT * FROM behind) AS found
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTransaction:
    """A transaction, prepared transaction or replication slot that holds dead rows back."""

    pid: int | None
    application: str
    """Its ``application_name``, empty if it gave none; or the name of what it is."""
    role: str | None
    transactions: int
    """How many transactions began since."""
    open_for: timedelta | None
    """At least, unless ``exact``; None if the server does not show it and nothing tells it."""
    exact: bool

    @property
    def is_long(self) -> bool:
        """Whether it has been open for long, or, if that is not known, whether much was written since."""
        return self.open_for >= LONG if self.open_for is not None else self.transactions >= _MANY


_MANY = 100_000


def oldest_transaction(connection: Connection) -> OpenTransaction | None:
    """Return the transaction that has been open for longest; None if there is none, and on SQLite."""
    if connection.dialect.name != "postgresql":
        return None
    found = [
        OpenTransaction(
            pid=row.pid,
            application=row.application or "",
            role=row.role,
            transactions=row.transactions,
            open_for=_duration(row.seconds if row.seconds is not None else row.at_least),
            exact=row.seconds is not None,
        )
        for row in connection.execute(_OLDEST)
    ]
    return max(found, key=lambda each: (each.open_for or timedelta(0), each.transactions), default=None)


def _duration(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=max(0.0, seconds))
