"""Workers whose ledger and whose disk fail at once, whose ledger hangs, and two ledgers that share one home."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from dispatcher.domain.state import State
from dispatcher.ledger import make_engine
from tests.ledgers import Postgres
from tests.making import NUMBER
from tests.system.conftest import System

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)]


def send_gifts(system: System, count: int) -> None:
    with system.client() as client:
        for n in range(count):
            client.send_gift(NUMBER, sku="CARD", amount="25", currency="AUD", idempotency_key=f"order-{n}")


def set_read_only(postgres: Postgres, engine: Engine, *, on: bool) -> None:
    postgres.execute(
        f"ALTER DATABASE {engine.url.database} " + ("SET default_transaction_read_only = on" if on else "RESET ALL")
    )
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{engine.url.database}' AND application_name <> ''"
    )


@pytest.mark.parametrize("terminated", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_a_read_only_ledger_and_a_disk_that_takes_nothing_put_no_gift_in_doubt(
    system: System, engine: Engine, postgres: Postgres, terminated: bool
) -> None:
    spool = Path(system.environment["DISPATCHER_HOME"]) / "spool"
    system.sandbox.settings(latency_ms=1500)
    worker = system.worker(PROCESSES="1")
    system.wait_ready()
    send_gifts(system, 10)
    system.wait_until(lambda: system.counts()[State.SENDING] == 10)
    set_read_only(postgres, engine, on=True)
    shutil.rmtree(spool)
    spool.write_text("no folder can be made here")
    system.wait_until(lambda: "spool_failed" in system.logs())
    time.sleep(1)
    if terminated:  # it keeps what it holds for a last while
        worker.terminate()
        time.sleep(1)
        spool.unlink()
        worker.wait(timeout=30)
        assert list(spool.rglob("*.jsonl"))
        set_read_only(postgres, engine, on=False)
        system.worker(PROCESSES="1")
    else:
        set_read_only(postgres, engine, on=False)
    system.wait_until(lambda: system.counts() == {State.ACCEPTED: 10})
    assert '"event": "spooled"' not in system.logs() or terminated
    assert set(system.carried_out().values()) == {1}


def test_two_ledgers_share_a_home_and_each_gets_its_own_answers(
    system: System, engine: Engine, postgres: Postgres
) -> None:
    system.sandbox.settings(latency_ms=1500)
    first = system.worker(PROCESSES="1")
    system.wait_ready()
    send_gifts(system, 10)
    system.wait_until(lambda: system.counts()[State.SENDING] == 10)
    set_read_only(postgres, engine, on=True)
    system.wait_until(lambda: '"event": "spooled"' in system.logs())
    system.kill(first)
    with postgres.ledger() as url:
        other = make_engine(url)
        with other.begin() as connection:  # the tests' ledgers are copies of one
            connection.execute(text("UPDATE dispatcher_ledger SET id = :id"), {"id": str(uuid4())})
        other.dispose()
        second = system.worker(PROCESSES="1", LEDGER_URL=url)
        system.wait_ready(workers=2)
        time.sleep(2)
        second.terminate()
        second.wait(timeout=30)
    set_read_only(postgres, engine, on=False)
    system.worker(PROCESSES="1")
    system.wait_until(lambda: system.counts() == {State.ACCEPTED: 10})
    assert set(system.carried_out().values()) == {1}


def test_answers_that_land_while_the_ledger_hangs_survive_the_workers_death(system: System, engine: Engine) -> None:
    """A table that is locked holds up the claim or the settlement; the worker is killed before it is given up."""
    system.sandbox.settings(latency_ms=800)
    worker = system.worker(PROCESSES="1", CONCURRENCY="20")
    system.wait_ready()
    send_gifts(system, 10)
    system.wait_until(lambda: system.counts()[State.SENDING] == 10)
    with engine.begin() as holder:
        holder.execute(text("LOCK TABLE dispatcher_messages IN ACCESS EXCLUSIVE MODE"))
        time.sleep(2.7)  # the answers come after 0.8 s; a lock is waited for for 3 s
        system.kill(worker)
    system.worker(PROCESSES="1")
    system.clock()
    system.wait_until(lambda: system.counts() == {State.ACCEPTED: 10})
    assert set(system.carried_out().values()) == {1}
