"""What a database's error means for the caller, decided by its code alone: SQLSTATE, or SQLite's result code.

Class names differ between drivers and texts between languages; codes do not. Sources: PostgreSQL's appendix A
"PostgreSQL Error Codes", and https://www.sqlite.org/rescode.html.
"""

from __future__ import annotations

import sqlite3
from enum import Enum, auto

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError


class Meaning(Enum):
    """What the caller may conclude from an error."""

    UNAVAILABLE = auto()
    """The database cannot do it now: the same statement may succeed later."""
    REFUSED = auto()
    """The values are wrong: the same statement with the same values fails every time."""
    UNPREPARED = auto()
    """A table is missing: the schema is not there."""
    OTHER = auto()
    """A missing privilege, a wrong statement: a person must change something; the values are not at fault."""


_UNAVAILABLE_CLASSES = frozenset(
    {
        "08",  # connection exception
        "28",  # invalid authorization: a password is being changed, or a standby does not know it yet
        "40",  # transaction rollback: serialization failure, deadlock
        "53",  # insufficient resources: disk full, out of memory, too many connections
        "55",  # object not in prerequisite state: lock not available, recovery in progress
        "57",  # operator intervention: shutdown, cancelled statement, statement timeout
        "58",  # system error: I/O error
        "XX",  # internal error, damaged data
    }
)
_UNAVAILABLE_STATES = frozenset(
    {
        "25006",  # read-only transaction: a standby, or a primary that was demoted or made read-only
        "25P03",  # idle in transaction for too long
        "25P04",  # transaction timeout
        "3D000",  # the database does not exist: it is being restored
        "0A000",  # a cached plan whose result type a migration has changed
        "26000",  # a prepared statement that this connection does not have
    }
)
_REFUSED_CLASSES = frozenset({"22", "23", "54"})  # data exception, integrity constraint violation, limit exceeded
_LOCK_NOT_AVAILABLE = "55P03"
_UNDEFINED_TABLE = "42P01"
_MOVED_CLASSES = frozenset({"08", "28"})
_MOVED_STATES = frozenset(
    {"0A000", "25006", "25P03", "25P04", "26000", "3D000", "57P01", "57P02", "57P03", "57P04", "57P05"}
)

_SQLITE_REFUSED = frozenset(
    {sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE}
)
_SQLITE_OTHER = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_AUTH})


def meaning_of(error: DBAPIError) -> Meaning:
    """Return what an error of the database means."""
    if isinstance(error.orig, sqlite3.Error):
        return _of_sqlite(error, error.orig)
    state = sqlstate(error.orig)
    if state is None or error.connection_invalidated:
        return _without_code(error)
    if state in _UNAVAILABLE_STATES or state[:2] in _UNAVAILABLE_CLASSES:
        return Meaning.UNAVAILABLE
    if state[:2] in _REFUSED_CLASSES:
        return Meaning.REFUSED
    return Meaning.UNPREPARED if state == _UNDEFINED_TABLE else Meaning.OTHER


def is_for_every_connection(error: BaseException | None) -> bool:
    """Whether the pool's other connections would fail as well: the server is a standby, or it is ending.

    Another server may have its address by now, so every pooled connection has to be opened again.
    """
    state = sqlstate(error)
    return state is not None and (state in _MOVED_STATES or state[:2] in _MOVED_CLASSES)


def is_lock(error: BaseException | None) -> bool:
    """Whether another session holds a lock that was waited for in vain."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return sqlstate(error) == _LOCK_NOT_AVAILABLE


def sqlstate(error: BaseException | None) -> str | None:
    """Return the SQLSTATE of a driver's error: psycopg, asyncpg, psycopg2 and pg8000 each keep it elsewhere."""
    for name in ("sqlstate", "pgcode"):
        code = getattr(error, name, None)
        if isinstance(code, str) and len(code) == 5:
            return code
    fields = error.args[0] if error is not None and error.args else None
    code = fields.get("C") if isinstance(fields, dict) else None
    return code if isinstance(code, str) else None


def _of_sqlite(error: DBAPIError, found: sqlite3.Error) -> Meaning:
    code = getattr(found, "sqlite_errorcode", None)
    if code is None:  # Python's module raised it: SQLite was not asked
        return _without_code(error)
    primary = code & 0xFF
    if primary in _SQLITE_REFUSED:
        return Meaning.REFUSED
    if primary in _SQLITE_OTHER:
        return Meaning.UNPREPARED if "no such table" in str(found) else Meaning.OTHER
    return Meaning.UNAVAILABLE  # busy, locked, read-only, full, I/O error, out of memory, cannot open, damaged


def _without_code(error: DBAPIError) -> Meaning:
    """Judge an error that the driver itself raised, by the class that PEP 249 gives it."""
    if error.connection_invalidated:
        return Meaning.UNAVAILABLE
    if isinstance(error.orig, sqlite3.InterfaceError):
        return Meaning.REFUSED  # a value that cannot be bound
    if isinstance(error, OperationalError | InterfaceError):
        return Meaning.UNAVAILABLE
    return Meaning.REFUSED if isinstance(error, DataError | IntegrityError) else Meaning.OTHER
