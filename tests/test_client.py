"""What application code calls, on a real ledger and a real Valkey."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis
from sqlalchemy import Engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

import dispatcher
from dispatcher import Dispatcher, Gift, IdempotencyConflict, Sms
from dispatcher.broker import seal
from dispatcher.client import acting_as
from dispatcher.domain.errors import (
    InvalidMessage,
    LedgerUnavailable,
    MessageNotFound,
    SettingsError,
    TransitionRefused,
)
from dispatcher.domain.state import State
from dispatcher.ledger import Books
from tests.making import NUMBER, wish
from tests.peeking import everything_in

KEY = "aW52ZW50ZWQta2V5LWZvci10ZXN0cy1vbmx5LTEyMzQ="


@pytest.fixture
def client(ledger_url: str, valkey: str, redis: Redis, tmp_path: Path) -> Iterator[Dispatcher]:
    with Dispatcher.from_env(ledger_url=ledger_url, redis_url=valkey, home=tmp_path, enqueue_key=KEY) as client:
        yield client


def bells(redis: Redis) -> Any:
    return redis.llen("dispatcher:celery:dispatcher.dispatch")


def test_the_public_names_are_these_and_no_more() -> None:
    assert sorted(dispatcher.__all__) == ["Dispatcher", "Gift", "IdempotencyConflict", "Receipt", "Sms"]
    for name in dispatcher.__all__:
        assert getattr(dispatcher, name).__doc__, name


def test_send_and_look_up(client: Dispatcher) -> None:
    text = client.send_sms(NUMBER, "hello", tags=["greeting"])
    card = client.send_gift(NUMBER, sku="CARD", amount="25", currency="AUD", idempotency_key="order-1")
    assert (text.state, text.duplicate) == (State.QUEUED, False)
    assert client.message(text.id).tags == ("greeting",)
    assert client.message(str(card.id)).gift is not None
    assert client.message(card.id).priority.value == "transactional"


def test_a_repeated_call_with_a_key_gives_the_first_receipt_with_its_present_state(client: Dispatcher) -> None:
    first = client.send_sms(NUMBER, "hello", idempotency_key="k")
    client.cancel(first.id)
    again = client.send_sms(NUMBER, "hello", idempotency_key="k")
    assert (again.id, again.state, again.duplicate) == (first.id, State.CANCELLED, True)
    with pytest.raises(IdempotencyConflict) as caught:
        client.send_sms(NUMBER, "other", idempotency_key="k")
    assert caught.value.existing == first.id


def test_one_bell_stands_for_many_messages(client: Dispatcher, redis: Redis) -> None:
    for n in range(10):
        client.send_sms(NUMBER, f"text {n}")
    assert bells(redis) == 1


def test_invariant_3_the_broker_carries_no_content(client: Dispatcher, redis: Redis) -> None:
    client.send_sms(NUMBER, "a secret text", idempotency_key="secret-key")
    client.send_gift(NUMBER, sku="CARD", amount="25.00", currency="AUD", idempotency_key="secret-order")
    everything = everything_in(redis)
    assert "dispatcher.dispatch" in everything
    assert "callbacks" in everything, "the task's body must have been opened"
    for secret in (NUMBER[1:], "secret", "25.00", '"eta": "'):
        assert secret not in everything


def test_the_callers_transaction_decides(client: Dispatcher, engine: Engine, redis: Redis) -> None:
    with Session(engine) as session:
        receipt = client.send_sms(NUMBER, "hello", session=session)
        session.rollback()
    assert bells(redis) == 0
    with pytest.raises(MessageNotFound):
        client.message(receipt.id)
    with Session(engine) as session, session.begin():
        receipt = client.send_sms(NUMBER, "hello", session=session)
        assert bells(redis) == 0, "nobody is woken for what is not there yet"
    assert bells(redis) == 1
    assert client.message(receipt.id).state is State.QUEUED


def test_a_scoped_session_will_do(client: Dispatcher, engine: Engine, redis: Redis) -> None:
    registry = scoped_session(sessionmaker(engine))
    client.send_sms(NUMBER, "hello", session=registry)  # type: ignore[arg-type]
    registry.commit()
    registry.remove()
    assert bells(redis) == 1


def test_send_many_streams_pages_and_returns_receipts_in_order(client: Dispatcher) -> None:
    receipts = client.send_many(
        Sms(recipient=NUMBER, body=f"text {n % 2400}", idempotency_key=f"k{n % 2400}") for n in range(2500)
    )
    assert (receipts.counts.enqueued, receipts.counts.duplicates, len(receipts)) == (2400, 100, 2500)
    assert receipts[2400].id == receipts[0].id
    assert receipts[-1].duplicate
    assert client.message(receipts[7].id).body == "text 7"
    assert client.message(receipts[7].id).priority.value == "bulk"


def test_send_many_says_which_message_is_wrong_and_writes_nothing_of_its_page(client: Dispatcher, books: Books) -> None:
    with pytest.raises(InvalidMessage, match="message 2: body") as caught:
        client.send_many(
            [Sms(recipient=NUMBER, body="a"), Sms(recipient=NUMBER, body="b"), Sms(recipient=NUMBER, body="")]
        )
    assert caught.value.position == 2
    assert books.tallies() == []


def test_send_many_within_a_transaction_is_all_or_nothing(client: Dispatcher, engine: Engine, books: Books) -> None:
    with Session(engine) as session:
        client.send_many((Sms(recipient=NUMBER, body=f"text {n}") for n in range(1500)), session=session)
        session.rollback()
    assert books.tallies() == []


def test_a_conflict_in_a_stream_says_where(client: Dispatcher) -> None:
    client.send_sms(NUMBER, "hello", idempotency_key="k")
    with pytest.raises(IdempotencyConflict) as caught:
        client.send_many([Sms(recipient=NUMBER, body="a"), Sms(recipient=NUMBER, body="b", idempotency_key="k")])
    assert caught.value.position == 1


def test_receipts_of_a_stream_take_little_room(client: Dispatcher) -> None:
    from uuid import UUID

    from dispatcher.domain.receipt import Receipt, Receipts

    tracemalloc.start()
    receipts = Receipts()
    for n in range(100_000):
        receipts.append(Receipt(id=UUID(int=n), state=State.QUEUED, duplicate=False))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 3_000_000
    assert receipts[99_999].id == UUID(int=99_999)


def test_only_what_is_queued_can_be_called_off(client: Dispatcher, books: Books) -> None:
    from dispatcher.ledger import SqlLedger

    receipt = client.send_sms(NUMBER, "hello")
    message = client.message(receipt.id)
    SqlLedger.on(books.engine).claim(wish(message.due_at))
    with pytest.raises(TransitionRefused, match="sending"):
        client.cancel(receipt.id)
    with pytest.raises(MessageNotFound):
        client.cancel("no-such-id")


@pytest.mark.timed
def test_enqueue_succeeds_with_redis_down_and_waits_less_than_a_second(ledger_url: str, tmp_path: Path) -> None:
    """One port refuses, one swallows: neither may hold up an application."""
    import socket

    black_hole = socket.socket()
    black_hole.bind(("127.0.0.1", 0))
    black_hole.listen(0)
    for port in (1, black_hole.getsockname()[1]):
        with Dispatcher.from_env(
            ledger_url=ledger_url, redis_url=f"redis://127.0.0.1:{port}/0", home=tmp_path
        ) as client:
            client.message  # noqa: B018 - import everything before the time is taken
            started = time.monotonic()
            receipt = client.send_sms(NUMBER, f"hello {port}")
            assert time.monotonic() - started < 1.3  # a second, and the ledger's own commit
            again = time.monotonic()
            client.send_sms(NUMBER, f"hello again {port}")
            assert time.monotonic() - again < 0.3, "a dead Redis is not waited for each time"
            assert client.message(receipt.id).state is State.QUEUED
    black_hole.close()


def test_an_unreachable_ledger_is_one_typed_error_without_content(valkey: str, tmp_path: Path) -> None:
    url = "postgresql+psycopg://user:s3cret@127.0.0.1:1/x"
    with Dispatcher.from_env(ledger_url=url, redis_url=valkey, home=tmp_path) as client:
        with pytest.raises(LedgerUnavailable) as caught:
            client.send_sms(NUMBER, "a private text")
        assert "private" not in str(caught.value)
        assert "s3cret" not in str(caught.value)


def test_a_sealed_message_comes_in_once_however_often_it_is_delivered(client: Dispatcher, books: Books) -> None:
    for request in (
        Sms(recipient=NUMBER, body="hello", tags=["x"]),
        Gift(recipient=NUMBER, sku="CARD", amount="25", currency="AUD", idempotency_key="order-9", note="hi"),
    ):
        text = seal(request, id=uuid4(), key=KEY)
        assert "hello" not in text
        first, again = client.enqueue_sealed(text), client.enqueue_sealed(text)
        assert (first.id, first.duplicate, again.duplicate) == (again.id, False, True)
    assert sum(tally.count for tally in books.tallies()) == 2


@pytest.mark.parametrize("amount", [Decimal("1E+2"), Decimal("100.0000"), "100", "100.00"])
def test_a_sealed_amount_is_the_amount_that_was_given(client: Dispatcher, amount: Decimal | str) -> None:
    request = Gift(recipient=NUMBER, sku="A", amount=amount, currency="AUD", idempotency_key="k")
    sealed = client.message(client.enqueue_sealed(seal(request, id=uuid4(), key=KEY)).id)
    assert sealed.gift is not None
    assert str(sealed.gift.amount) == "100.00"


def test_texts_are_composed_whichever_way_they_come_in(client: Dispatcher) -> None:
    request = Sms(recipient=NUMBER, body="Zoe\u0308")
    sent = [
        client.send_sms(NUMBER, "Zoe\u0308"),
        *client.send_many([request]),
        client.enqueue_sealed(seal(request, id=uuid4(), key=KEY)),
    ]
    assert [client.message(each.id).body for each in sent] == ["Zo\u00eb"] * 3


@pytest.mark.parametrize(("amount", "says"), [("1,000", "write 1000.00"), ("1E2", "write 100.00"), (100.0, "float")])
def test_a_sealed_amount_is_checked_as_any_other(client: Dispatcher, amount: Any, says: str) -> None:
    request = Gift(recipient=NUMBER, sku="A", amount=amount, currency="AUD", idempotency_key="k")
    with pytest.raises(InvalidMessage, match=says):
        client.enqueue_sealed(seal(request, id=uuid4(), key=KEY))


def test_what_is_not_sealed_with_our_key_is_refused(client: Dispatcher) -> None:
    other = "b3RoZXIta2V5LWZvci10ZXN0cy1vbmx5LTEyMzQ1Njc="
    with pytest.raises(InvalidMessage, match="not sealed with this"):
        client.enqueue_sealed(seal(Sms(recipient=NUMBER, body="x"), id=uuid4(), key=other))
    with pytest.raises(InvalidMessage):
        client.enqueue_sealed("gibberish")
    with pytest.raises(SettingsError, match="Fernet"):
        seal(Sms(recipient=NUMBER, body="x"), id=uuid4(), key="short")


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, dispatcher; print([m for m in ('celery', 'sqlalchemy', 'redis') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("missing", [KeyError("uid not found"), OSError("No username set in the environment")])
def test_a_user_without_a_name_acts_under_its_id(monkeypatch: pytest.MonkeyPatch, missing: Exception) -> None:
    assert acting_as("application") == f"application:{getpass.getuser()}"

    def unknown() -> str:
        raise missing

    monkeypatch.setattr("getpass.getuser", unknown)
    assert acting_as("application") == f"application:uid {os.getuid()}"
    monkeypatch.setattr("getpass.getuser", lambda: "x" * 200)
    assert len(acting_as("cli")) == 100, "as long as the audit trail holds"
