"""A pooler such as PgBouncer in transaction mode: each transaction of a connection may meet another session.

So nothing may be left in a session: no prepared statement, whose name is another client's as well, and no setting,
which the next client would get and we would not. Locks of ours end with their transaction anyway, and nothing listens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

if TYPE_CHECKING:
    import psycopg

_POOLED = "behind_a_pooler"


def is_pooled(connection: psycopg.Connection[Any], info: dict[Any, Any]) -> bool:
    """Return whether a new connection goes through a pooler, and prepare no statements on it then.

    A pooler gives its clients keys of its own for cancelling, so the process that it names is not the one that answers.

    :param info: the pool's record of the connection, which keeps the answer.
    """
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None  # noqa: S101 - a SELECT of one row
    info[_POOLED] = row[0] != connection.info.backend_pid
    if info[_POOLED]:
        connection.prepare_threshold = None
    return bool(info[_POOLED])


def goes_through_pooler(connection: Connection) -> bool:
    """Return what ``is_pooled`` found for a connection."""
    return bool(connection.info.get(_POOLED))
