"""One SQLAlchemy engine per database, set up for what each of the two can promise."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dispatcher.domain.errors import InstallationError, LedgerOutdated, LedgerUnavailable, SettingsError
from dispatcher.installation import explain
from dispatcher.ledger.database_errors import Meaning, is_lock, meaning_of
from dispatcher.ledger.deadlines import OPTION, PROMPT, Deadlines
from dispatcher.meanwhile import waited
from dispatcher.private_files import prepare_sqlite

READ_ONLY = "dispatcher_read_only"
"""Execution option of a connection that only reads: on SQLite it then takes no write lock."""

BUSY_TIMEOUT_MS = 10_000
_DRIVER = "postgresql+psycopg"


def make_engine(url: str, *, pool_size: int = 2, deadlines: Deadlines = PROMPT) -> Engine:
    """Open the ledger's database lazily.

    SQLite gets ``synchronous=FULL``, ``BEGIN IMMEDIATE`` for writers and a busy timeout. PostgreSQL gets durable
    commits, deadlines, and a check of connections that rested: a restart of the server costs a retry and no error.

    :param deadlines: of sessions on PostgreSQL; ``transaction`` and ``reading`` take others for one transaction.
    :raises SettingsError: the URL is malformed or names a database that is not supported.
    :raises InstallationError: PostgreSQL's driver is missing or cannot be loaded.
    :raises LedgerUnavailable: the folder of a SQLite ledger cannot be made.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise SettingsError(
            f"DISPATCHER_LEDGER_URL: is not a database URL{_quoted(url)}; see docs/settings.md"
        ) from None
    if parsed.get_backend_name() != "sqlite" and _has_stray_at(url, parsed):
        raise SettingsError(f"DISPATCHER_LEDGER_URL: names no host{_quoted(url)}")
    _require_sync(parsed)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(url, parsed.database, pool_size)
    if parsed.get_backend_name() == "postgresql":
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername=_DRIVER)
        try:
            from dispatcher.ledger.postgresql import postgresql_engine  # its driver is an extra

            return postgresql_engine(parsed, pool_size=pool_size, deadlines=deadlines)
        except (NoSuchModuleError, ImportError) as error:
            if parsed.drivername == _DRIVER and isinstance(error, ImportError):
                raise InstallationError(explain(error, needed_by="a PostgreSQL ledger")) from None
            raise SettingsError(f"DISPATCHER_LEDGER_URL: {error}; use {_DRIVER}://…") from None
    raise SettingsError(
        f"DISPATCHER_LEDGER_URL: {parsed.get_backend_name()} is not supported; use postgresql+psycopg:// or sqlite:///"
    )


def _require_sync(url: URL) -> None:
    """Refuse drivers for asyncio, which an application may have in its own URL.

    :raises SettingsError: with the driver to use.
    """
    try:
        is_async = url.get_dialect().is_async
    except (NoSuchModuleError, ImportError):
        return  # explained by whatever opens the database
    if is_async:
        own = {"postgresql": f"{_DRIVER}://", "sqlite": "sqlite:///"}.get(url.get_backend_name(), f"{_DRIVER}://")
        raise SettingsError(f"DISPATCHER_LEDGER_URL: {url.drivername} is a driver for asyncio; use {own}…")


def _has_stray_at(url: str, parsed: URL) -> bool:
    """Return whether a part of the password was taken for the host's, which errors and logs show."""
    query = url.partition("?")[2]
    return "@" in f"{parsed.host or ''}{parsed.database or ''}" or ("@" in query and not parsed.query)


def _quoted(url: str) -> str:
    return ", unless an @ in its password is written as %40" if url.count("@") > 1 else ""


