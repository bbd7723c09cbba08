"""Sessions of the pages that were signed out before their time: a copy of such a cookie is worth nothing."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, select

from dispatcher.ledger.tables import SIGN_OUTS
from dispatcher.ledger.upsert import insert_into


def record(connection: Connection, session: str, *, now: datetime, forget_at: datetime) -> None:
    """Record that a session is over; remove records of sessions that have ended by themselves since."""
    connection.execute(delete(SIGN_OUTS).where(SIGN_OUTS.c.forget_at < now))
    values = {"session": session, "ended_at": now, "forget_at": forget_at}
    connection.execute(insert_into(connection, SIGN_OUTS).values(values).on_conflict_do_nothing())


def is_recorded(connection: Connection, session: str) -> bool:
    """Return whether a session was signed out."""
    found = select(SIGN_OUTS.c.session).where(SIGN_OUTS.c.session == session)
    return connection.execute(found).first() is not None
