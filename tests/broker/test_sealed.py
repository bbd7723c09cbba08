"""A sealed text is good for one message and for three days, whoever publishes it again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from redis import Redis
from sqlalchemy import Engine, text

from dispatcher import Dispatcher, Gift
from dispatcher.admin import Pruning
from dispatcher.broker import seal
from dispatcher.broker.sealed import LIFE
from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.identity import uuid7
from dispatcher.domain.retention import Ages
from dispatcher.ledger import BrokerIntake, LedgerClock, RetentionBooks
from tests.making import NUMBER

KEY = "aW52ZW50ZWQta2V5LWZvci10ZXN0cy1vbmx5LTEyMzQ="
GIFT = Gift(recipient=NUMBER, sku="CARD", amount="25", currency="AUD", idempotency_key="order-1")
DAY = timedelta(days=1)


@pytest.fixture
def client(ledger_url: str, valkey: str, redis: Redis, tmp_path: Path) -> Iterator[Dispatcher]:
    with Dispatcher.from_env(ledger_url=ledger_url, redis_url=valkey, home=tmp_path, enqueue_key=KEY) as client:
        yield client


def sealed(*, ago: timedelta, id: UUID) -> str:
    """Seal a gift as a producer did some time ago."""
    content: dict[str, Any] = {"kind": "gift", "id": str(id), **asdict(GIFT), "tags": []}
    at = int(time.time() - ago.total_seconds())
    return Fernet(KEY).encrypt_at_time(json.dumps(content).encode(), at).decode()


def old_id() -> UUID:
    return uuid7(int((time.time() - 400 * 24 * 3600) * 1000), 7)


def prune_everything(engine: Engine) -> None:
    """Make every message old, as if it had settled a year ago, and prune."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE dispatcher_messages SET state = 'accepted',"
                " created_at = '2020-01-01 00:00:00+00:00', updated_at = '2020-01-01 00:00:00+00:00'"
            )
        )
    pruning = Pruning(books=RetentionBooks(engine=engine), clock=LedgerClock(engine), actor="test")
    *_, pruned = pruning.run(Ages(redact_days=0, remove_days=1), reason=None)
    assert pruned.removed == 1


def test_a_text_that_is_published_again_after_its_message_was_pruned_is_refused(
    client: Dispatcher, engine: Engine
) -> None:
    published = seal(GIFT, id=old_id(), key=KEY)
    assert not client.enqueue_sealed(published).duplicate
    prune_everything(engine)
    with pytest.raises(InvalidMessage, match="was enqueued through the broker before"):
        client.enqueue_sealed(published)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM dispatcher_messages")).scalar() == 0


def test_a_text_expires_before_its_id_is_forgotten(client: Dispatcher, engine: Engine) -> None:
    nearly, over = LIFE - timedelta(minutes=1), LIFE + timedelta(minutes=1)
    id_ = old_id()
    assert not client.enqueue_sealed(sealed(ago=nearly, id=id_)).duplicate
    with pytest.raises(InvalidMessage, match="more than 72 hours ago"):
        client.enqueue_sealed(sealed(ago=over, id=id_))
    intake, now = BrokerIntake(engine=engine), LedgerClock(engine).now()
    assert intake.forget(now=now + timedelta(hours=12)) == 0, "its text is void by then, and its id still known"
    assert intake.forget(now=now + timedelta(hours=25)) == 1


@pytest.mark.parametrize(
    ("ahead", "taken"), [(timedelta(hours=10), True), (timedelta(hours=25), False), (timedelta(days=400_000), False)]
)
def test_a_producer_whose_clock_is_ahead_does_not_prolong_it_much(
    client: Dispatcher, *, ahead: timedelta, taken: bool
) -> None:
    published = sealed(ago=-ahead, id=old_id())
    if taken:
        assert not client.enqueue_sealed(published).duplicate
    else:
        with pytest.raises(InvalidMessage, match="in the future"):
            client.enqueue_sealed(published)