def sqlite_file(url: str) -> Path | None:
    """Return the file of a SQLite ledger; None for another database, and for a name that SQLite reads as a URI."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None
    database = parsed.database if parsed.get_backend_name() == "sqlite" else None
    return Path(database).absolute() if database and database != ":memory:" and database[:5] != "file:" else None


def wal_is_safe(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> bool:
    """Say whether this SQLite may run a write-ahead log under several processes.

    Before 3.51.3 (but for 3.50.7 and 3.44.6) two processes that write and checkpoint at the same moment can
    corrupt the database (sqlite.org/wal.html, "The WAL-reset bug").

    >>> wal_is_safe((3, 40, 1)), wal_is_safe((3, 50, 7)), wal_is_safe((3, 51, 3))
    (False, True, True)
    """
    if version >= (3, 51, 3):
        return True
    return (3, 50, 7) <= version < (3, 51, 0) or (3, 44, 6) <= version < (3, 45, 0)


def _sqlite(url: str, database: str | None, pool_size: int) -> Engine:
    if not database or database == ":memory:":
        raise SettingsError("DISPATCHER_LEDGER_URL: a SQLite ledger needs a file, e.g. sqlite:////var/lib/x/ledger.db")
    file = sqlite_file(url)
    if file is not None:
        try:
            prepare_sqlite(file)
        except OSError as error:
            raise LedgerUnavailable(f"cannot make the ledger's folder {file.parent}: {error.strerror}") from None
    engine = create_engine(url, pool_size=pool_size, max_overflow=8, pool_timeout=10, hide_parameters=True)
    journal = "WAL" if wal_is_safe() else "TRUNCATE"

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, or SQLAlchemy's and ours would disagree
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.execute(f"PRAGMA journal_mode={journal}")
        cursor.execute("PRAGMA synchronous=FULL")  # a gift's guard must survive a power cut
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA temp_store=MEMORY")
        cursor.execute("PRAGMA cache_size=-16000")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get(READ_ONLY, False):
            connection.exec_driver_sql("BEGIN")
        else:
            # A deferred transaction that reads and then writes fails at once when another wrote in between.
            _await_write_lock(connection)
            if not connection.connection.driver_connection.in_transaction:  # type: ignore[union-attr]
                connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _await_write_lock(connection: Connection) -> None:
    """Try for the write lock every few milliseconds, up to the busy timeout.

    SQLite's own waiting backs off to a tenth of a second, so that a lone enqueue starves behind busy workers.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - this is the SQLite engine
    ends = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    driver.execute("PRAGMA busy_timeout=0")
    try:
        while time.monotonic() < ends:
            try:
                driver.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                if not is_lock(error):
                    # As SQLAlchemy raises errors of statements that it executes itself.
                    raise DBAPIError.instance("BEGIN IMMEDIATE", None, error, sqlite3.Error) from None
                waited()
                time.sleep(random.uniform(0.001, 0.004))
            else:
                return
    finally:
        driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


@contextmanager
def transaction(engine: Engine, *, deadlines: Deadlines | None = None) -> Iterator[Connection]:
    """Run one short write transaction.

    :param deadlines: on PostgreSQL, instead of the session's.
    :raises LedgerUnavailable: the database cannot be reached, or stayed locked past the busy timeout.
    """
    bounded = engine if deadlines is None else engine.execution_options(**{OPTION: deadlines})
    with reachable(), bounded.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine, *, deadlines: Deadlines | None = None) -> Iterator[Connection]:
    """Run one read transaction that blocks no writer longer than it must.

    :param deadlines: as for ``transaction``.
    :raises LedgerUnavailable: as for ``transaction``.
    """
    bounded = {} if deadlines is None else {OPTION: deadlines}
    with reachable(), engine.connect().execution_options(**{READ_ONLY: True}, **bounded) as connection:
        yield connection


@contextmanager
def reachable() -> Iterator[None]:
    """Turn each error of the database into what it means, without the statement's parameters.

    :raises LedgerUnavailable: the database cannot do it now; the same call may succeed later.
    :raises LedgerOutdated: its tables are missing.
    :raises sqlalchemy.exc.DBAPIError: values that the database refuses, a missing privilege, or a wrong statement.
    """
    try:
        yield
    except PoolTimeout as error:
        raise LedgerUnavailable(f"no free connection to the ledger: {error}") from None
    except DBAPIError as error:
        error.hide_parameters, error.params = True, None  # an application's own engine may not hide them
        match meaning_of(error):
            case Meaning.UNAVAILABLE:
                lines = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
                reason = f"the ledger cannot be used now: {lines[0]}"
                raise LedgerUnavailable(reason, locked=is_lock(error.orig)) from None
            case Meaning.UNPREPARED:
                from dispatcher.ledger.schema import HEAD  # which itself stands on this module

                raise LedgerOutdated(None, HEAD) from None
            case Meaning.REFUSED | Meaning.OTHER:
                if isinstance(error, IntegrityError | DataError):
                    raise _without_the_row(error) from None
                raise


def _without_the_row(error: IntegrityError | DataError) -> IntegrityError | DataError:
    """Return the error with the constraint's name alone: PostgreSQL's own text tells the whole row that broke it."""
    if isinstance(error.orig, sqlite3.Error):  # names columns or the constraint, and no values
        return error
    broken = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    said = f"violates constraint {broken}" if broken else f"a value cannot be taken ({type(error.orig).__name__})"
    told = type(error)(error.statement, None, _Broken(said), hide_parameters=True)
    error.orig, error.args, error.__cause__ = None, told.args, None  # it stays with the new one as its context
    return told


class _Broken(Exception):
    """A constraint was violated."""
