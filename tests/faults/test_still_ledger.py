"""A ledger that stands still: connections without an answer, tables that somebody holds. Nothing waits for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, make_url, text

from dispatcher import Dispatcher
from dispatcher.domain.errors import LedgerUnavailable
from dispatcher.ledger import PROMPT, Books, Deadlines, SqlLedger, make_engine, require_head
from dispatcher.ledger.engine import reading, transaction
from dispatcher.readiness import readiness
from dispatcher.settings import load_settings
from dispatcher.testing import ACCEPTED, FakeClock
from dispatcher.wiring import Services
from tests.faults.chaos.wires import LedgerWire, Wires
from tests.ledgers import Postgres
from tests.making import NUMBER, settled, sms, wish

QUICK = Deadlines(statement=timedelta(seconds=0.4), lock=timedelta(seconds=0.2), idle=timedelta(seconds=0.5))
"""Its client waits 0.8 s for an answer."""
ENOUGH_S = 3.0
"""For a deadline of 0.8 s on a busy machine."""
pytestmark = pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)


@pytest.fixture
def wire(postgres: Postgres) -> Iterator[LedgerWire]:
    wires = Wires()
    folder = make_url(postgres.url).query["host"]
    wire = LedgerWire(wires, f"{folder}/.s.PGSQL.5432", seed=1)
    yield wire
    wire.thaw()
    wire.cut()
    time.sleep(0.02)
    wires.close()


@pytest.fixture
def through(ledger_url: str, wire: LedgerWire) -> str:
    """Return the URL of the ledger through the wire; who connects waits a second."""
    database = make_url(ledger_url).database
    return f"postgresql+psycopg://postgres@127.0.0.1:{wire.port}/{database}?connect_timeout=2"


@pytest.fixture
def quick(through: str) -> Iterator[Engine]:
    engine = make_engine(through, deadlines=QUICK)
    require_head(engine)
    yield engine
    engine.dispose()


@contextmanager
def ends_in_time(seconds: float = ENOUGH_S) -> Iterator[None]:
    began = time.monotonic()
    with pytest.raises(LedgerUnavailable):
        yield
    assert time.monotonic() - began < seconds


def _claim(ledger: SqlLedger, clock: FakeClock) -> object:
    return ledger.claim(wish(clock.now()))


def _enqueue(ledger: SqlLedger, clock: FakeClock) -> object:
    return Books(engine=ledger.engine).enqueue([sms(clock.now())], source="test")


def _due(ledger: SqlLedger, clock: FakeClock) -> object:
    return ledger.due(now=clock.now())


Call = Callable[[SqlLedger, FakeClock], object]
CALLS: list[Call] = [_claim, _enqueue, _due]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_connection_that_stands_still_is_given_up(
    quick: Engine, wire: LedgerWire, clock: FakeClock, call: Call
) -> None:
    ledger = SqlLedger.on(quick)
    call(ledger, clock)
    wire.freeze()
    with ends_in_time():
        call(ledger, clock)
    wire.thaw()
    call(ledger, clock)


def test_one_that_stands_still_in_the_middle_of_a_transaction_is_given_up_too(quick: Engine, wire: LedgerWire) -> None:
    with ends_in_time(), transaction(quick) as connection:
        connection.execute(text("SELECT 1"))
        wire.freeze()
        connection.execute(text("SELECT 2"))


def test_a_commit_that_nobody_answers_is_given_up_too(quick: Engine, wire: LedgerWire) -> None:
    with ends_in_time(), transaction(quick) as connection:
        connection.execute(text("SELECT 1"))
        wire.freeze()


def test_the_first_connection_is_given_up_too(through: str, wire: LedgerWire) -> None:
    wire.freeze()
    engine = make_engine(through, deadlines=QUICK)
    with ends_in_time(5):
        require_head(engine)
    engine.dispose()


def test_a_statement_that_is_slow_on_purpose_may_have_other_deadlines(quick: Engine) -> None:
    with reading(quick, deadlines=replace(QUICK, statement=timedelta(seconds=5))) as connection:
        connection.execute(text("SELECT pg_sleep(0.9)"))
    for _ in range(2):  # and the next one has the session's again
        with ends_in_time(), reading(quick) as connection:
            connection.execute(text("SELECT pg_sleep(5)"))


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_table_that_somebody_holds_is_not_waited_for(
    quick: Engine, engine: Engine, clock: FakeClock, call: Call
) -> None:
    ledger = SqlLedger.on(quick)
    with engine.begin() as holder:
        holder.execute(text("LOCK TABLE dispatcher_messages IN ACCESS EXCLUSIVE MODE"))
        with ends_in_time():
            call(ledger, clock)
    call(ledger, clock)


def test_answers_are_settled_after_a_table_was_held_for_longer_than_a_lease(
    quick: Engine, engine: Engine, clock: FakeClock
) -> None:
    ledger = SqlLedger.on(quick)
    Books(engine=engine).enqueue([sms(clock.now())], source="test")
    (message,) = ledger.claim(wish(clock.now())).messages
    with engine.begin() as holder:
        holder.execute(text("LOCK TABLE dispatcher_messages IN ACCESS EXCLUSIVE MODE"))
        with ends_in_time():
            ledger.settle([settled(message, ACCEPTED, clock.now())])
    clock.advance(timedelta(minutes=2))
    assert ledger.settle([settled(message, ACCEPTED, clock.now())]) == {message.id}


def test_a_transaction_whose_client_is_gone_gives_back_its_locks(
    quick: Engine, wire: LedgerWire, engine: Engine
) -> None:
    def stand_still() -> None:
        with transaction(quick) as connection:
            connection.execute(text("LOCK TABLE dispatcher_messages IN ACCESS EXCLUSIVE MODE"))
            wire.freeze()
            with engine.begin() as other:
                other.execute(text("SET LOCAL lock_timeout = '2s'"))
                other.execute(text("SELECT count(*) FROM dispatcher_messages"))

    with pytest.raises(LedgerUnavailable):  # its own commit; the other one had the table before
        stand_still()


def test_an_application_and_a_health_check_are_told_in_time(through: str, wire: LedgerWire, valkey: str) -> None:
    settings = load_settings(ledger_url=through, redis_url=valkey)
    services = Services(settings, deadlines=QUICK)
    with Dispatcher(settings, services=services) as dispatcher:
        dispatcher.send_sms(NUMBER, "before")
        assert readiness(services) == {"ledger": "ok", "redis": "ok"}
        wire.freeze()
        with ends_in_time():
            dispatcher.send_sms(NUMBER, "meanwhile")
        began = time.monotonic()
        assert "cannot be used now" in readiness(services)["ledger"]
        assert time.monotonic() - began < 8
        wire.thaw()
        dispatcher.send_sms(NUMBER, "after")


def test_sessions_of_ours_keep_what_they_commit_whatever_the_server_says(postgres: Postgres, ledger_url: str) -> None:
    name = make_url(ledger_url).database
    for value, wanted in (("off", "on"), ("local", "on"), ("remote_write", "on"), ("remote_apply", "remote_apply")):
        postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = {value}")
        engine = make_engine(ledger_url)
        with engine.connect() as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar() == wanted
        engine.dispose()


def test_sessions_of_workers_have_their_deadlines(engine: Engine) -> None:
    with engine.connect() as connection:
        found = {
            name: connection.execute(text(f"SHOW {name}")).scalar()
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        }
    assert found == {"statement_timeout": "10s", "lock_timeout": "3s", "idle_in_transaction_session_timeout": "1min"}
    assert PROMPT.answer == timedelta(seconds=12)
