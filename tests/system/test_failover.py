"""A whole system during a failover: the old primary goes on read-only for a while, then the address moves."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from dispatcher.domain.state import State
from dispatcher.ledger import Books, make_engine, migrate
from tests.faults.chaos.servers import Postgres
from tests.faults.chaos.wires import LedgerWire, Wires
from tests.making import NUMBER
from tests.system.conftest import System

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)]


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
def wire(primary: Postgres, standby: Postgres, system: System) -> Iterator[LedgerWire]:
    """Return the address of the system's ledger: the primary's."""
    wires = Wires()
    wire = LedgerWire(wires, primary.socket, seed=1)
    system.environment["DISPATCHER_LEDGER_URL"] = f"postgresql+psycopg://postgres@127.0.0.1:{wire.port}/postgres"
    engine = make_engine(system.environment["DISPATCHER_LEDGER_URL"])
    system.books = Books(engine=engine)
    yield wire
    engine.dispose()
    wire.cut()
    time.sleep(0.02)
    wires.close()


def execute(server: Postgres, *statements: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.mark.parametrize("read_only_s", [4, pytest.param(15, marks=pytest.mark.exhaustive)])
def test_workers_and_clock_follow_the_address_without_a_restart(
    system: System, primary: Postgres, standby: Postgres, wire: LedgerWire, read_only_s: int
) -> None:
    system.sandbox.settings(latency_ms=300)
    processes = [system.worker(PROCESSES="1", CONCURRENCY="10"), system.clock()]
    system.wait_ready()
    with system.client() as client:
        for n in range(60):
            client.send_gift(NUMBER, sku="CARD", amount="25", currency="AUD", idempotency_key=f"order-{n}")
            client.send_sms(NUMBER, f"text {n}", idempotency_key=f"text-{n}")
    system.wait_until(lambda: system.counts()[State.ACCEPTED] >= 20)
    execute(primary, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    time.sleep(read_only_s)
    ((position,),) = execute(primary, "SELECT pg_current_wal_lsn()::text")
    system.wait_until(lambda: execute(standby, f"SELECT pg_last_wal_replay_lsn() >= '{position}'") == [(True,)])
    standby.promote()
    wire.point_at(standby.socket)  # whoever is connected to the old primary still can be
    system.wait_until(lambda: system.counts() == {State.ACCEPTED: 120}, seconds=20)
    assert set(system.carried_out().values()) == {1}
    assert [process.poll() for process in processes] == [None, None]
    assert execute(standby, "SELECT count(*) FROM dispatcher_attempts") == [(120,)]
