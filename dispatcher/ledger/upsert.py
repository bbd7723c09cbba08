"""INSERT … ON CONFLICT, which both databases know and SQLAlchemy spells once for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from dispatcher.ledger.tables import Base

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def insert_into(connection: Connection | Session, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """Begin an INSERT that can say what happens on a conflict, for the database behind the connection."""
    bind = connection.get_bind() if isinstance(connection, Session) else connection
    if bind.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # all drivers' dialects with it; SQLite needs none of them

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)
