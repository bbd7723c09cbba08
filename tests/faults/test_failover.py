"""A failover between two real PostgreSQL servers: the old primary lives on, and only the address moves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest
from sqlalchemy import Engine, text

from dispatcher.domain.errors import LedgerUnavailable
from dispatcher.ledger import Books, Filter, make_engine, migrate, require_writable
from dispatcher.ledger.engine import reading
from dispatcher.testing import FakeClock
from tests.faults.chaos.servers import Postgres
from tests.faults.chaos.wires import LedgerWire, Wires
from tests.making import sms

pytestmark = pytest.mark.slow


@pytest.fixture
def primary() -> Iterator[Postgres]:
    server = Postgres()
    engine = make_engine(server.url)
    migrate(engine)
    engine.dispose()
    yield server
    server.close()


@pytest.fixture
def standby(primary: Postgres) -> Iterator[Postgres]:
    server = Postgres(standby_of=primary)
    yield server
    server.close()


@pytest.fixture
def wire(primary: Postgres, standby: Postgres) -> Iterator[LedgerWire]:
    """Return the address of the ledger: the primary's."""
    wires = Wires()
    wire = LedgerWire(wires, primary.socket, seed=1)
    yield wire
    wire.cut()
    time.sleep(0.02)
    wires.close()


def test_connections_to_a_standby_are_left_once_the_address_is_right(
    primary: Postgres, standby: Postgres, wire: LedgerWire, clock: FakeClock
) -> None:
    engine = make_engine(f"postgresql+psycopg://postgres@127.0.0.1:{wire.port}/postgres")
    books = Books(engine=engine)
    wire.point_at(standby.socket)
    with ExitStack() as stack:
        for _ in range(3):
            assert _is_standby(stack.enter_context(reading(engine)))
    with pytest.raises(LedgerUnavailable, match="its PostgreSQL server is a standby"):
        require_writable(engine)
    with pytest.raises(LedgerUnavailable, match="read-only"):
        books.enqueue([sms(clock.now())], source="test")
    assert books.messages(Filter()) == []
    wire.point_at(primary.socket)
    with reading(engine) as connection:
        assert not _is_standby(connection), "reads follow the address at once as well"
    for _ in range(5):
        books.enqueue([sms(clock.now())], source="test")
    engine.dispose()


def test_no_reader_stays_on_a_primary_that_became_read_only(
    primary: Postgres, standby: Postgres, wire: LedgerWire, clock: FakeClock
) -> None:
    """It is no standby: it answers reads, with what it had when it was left."""
    engine = make_engine(f"postgresql+psycopg://postgres@127.0.0.1:{wire.port}/postgres")
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(reading(engine))
    with psycopg.connect(primary.url.replace("+psycopg", ""), autocommit=True) as operator:
        operator.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        operator.execute("SELECT pg_reload_conf()")
    standby.promote()
    wire.point_at(standby.socket)
    time.sleep(0.2)
    for _ in range(3):
        with reading(engine) as connection:
            assert connection.execute(text("SHOW default_transaction_read_only")).scalar() == "off"
    engine.dispose()


def test_a_standby_that_is_promoted_is_used_at_once(
    primary: Postgres, standby: Postgres, wire: LedgerWire, clock: FakeClock
) -> None:
    engine = make_engine(f"postgresql+psycopg://postgres@127.0.0.1:{wire.port}/postgres")
    books = Books(engine=engine)
    books.enqueue([sms(clock.now())], source="test")
    primary.crash()
    wire.point_at(standby.socket)
    with pytest.raises(LedgerUnavailable):
        books.enqueue([sms(clock.now())], source="test")
    standby.promote()
    books.enqueue([sms(clock.now())], source="test")
    require_writable(engine)
    engine.dispose()


def _is_standby(connection: object) -> bool:
    return bool(connection.execute(text("SELECT pg_is_in_recovery()")).scalar())  # type: ignore[attr-defined]


def test_check_warns_of_a_standby_that_may_be_behind(primary: Postgres, standby: Postgres) -> None:
    engine = make_engine(primary.url)
    assert _warning_of(engine) == (
        "1 standby follows asynchronously: after a failover it may lack guards of gifts that were sent"
    )
    engine.dispose()


def _warning_of(engine: Engine) -> str | None:
    from dispatcher.ledger import durability_risks

    return next(iter(durability_risks(engine)), None)
