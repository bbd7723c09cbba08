"""A whole system whose PostgreSQL stands still: nothing is lost, nothing hangs, nothing is paid twice."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, make_url, text

from dispatcher.domain.state import State
from tests.faults.chaos.wires import LedgerWire, Wires
from tests.ledgers import Postgres
from tests.making import NUMBER
from tests.system.conftest import System

pytestmark = [
    pytest.mark.slow,
    pytest.mark.exhaustive,  # tests/faults/test_still_ledger.py has the deadlines themselves
    pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True),
]
HELD_S = 20
"""Longer than two leases."""


@pytest.fixture
def wire(postgres: Postgres, system: System) -> Iterator[LedgerWire]:
    """Have the processes reach PostgreSQL through a wire."""
    wires = Wires()
    given = make_url(postgres.url).query["host"]
    wire = LedgerWire(wires, f"{given}/.s.PGSQL.5432", seed=1)
    database = make_url(system.environment["DISPATCHER_LEDGER_URL"]).database
    system.environment["DISPATCHER_LEDGER_URL"] = f"postgresql+psycopg://postgres@127.0.0.1:{wire.port}/{database}"
    yield wire
    wire.thaw()
    wire.cut()
    time.sleep(0.02)
    wires.close()


def _send_gifts(system: System, count: int) -> None:
    with system.client() as client:
        for n in range(count):
            client.send_gift(NUMBER, sku="CARD", amount="25", currency="AUD", idempotency_key=f"order-{n}")


def _all_are_sent_once(system: System, count: int) -> None:
    system.wait_until(lambda: system.counts() == {State.ACCEPTED: count}, seconds=40)
    assert set(system.carried_out().values()) == {1}
    system.assert_books_balance()


def test_a_table_that_is_held_for_longer_than_two_leases_puts_no_gift_in_doubt(system: System, engine: Engine) -> None:
    system.worker(PROCESSES="1")
    system.clock()
    system.wait_ready()
    _send_gifts(system, 200)
    system.wait_until(lambda: system.counts()[State.ACCEPTED] >= 5)
    with engine.begin() as holder:
        holder.execute(text("LOCK TABLE dispatcher_messages IN ACCESS EXCLUSIVE MODE"))
        time.sleep(HELD_S)
    _all_are_sent_once(system, 200)


def test_connections_that_stand_still_for_longer_than_two_leases_put_no_gift_in_doubt(
    system: System, wire: LedgerWire
) -> None:
    system.worker(PROCESSES="1")
    system.clock()
    system.wait_ready()
    _send_gifts(system, 200)
    system.wait_until(lambda: system.counts()[State.ACCEPTED] >= 5)
    wire.freeze()
    time.sleep(HELD_S)
    wire.thaw()
    _all_are_sent_once(system, 200)


@pytest.mark.parametrize("command", ["worker", "clock"])
def test_a_process_whose_ledger_stands_still_ends_when_it_is_told_to(
    system: System, wire: LedgerWire, command: str
) -> None:
    process = system.start(command)
    system.wait_until(lambda: "ready" in system.logs())
    _send_gifts(system, 5)
    time.sleep(1)
    wire.freeze()
    time.sleep(2)
    process.terminate()
    process.wait(timeout=30)
