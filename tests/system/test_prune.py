"""Pruning while traffic runs, and killed in the middle of it: it goes on, and touches nothing else."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select

from dispatcher import Sms
from dispatcher.domain.state import State
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.tables import MESSAGES
from tests.making import NUMBER, row, sms
from tests.system.conftest import System

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]  # tests/ledger/test_retention.py kills single steps

OLD = 12_000
YOUNG = 1_000
DAY = timedelta(days=1)


def test_it_is_killed_again_and_again_while_traffic_runs(system: System) -> None:
    now = datetime.now(UTC)
    keep_old(system, now)
    system.worker()
    system.clock()
    system.wait_ready()
    receipts: list[UUID] = []

    def produce() -> None:
        with system.client() as client:
            for start in range(0, YOUNG, 50):
                batch = [Sms(recipient=NUMBER, body=f"no. {start + place}") for place in range(50)]
                receipts.extend(receipt.id for receipt in client.send_many(batch))
                time.sleep(0.1)

    producer = threading.Thread(target=produce)
    producer.start()
    killed_between = 0
    for _ in range(5):
        kill_as_soon_as_it_has_done_something(system)
        killed_between += 0 < left(system) < OLD
    assert killed_between >= 2, "it was killed in the middle"
    last = system.start("prune", "--yes")
    assert last.wait(timeout=60) == 0
    producer.join()
    system.wait_settled()
    assert left(system) == 0
    with system.books.engine.connect() as connection:
        oldest = connection.scalar(select(func.min(MESSAGES.c.created_at)).where(MESSAGES.c.source == "old"))
    assert oldest is not None
    assert oldest > now - 366 * DAY, "older ones are gone"
    carried = system.carried_out()
    with system.client() as client:
        for id_ in receipts:
            message = client.message(id_)
            assert (message.state, message.redacted_at, carried[str(id_)]) == (State.ACCEPTED, None, 1)
    assert len(receipts) == YOUNG


def kill_as_soon_as_it_has_done_something(system: System) -> None:
    before, run = left(system), system.start("prune", "--yes", "--rate", "4000/s")
    system.wait_until(lambda: left(system) < before or run.poll() is not None)
    system.kill(run)


def keep_old(system: System, now: datetime) -> None:
    """Fill the ledger with what was sent from a month to two years ago."""
    rows = []
    for place in range(OLD):
        at = now - (31 + place * 700 / OLD) * DAY
        rows.append(row(sms(at, f"old {place}"), state="accepted", accepted_at=at, updated_at=at, source="old"))
    with transaction(system.books.engine) as connection:
        connection.execute(insert(MESSAGES), rows)


def left(system: System) -> int:
    """Count what is old and has not been redacted."""
    old = select(func.count()).where(MESSAGES.c.source == "old", MESSAGES.c.redacted_at.is_(None))
    with system.books.engine.connect() as connection:
        return connection.scalar(old) or 0
