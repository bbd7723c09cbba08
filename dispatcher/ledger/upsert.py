"""INSERT … ON CONFLICT, which both databases know and SQLAlchemy spells once for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.orm import Session


def insert_into(connection: Connection | Session, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Begin an INSERT that can say what happens on a conflict, for the database behind the connection."""
    bind = connection if isinstance(connection, Connection) else connection.get_bind()
    if bind.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # all drivers' dialects with it; SQLite needs none of them

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)
