"""PostgreSQL as the ledger's database: sessions that keep what they commit, and statements that end in time.

A server that stands still sends no error: no reset, no answer, nothing that a driver could report. So each statement
has three deadlines: the server's own (statement, lock), the client's, which needs no server, and TCP's (keepalive).
"""

from __future__ import annotations

import time
from collections.abc import Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from dispatcher.ledger.database_errors import is_for_every_connection
from dispatcher.ledger.deadlines import OPTION, Deadlines
from dispatcher.ledger.pooler import goes_through_pooler, is_pooled
from dispatcher.ledger.types import read_any_moment
from dispatcher.meanwhile import waited

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

DRIVER = "postgresql+psycopg"
TRUSTED_S = 0.1
"""For how long a connection that rests is taken for a good one."""
_PING_S = 2.0
_READ_ONLY = ("in_hot_standby", "default_transaction_read_only")
_LIBPQ = {
    "connect_timeout": 5,
    "application_name": "dispatcher",
    # A peer that is gone without a word is noticed within 25 seconds, whether we wait for it or send to it.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
_Value = TypeVar("_Value")


class PostgresqlConnection(psycopg.Connection[Any]):
    """A connection that is closed if the server does not answer a statement in time."""

    answer_within_s: float | None = None
    """How long one statement may take; None for as long as it takes."""

    def wait(self, gen: Generator[Any, Any, _Value], *args: Any, **kwargs: Any) -> _Value:
        """Wait for the server's answer.

        :raises psycopg.OperationalError: it did not come in time; the connection is closed.
        """
        if self.answer_within_s is None:
            return super().wait(gen, *args, **kwargs)
        try:
            return super().wait(_ending(gen, time.monotonic() + self.answer_within_s), *args, **kwargs)
        except _NoAnswerError:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer from the server within {self.answer_within_s:g} s") from None


class _NoAnswerError(Exception):
    """The deadline is over."""


def _ending(gen: Generator[Any, Any, _Value], ends: float) -> Generator[Any, Any, _Value]:
    """Go on with a driver's generator until a moment; the driver resumes it at least ten times a second."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            waited()
            if time.monotonic() > ends:
                raise _NoAnswerError
            wanted = gen.send(ready)
    except StopIteration as done:
        value: _Value = done.value
        return value


def postgresql_engine(url: URL, *, pool_size: int, deadlines: Deadlines) -> Engine:
    """Open a PostgreSQL ledger lazily; raises what ``create_engine`` raises."""
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=8,
        hide_parameters=True,  # an error's text must not tell numbers and texts
        pool_timeout=10,
        connect_args={name: value for name, value in _LIBPQ.items() if name not in url.query},
    )
    if url.drivername == DRIVER:
        _connect_with_deadlines(engine, deadlines)
    _check_rested(engine)
    _leave_wrong_server(engine)
    _set_up_sessions(engine, deadlines)
    return engine


def _connect_with_deadlines(engine: Engine, deadlines: Deadlines) -> None:
    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, cargs: tuple[Any, ...], cparams: dict[str, Any]) -> Any:
        connection = PostgresqlConnection.connect(*cargs, **cparams)
        connection.answer_within_s = _seconds(deadlines.answer)
        return connection

    @event.listens_for(engine, "checkin")
    def _restore(connection: Any, _record: ConnectionPoolEntry) -> None:
        if isinstance(connection, PostgresqlConnection):
            connection.answer_within_s = _seconds(deadlines.answer)


def _set_up_sessions(engine: Engine, deadlines: Deadlines) -> None:
    """Set what our sessions rely on, whatever the server's own settings are.

    Behind a pooler, each transaction may meet another session, so each sets it for itself.
    """

    @event.listens_for(engine, "connect")
    def _set_session(connection: Any, record: ConnectionPoolEntry) -> None:
        ours = isinstance(connection, psycopg.Connection)
        if not (ours and is_pooled(connection, record.info)):
            cursor = connection.cursor()
            cursor.execute(_settings(deadlines, local=False))
            cursor.close()
        connection.commit()
        if ours:
            read_any_moment(connection)

    @event.listens_for(engine, "begin")
    def _set_transaction(connection: Connection) -> None:
        wanted: Deadlines = connection.get_execution_options().get(OPTION) or deadlines
        driver = connection.connection.driver_connection
        if wanted != deadlines and isinstance(driver, PostgresqlConnection):
            driver.answer_within_s = _seconds(wanted.answer)
        if goes_through_pooler(connection):
            connection.exec_driver_sql(_settings(wanted, local=True))
        elif wanted != deadlines:
            connection.exec_driver_sql(f"SELECT {_set(_as_settings(wanted), local=True)}")


def _settings(deadlines: Deadlines, *, local: bool) -> str:
    """Write the statement that sets what our sessions rely on.

    :param local: for the transaction alone.
    """
    end = str(local).lower()
    return (
        f"SELECT {_set(_as_settings(deadlines), local=local)},"
        # A server, database or role may have other forms of times as its default, which psycopg does not read.
        f" set_config('datestyle', 'ISO', {end}), set_config('intervalstyle', 'postgres', {end}),"
        f" set_config('timezone', 'UTC', {end}),"
        # A gift's guard and an answer must survive a crash of the server. Stronger settings stay.
        " CASE WHEN current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')"
        f" THEN set_config('synchronous_commit', 'on', {end}) END,"
        # The default is for disks that turn: with it a claim of 400 reads a ledger of 30,000 messages whole.
        " CASE WHEN current_setting('random_page_cost') = '4'"
        f" THEN set_config('random_page_cost', '1.1', {end}) END"
    )


def _as_settings(deadlines: Deadlines) -> dict[str, timedelta]:
    return {
        "statement_timeout": deadlines.statement,
        "lock_timeout": deadlines.lock,
        "idle_in_transaction_session_timeout": deadlines.idle,
    }


def _set(settings: dict[str, timedelta], *, local: bool) -> str:
    """Write the call of ``set_config`` for each setting; the values are ours and need no escaping."""
    return ", ".join(
        f"set_config('{name}', '{value // timedelta(milliseconds=1)}ms', {str(local).lower()})"
        for name, value in settings.items()
    )


def _seconds(wait: timedelta | None) -> float | None:
    return None if wait is None else wait.total_seconds()


def _check_rested(engine: Engine) -> None:
    """Look whether a connection is still there, as ``pool_pre_ping`` does, but only after it has rested for a while.

    A worker under load takes a connection some hundred times a second: each time one journey to the server less.
    """

    @event.listens_for(engine, "checkin")
    def _rests(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["rests_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _look(connection: Any, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        since = record.info.get("rests_since")
        if since is not None and time.monotonic() - since > TRUSTED_S:
            try:
                _ping(engine, connection)
            except engine.dialect.dbapi.Error as gone:  # type: ignore[union-attr]
                raise InvalidatePoolError from gone  # all that are as old go with it
            if _is_read_only(connection):  # since it rested: its address may be another server's by now
                raise InvalidatePoolError


def _ping(engine: Engine, connection: Any) -> None:
    ping = engine.dialect.do_ping
    if not isinstance(connection, PostgresqlConnection):
        ping(connection)
        return
    allowed = connection.answer_within_s
    connection.answer_within_s = _PING_S
    try:
        ping(cast("DBAPIConnection", connection))
    finally:
        connection.answer_within_s = allowed


def _leave_wrong_server(engine: Engine) -> None:
    """Close connections to a server that cannot be written to, so that the next use follows the server's address.

    After a failover the old primary may live on as a standby: its connections stay open, and refuse every write.
    """

    @event.listens_for(engine, "handle_error")
    def _invalidate(context: ExceptionContext) -> None:
        if is_for_every_connection(context.original_exception):
            context.is_disconnect = True  # SQLAlchemy documents this assignment

    @event.listens_for(engine, "checkin")
    def _close_read_only(connection: Any, record: ConnectionPoolEntry) -> None:
        # Such a server answers reads, with what it has: nobody would notice that the primary is elsewhere.
        if connection is not None and _is_read_only(connection):
            record.invalidate()


def _is_read_only(connection: Any) -> bool:
    """Return whether the server is a standby or read-only, as it last reported: it does so unasked, at each change."""
    if not isinstance(connection, PostgresqlConnection) or connection.closed:
        return False
    return any(connection.info.parameter_status(name) == "on" for name in _READ_ONLY)
