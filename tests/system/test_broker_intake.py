"""Messages that come through the broker alone: their only copy is there until they are in the ledger."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Engine, text

from dispatcher import Gift, Sms
from dispatcher.broker import make_ringing_app, seal
from dispatcher.domain.state import State
from tests.ledgers import Postgres
from tests.making import NUMBER
from tests.system.conftest import System

pytestmark = [pytest.mark.slow, pytest.mark.one_database]

KEY = "aW52ZW50ZWQta2V5LWZvci10ZXN0cy1vbmx5LTEyMzQ="
QUEUE = "dispatcher.enqueue"


def publish(system: System, *requests: Sms | Gift) -> list[UUID]:
    """Publish messages as encrypted tasks and return their ids."""
    ids = [uuid4() for _ in requests]
    producer = make_ringing_app(system.environment["DISPATCHER_REDIS_URL"])
    for id_, request in zip(ids, requests, strict=True):
        producer.send_task(QUEUE, args=[seal(request, id=id_, key=KEY)], queue=QUEUE)
    return ids


def texts(count: int) -> list[Sms | Gift]:
    return [Sms(recipient=NUMBER, body=f"text {n}") for n in range(count)]


def gift(key: str) -> Gift:
    return Gift(recipient=NUMBER, sku="CARD", amount="25", currency="AUD", idempotency_key=key)


def in_ledger(system: System, ids: list[UUID]) -> Callable[[], bool]:
    return lambda: {message.id for message in system.messages()} >= set(ids)


def descendants(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the pids of a process's children, grandchildren and so on."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
    pairs = list(zip(map(int, listed[::2]), map(int, listed[1::2]), strict=True))
    found = [process.pid]
    for pid in found:
        found += [child for child, parent in pairs if parent == pid]
    return found[1:]


def leave(*pids: int, number: signal.Signals = signal.SIGKILL) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


@pytest.fixture
def postgresql(ledger_url: str) -> str:
    if not ledger_url.startswith("postgresql"):
        pytest.skip("SQLite has no server that could be read-only, and its locks are the whole file's")
    return ledger_url.replace("postgresql+psycopg://", "postgresql://")


def test_a_read_only_ledger_costs_time_and_no_message(system: System, postgresql: str, postgres: Postgres) -> None:
    database = psycopg.conninfo.conninfo_to_dict(postgresql)["dbname"]
    postgres.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    system.worker(ENQUEUE_KEY=KEY)
    ids = publish(system, *texts(20))
    time.sleep(3)
    assert system.messages() == []
    postgres.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    postgres.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{database}' AND application_name = 'dispatcher' AND pid <> pg_backend_pid()"
    )
    system.books.engine.dispose()
    system.wait_until(in_ledger(system, ids), seconds=40)


def test_killed_processes_cost_time_and_no_message(system: System) -> None:
    worker = system.worker(ENQUEUE_KEY=KEY)
    system.wait_ready()
    ids = []
    with ThreadPoolExecutor(1) as other:
        publishing = other.submit(lambda: [publish(system, *texts(20)) for _ in range(5)])
        while not publishing.done():
            leave(*descendants(worker))
            time.sleep(0.4)
        ids = [id_ for some in publishing.result() for id_ in some]
    system.clock()
    system.wait_until(in_ledger(system, ids), seconds=90)
    system.wait_settled()
    assert system.counts() == {State.ACCEPTED: 100}


def test_keys_held_by_an_application_delay_neither_pumps_nor_other_messages(
    system: System, postgresql: str, engine: Engine
) -> None:
    system.worker(ENQUEUE_KEY=KEY)
    system.clock()
    system.wait_ready()
    with system.client() as client, engine.connect() as application:
        from sqlalchemy.orm import Session

        session = Session(application)
        for key in ("held-1", "held-2"):
            client.send_gift(NUMBER, sku="CARD", amount="25", currency="AUD", idempotency_key=key, session=session)
        held = publish(system, gift("held-1"), gift("held-2"))
        free = publish(system, *texts(5))
        direct = client.send_sms(NUMBER, "direct")
        system.wait_until(lambda: client.message(direct.id).state is State.ACCEPTED, seconds=5)
        system.wait_until(in_ledger(system, free), seconds=15)
        session.rollback()
    system.wait_until(in_ledger(system, held), seconds=15)
    system.wait_settled()
    system.assert_books_balance()


def test_a_locked_table_costs_time_and_no_message(system: System, postgresql: str, engine: Engine) -> None:
    system.worker(ENQUEUE_KEY=KEY)
    system.wait_ready()
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE dispatcher_messages IN ACCESS EXCLUSIVE MODE"))
        ids = publish(system, *texts(5))
        time.sleep(3)
    system.wait_until(in_ledger(system, ids), seconds=30)


def test_without_a_key_they_wait_in_the_broker(system: System) -> None:
    worker = system.worker()
    system.wait_ready()
    (id_,) = publish(system, *texts(1))
    with system.client() as client:
        direct = client.send_sms(NUMBER, "direct")
        system.wait_until(lambda: client.message(direct.id).state is State.ACCEPTED)
    system.kill(worker)
    system.worker(ENQUEUE_KEY=KEY)
    system.wait_until(in_ledger(system, [id_]))


def test_it_stops_with_its_worker_and_gives_back_what_it_has(system: System) -> None:
    worker = system.worker(ENQUEUE_KEY=KEY)
    system.wait_ready()
    system.wait_until(lambda: len(descendants(worker)) == 4)  # two pumps, the intake and its child
    family = descendants(worker)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=20) == 0
    assert not [pid for pid in family if os.path.exists(f"/proc/{pid}")]
    assert system.redis.hlen("dispatcher:celery:intake.unacked") == 0
