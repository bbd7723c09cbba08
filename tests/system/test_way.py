"""The whole way, from application code to a settled outcome, with real worker processes."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table
from sqlalchemy.orm import Session

from dispatcher import Sms
from dispatcher.domain.state import State
from dispatcher.ledger import Pause
from tests.making import NUMBER
from tests.system.conftest import System

pytestmark = pytest.mark.slow


def test_a_message_goes_its_whole_way(system: System) -> None:
    system.worker()
    system.clock()
    system.wait_ready()
    with system.client() as client:
        text = client.send_sms(NUMBER, "hello")
        card = client.send_gift(NUMBER, sku="CARD", amount="25", currency="AUD", idempotency_key="order-1")
        later = client.send_sms(NUMBER, "later", due_at=datetime.now(UTC) + timedelta(seconds=2))
        system.wait_until(lambda: client.message(text.id).state is State.ACCEPTED)
        system.wait_until(lambda: client.message(card.id).state is State.ACCEPTED)
        assert client.message(later.id).state is State.QUEUED
        system.wait_until(lambda: client.message(later.id).state is State.ACCEPTED, seconds=8)
        found = client.message(later.id)
        assert found.accepted_at is not None
        assert found.accepted_at - found.due_at < timedelta(seconds=2)
    (entry,) = system.sandbox.journal(kind="gift")
    assert (entry.idempotency_key, entry.carried_out) == (str(card.id), True)
    system.assert_books_balance()


def test_enqueued_in_the_applications_own_transaction(system: System, engine: Engine) -> None:
    orders = Table("orders", MetaData(), Column("id", Integer, primary_key=True))
    orders.create(engine)
    system.worker()
    system.wait_ready()
    with system.client() as client, Session(engine) as session:
        session.execute(orders.insert().values(id=1))
        lost = client.send_sms(NUMBER, "never", session=session)
        session.rollback()
        session.execute(orders.insert().values(id=2))
        kept = client.send_sms(NUMBER, "thanks for order 2", session=session)
        session.commit()
        system.wait_until(lambda: client.message(kept.id).state is State.ACCEPTED)
    assert [entry.idempotency_key for entry in system.sandbox.journal(kind="sms")] == [str(kept.id)]
    assert str(lost.id) not in system.carried_out()


@pytest.mark.one_database
@pytest.mark.parametrize("transport", ["requests", pytest.param("aiohttp", marks=pytest.mark.exhaustive)])
def test_a_burst_through_a_misbehaving_api_ends_with_books_that_balance(system: System, transport: str) -> None:
    system.environment["DISPATCHER_TRANSPORT"] = transport
    for action, share in (("hang_after_accepting", 0.02), ("cut_after_accepting", 0.03), ("cut", 0.02)):
        system.sandbox.fault(path="*", action=action, probability=share)
    system.sandbox.fault(path="*", action="status", status=503, probability=0.05)
    system.sandbox.fault(path="/sendSMS", action="status", status=400, probability=0.02)
    system.sandbox.fault(path="*", action="garbage_after_accepting", probability=0.01)
    system.worker()
    system.clock()
    with system.client() as client:
        client.send_many(Sms(recipient=NUMBER, body=f"text {n}") for n in range(400))
        for n in range(40):
            client.send_gift(NUMBER, sku="CARD", amount="10", currency="AUD", idempotency_key=f"order-{n}")
        time.sleep(1)
        system.sandbox.revoke()
        system.wait_settled(seconds=90)
    system.assert_books_balance()
    counts = system.counts()
    assert counts[State.ACCEPTED] > 350
    assert counts[State.IN_DOUBT] > 0, "the faults must have left some gift in doubt"


@pytest.mark.one_database
@pytest.mark.parametrize("transport", ["requests", pytest.param("aiohttp", marks=pytest.mark.exhaustive)])
def test_invariant_1_nothing_is_lost_when_redis_is_flushed_and_a_worker_killed_in_mid_burst(
    system: System, transport: str
) -> None:
    system.environment["DISPATCHER_TRANSPORT"] = transport
    system.sandbox.settings(latency_ms=60)
    doomed = system.worker(CONCURRENCY="16")
    system.clock()
    with system.client() as client:
        client.send_many(Sms(recipient=NUMBER, body=f"text {n}") for n in range(600))
        for n in range(60):
            client.send_gift(NUMBER, sku="CARD", amount="10", currency="AUD", idempotency_key=f"order-{n}")
    system.wait_until(lambda: len(system.carried_out()) > 100)
    system.redis.flushall()
    system.kill(doomed)
    system.redis.flushall()
    system.worker()
    system.wait_settled(seconds=90)
    system.assert_books_balance()
    counts = system.counts()
    assert counts[State.ACCEPTED] + counts[State.IN_DOUBT] == 660
    assert counts[State.IN_DOUBT] <= 32, "only what was truly in flight may be in doubt"


@pytest.mark.one_database
@pytest.mark.parametrize("transport", [pytest.param("requests", marks=pytest.mark.exhaustive), "aiohttp"])
def test_a_warm_stop_leaves_nothing_in_flight_unaccounted_for(system: System, transport: str) -> None:
    system.environment["DISPATCHER_TRANSPORT"] = transport
    system.sandbox.settings(latency_ms=300)
    worker = system.worker(CONCURRENCY="16")
    with system.client() as client:
        client.send_many(Sms(recipient=NUMBER, body=f"text {n}") for n in range(300))
        system.wait_until(lambda: len(system.carried_out()) > 30)
        asked = time.monotonic()
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.wait(timeout=15) == 0
        assert time.monotonic() - asked < 6
    counts = system.counts()
    assert counts[State.SENDING] == 0
    assert counts[State.QUEUED] > 0, "it stopped before all were sent"
    assert counts[State.ACCEPTED] == len(system.carried_out())
    system.assert_books_balance()


def test_a_sealed_message_by_the_broker_alone(system: System) -> None:
    from uuid import uuid4

    from dispatcher.broker import make_ringing_app, seal

    key = "aW52ZW50ZWQta2V5LWZvci10ZXN0cy1vbmx5LTEyMzQ="
    system.worker(ENQUEUE_KEY=key)
    system.wait_ready()
    message_id = uuid4()
    text = seal(Sms(recipient=NUMBER, body="from afar"), id=message_id, key=key)
    producer = make_ringing_app(system.environment["DISPATCHER_REDIS_URL"])
    for _ in range(2):
        producer.send_task("dispatcher.enqueue", args=[text], queue="dispatcher.enqueue")
    producer.send_task("dispatcher.enqueue", args=["gibberish"], queue="dispatcher.enqueue")
    system.wait_until(lambda: str(message_id) in system.carried_out())
    system.wait_settled()
    assert system.carried_out() == {str(message_id): 1}


@pytest.mark.one_database
def test_invariant_7_wrong_credentials_stop_the_line_until_they_are_put_right(system: System) -> None:
    wrong = system.worker(CLIENT_SECRET="not-the-secret")
    system.clock()
    with system.client() as client:
        receipt = client.send_sms(NUMBER, "patience")

        def pauses() -> list[Pause]:
            return [each for each in system.books.pauses(now=datetime.now(UTC)) if each.channel.value == "sms"]

        system.wait_until(lambda: bool(pauses()))
        (pause,) = pauses()
        assert "client id or secret" in pause.reason
        assert client.message(receipt.id).attempts_made == 0
        time.sleep(2)
        refused = [entry for entry in system.sandbox.journal(kind="token") if entry.status == 401]
        assert len(refused) == 1, "wrong credentials are not tried again and again"
        system.kill(wrong)
        system.worker()
        for channel in ("sms", "gift"):
            assert system.start("channel", "resume", channel).wait(timeout=20) == 0
        system.wait_until(lambda: client.message(receipt.id).state is State.ACCEPTED)
