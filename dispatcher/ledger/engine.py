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
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, InvalidatePoolError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from dispatcher.domain.errors import InstallationError, LedgerOutdated, LedgerUnavailable, SettingsError
from dispatcher.installation import explain
from dispatcher.private_files import prepare_sqlite

READ_ONLY = "dispatcher_read_only"
"""Execution option of a connection that only reads: on SQLite it then takes no write lock."""

BUSY_TIMEOUT_MS = 10_000
_DRIVER = "postgresql+psycopg"
TRUSTED_S = 0.1
"""For how long a connection that rests is taken for a good one."""


def make_engine(url: str, *, pool_size: int = 2) -> Engine:
    """Open the ledger's database lazily.

    SQLite gets ``synchronous=FULL``, ``BEGIN IMMEDIATE`` for writers and a busy timeout. PostgreSQL gets a connect
    timeout and a check of connections that rested, so that a restart of the server costs one retry and not an error.

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
            engine = create_engine(
                parsed,
                pool_size=pool_size,
                max_overflow=8,
                hide_parameters=True,  # an error's text must not tell numbers and texts
                pool_timeout=10,
                connect_args={"connect_timeout": 5, "application_name": "dispatcher"},
            )
        except (NoSuchModuleError, ImportError) as error:
            if parsed.drivername == _DRIVER and isinstance(error, ImportError):
                raise InstallationError(explain(error, needed_by="a PostgreSQL ledger")) from None
            raise SettingsError(f"DISPATCHER_LEDGER_URL: {error}; use {_DRIVER}://…") from None
        _check_rested(engine)
        _prefer_indexes(engine)
        return engine
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


def _prefer_indexes(engine: Engine) -> None:
    """Have PostgreSQL reckon that reading here and there costs no more than in a row, unless somebody set that already.

    Its default is for disks that turn. With it, a claim of 400 reads a ledger of 30,000 messages whole.
    """

    @event.listens_for(engine, "connect")
    def _say(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        # A server, database or role may have other forms of times as its default, which psycopg does not read.
        cursor.execute(
            "SELECT set_config('datestyle', 'ISO', false), set_config('intervalstyle', 'postgres', false), "
            "set_config('timezone', 'UTC', false)"
        )
        cursor.execute(
            "SELECT set_config('random_page_cost', '1.1', false) WHERE current_setting('random_page_cost') = '4'"
        )
        cursor.close()
        connection.commit()


def _check_rested(engine: Engine) -> None:
    """Look whether a connection is still there, as ``pool_pre_ping`` does, but only after it has rested for a while.

    A worker under load takes a connection some hundred times a second: each time one journey to the server less.
    """

    @event.listens_for(engine, "checkin")
    def _rests(_connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["rests_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _look(connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        since = record.info.get("rests_since")
        if since is not None and time.monotonic() - since > TRUSTED_S:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.dbapi.Error as gone:  # type: ignore[union-attr]
                raise InvalidatePoolError from gone  # all that are as old go with it


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
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                time.sleep(random.uniform(0.001, 0.004))
            else:
                return
    finally:
        driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Run one short write transaction.

    :raises LedgerUnavailable: the database cannot be reached, or stayed locked past the busy timeout.
    """
    with reachable(), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Run one read transaction that blocks no writer longer than it must.

    :raises LedgerUnavailable: as for ``transaction``.
    """
    with reachable(), engine.connect().execution_options(**{READ_ONLY: True}) as connection:
        yield connection


@contextmanager
def reachable() -> Iterator[None]:
    """Turn a driver's many words for "not there" into one error of ours, without the statement's parameters."""
    try:
        yield
    except PoolTimeout as error:
        raise LedgerUnavailable(f"no free connection to the ledger: {error}") from None
    except DBAPIError as error:
        error.hide_parameters, error.params = True, None  # an application's own engine may not hide them
        if _is_unprepared(error):
            from dispatcher.ledger.schema import HEAD  # which itself stands on this module

            raise LedgerOutdated(None, HEAD) from None
        if _is_away(error):
            reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
            raise LedgerUnavailable(f"the ledger cannot be used now: {reason}") from None
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


def _is_unprepared(error: DBAPIError) -> bool:
    return "no such table" in str(error.orig) or type(error.orig).__name__ == "UndefinedTable"


def _is_away(error: DBAPIError) -> bool:
    if error.connection_invalidated or isinstance(error.orig, sqlite3.OperationalError):
        return True
    return type(error.orig).__name__ in {
        "OperationalError",
        "InterfaceError",
        "ConnectionTimeout",
        "AdminShutdown",
        "CrashShutdown",
        "CannotConnectNow",
        "QueryCanceled",
        "LockNotAvailable",
        "DeadlockDetected",
        "SerializationFailure",
    }
