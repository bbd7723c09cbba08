"""What each error of a database means: that it is decided by its code, and that a failover is followed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from dispatcher.domain.errors import LedgerUnavailable, SettlementRefused
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.ledger import Books, Outbox, SqlLedger, make_engine
from dispatcher.ledger.database_errors import Meaning, meaning_of
from dispatcher.ledger.engine import transaction
from dispatcher.testing import ACCEPTED, FakeClock
from tests.ledgers import Postgres
from tests.making import settled, sms, wish

RETRYABLE = (
    *("08000", "08003", "08006", "25006", "25P03", "25P04", "40001", "40P01", "53000", "53100", "53200", "53300"),
    *("55000", "55006", "55P03", "57014", "57P01", "57P02", "57P03", "57P04", "58000", "58030", "XX000"),
)
REFUSED = ("22001", "22003", "22021", "22P02", "23502", "23503", "23505", "23514", "54000")
OTHER = ("42501", "42601", "42703", "P0001")


@pytest.fixture
def on_postgres(fresh_postgres: str) -> Iterator[Engine]:
    """Return an engine on a PostgreSQL ledger."""
    engine = make_engine(fresh_postgres)
    yield engine
    engine.dispose()


def fail_with(engine: Engine, state: str) -> None:
    """Have the server itself raise an error."""
    with transaction(engine) as connection:
        connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'as the test asks' USING ERRCODE = '{state}'; END $$"))


def test_every_state_that_passes_is_unavailable_and_never_a_raw_error(on_postgres: Engine) -> None:
    for state in RETRYABLE:
        with pytest.raises(LedgerUnavailable, match="as the test asks"):
            fail_with(on_postgres, state)
    fail = {state: _raised(on_postgres, state) for state in (*REFUSED, *OTHER)}
    assert {state for state, error in fail.items() if meaning_of(error) is Meaning.REFUSED} == set(REFUSED)
    assert {state for state, error in fail.items() if meaning_of(error) is Meaning.OTHER} == set(OTHER)


def _raised(engine: Engine, state: str) -> DBAPIError:
    with pytest.raises(DBAPIError) as caught:
        fail_with(engine, state)
    return caught.value


@contextmanager
def read_only(postgres: Postgres, engine: Engine) -> Iterator[None]:
    """Make a database read-only for connections that are opened meanwhile: they stay so, as those to a standby do."""
    name = engine.url.database
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        yield
    finally:
        postgres.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")


def test_connections_to_a_server_that_became_a_standby_are_left_at_once(
    postgres: Postgres, on_postgres: Engine, clock: FakeClock
) -> None:
    books = Books(engine=on_postgres)
    with read_only(postgres, on_postgres), on_postgres.connect(), on_postgres.connect(), on_postgres.connect():
        pass
    # The address is right now, and none of the pool's connections is to the standby.
    for n in range(3):
        books.enqueue([sms(clock.now(), f"text {n}")], source="test")


def test_every_pooled_connection_is_left_at_the_first_refusal(on_postgres: Engine) -> None:
    """A pooler in between, or another driver, may not pass on that the server is read-only."""
    with ExitStack() as stack:
        before = {_process(stack.enter_context(on_postgres.connect())) for _ in range(2)}
    with pytest.raises(LedgerUnavailable, match="read-only"), transaction(on_postgres) as connection:
        _write_read_only(connection)
    with ExitStack() as stack:
        after = {_process(stack.enter_context(on_postgres.connect())) for _ in range(2)}
    assert len(before) == 2
    assert before.isdisjoint(after)


def _write_read_only(connection: Connection) -> None:
    connection.execute(text("SET TRANSACTION READ ONLY"))
    connection.execute(text("DELETE FROM dispatcher_messages"))


def _process(connection: Connection) -> int:
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def test_an_application_that_writes_in_its_own_transaction_hears_of_it_likewise(
    postgres: Postgres, on_postgres: Engine, clock: FakeClock
) -> None:
    with (
        read_only(postgres, on_postgres),
        Session(on_postgres) as session,
        pytest.raises(LedgerUnavailable, match="read-only"),
    ):
        Outbox(engine=on_postgres).enqueue_within(session, [sms(clock.now())], source="test")


def _full(connection: sqlite3.Connection) -> None:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")


def _read_only(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = on")


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("spoil", "says"), [(_full, "full"), (_read_only, "readonly")])
def test_sqlite_that_is_full_or_read_only_is_unavailable(
    engine: Engine, clock: FakeClock, spoil: Callable[[sqlite3.Connection], None], says: str
) -> None:
    with engine.connect() as connection:
        spoil(connection.connection.driver_connection)  # type: ignore[arg-type]
    books = Books(engine=engine)
    with pytest.raises(LedgerUnavailable, match=says):
        books.enqueue([sms(clock.now(), "x" * 100) for _ in range(1000)], source="test")


def test_an_answer_with_an_impossible_value_is_refused_and_no_other_error_is(
    engine: Engine, ledger: SqlLedger, books: Books, clock: FakeClock
) -> None:
    books.enqueue([sms(clock.now())], source="test")
    (message,) = ledger.claim(wish(clock.now())).messages
    impossible = Outcome(kind=OutcomeKind.ACCEPTED, http_status=2**70)
    with pytest.raises(SettlementRefused):
        ledger.settle([settled(message, impossible, clock.now())])
    with transaction(engine) as connection:
        connection.execute(text("ALTER TABLE dispatcher_attempts RENAME TO elsewhere"))
    try:
        with pytest.raises(Exception, match=r"run .dispatcher migrate") as caught:
            ledger.settle([settled(message, ACCEPTED, clock.now())])
        assert not isinstance(caught.value, SettlementRefused)
    finally:
        with transaction(engine) as connection:
            connection.execute(text("ALTER TABLE elsewhere RENAME TO dispatcher_attempts"))
    assert ledger.settle([settled(message, ACCEPTED, clock.now())]) == {message.id}
