"""Hosts whose wall clock is wrong, and is set while they run: nothing is sent early, late, twice, or given up."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.domain.state import State
from tests.making import NUMBER
from tests.system.conftest import System

pytestmark = pytest.mark.slow
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "step",
    [timedelta(hours=1), pytest.param(90 * timedelta(seconds=1), marks=pytest.mark.exhaustive)],
    ids=str,
)
def test_worker_and_clock_go_by_the_ledgers_time(system: System, step: timedelta) -> None:
    system.set_host(step)
    system.on_stepped_host("worker", PROCESSES="1")
    system.on_stepped_host("clock")
    system.wait_ready()
    now = datetime.now(UTC)
    with system.client() as client:
        reminder = client.send_sms(NUMBER, "reminder", due_at=now + step / 2, expires_at=now + 0.9 * step)
        card = client.send_gift(
            NUMBER, sku="CARD", amount="25", currency="AUD", idempotency_key="1", due_at=now + step / 2
        )
        texts = [client.send_sms(NUMBER, f"text {n}").id for n in range(50)]
        system.wait_until(lambda: system.counts()[State.ACCEPTED] == len(texts))
        system.set_host(-step)
        time.sleep(1.5)
        assert {client.message(each.id).state for each in (reminder, card)} == {State.QUEUED}
        later = client.send_sms(NUMBER, "the clock goes on", due_at=datetime.now(UTC) + timedelta(seconds=1))
        system.wait_until(lambda: client.message(later.id).state is State.ACCEPTED, seconds=6)
        system.set_host(step)
        time.sleep(1.5)
        assert {client.message(each.id).state for each in (reminder, card)} == {State.QUEUED}
    assert set(system.carried_out().values()) == {1}
    system.assert_books_balance()
