"""INSERT … ON CONFLICT, which both databases know and SQLAlchemy spells once for each."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from dispatcher.ledger.tables import Base


def insert_into(connection: Connection | Session, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """Begin an INSERT that can say what happens on a conflict, for the database behind the connection."""
    bind = connection.get_bind() if isinstance(connection, Session) else connection
    return postgresql.insert(table) if bind.dialect.name == "postgresql" else sqlite.insert(table)
