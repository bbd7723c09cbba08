"""Makes the values that tests begin with, so that each test says only what it is about."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from dispatcher.domain.attempt import Claimed, Sent, Settlement, settlement
from dispatcher.domain.identity import AttemptId, uuid7
from dispatcher.domain.message import Channel, Gift, Intake, NewMessage, Priority, Sms, check_message
from dispatcher.domain.outcome import Outcome, OutcomeKind
from dispatcher.domain.policy import GIFT_POLICY, SMS_POLICY, decide
from dispatcher.ledger.enqueue import gift_to_json
from dispatcher.ports import ClaimRequest

NUMBER = "+61491570006"
POLICIES = {Channel.SMS: SMS_POLICY, Channel.GIFT: GIFT_POLICY}
_counter = itertools.count(1)


def new_id(now: datetime) -> UUID:
    """Return ids that grow with each call."""
    return uuid7(int(now.timestamp() * 1000), next(_counter) << 50)


def sms(now: datetime, body: str = "Your code is 123456", *, bulk: bool = False, **changes: Any) -> NewMessage:
    """Make a checked SMS."""
    request = Sms(recipient=NUMBER, body=body, **changes)
    priority = Priority.BULK if bulk else Priority.TRANSACTIONAL
    return check_message(request, id=new_id(now), now=now, intake=Intake(), priority=priority)


def gift(now: datetime, key: str | None = None, **changes: Any) -> NewMessage:
    """Make a checked gift."""
    request = Gift(
        recipient=NUMBER,
        sku="CARD",
        amount="25.00",
        currency="AUD",
        idempotency_key=key or f"order-{next(_counter)}",
        **changes,
    )
    return check_message(request, id=new_id(now), now=now, intake=Intake())


def row(message: NewMessage, **changes: object) -> dict[str, object]:
    """Write a message as a row that a test may bend before it inserts it itself."""
    return {
        "id": message.id,
        "channel": message.channel.value,
        "priority": message.priority.value,
        "state": "queued",
        "recipient": str(message.recipient),
        "body": message.body,
        "gift": None if message.gift is None else gift_to_json(message.gift),
        "idempotency_key": message.idempotency_key,
        "fingerprint": message.fingerprint,
        "tags": list(message.tags),
        "source": "test",
        "due_at": message.due_at,
        "expires_at": message.expires_at,
        "max_attempts": message.max_attempts,
        "created_at": message.created_at,
        "updated_at": message.created_at,
        **changes,
    }


def wish(now: datetime, channel: Channel = Channel.SMS, count: int = 100, **changes: Any) -> ClaimRequest:
    """Make a claim's request."""
    values: dict[str, Any] = {
        "channel": channel,
        "count": count,
        "bulk": 0,
        "bulk_limit": count,
        "worker": "test",
        "now": now,
        "lease": timedelta(seconds=60),
    }
    return ClaimRequest(**values | changes)


def outcome(kind: OutcomeKind, **changes: Any) -> Outcome:
    """Make an outcome."""
    return Outcome(kind=kind, **changes)


def settled(message: Claimed, what: Outcome, now: datetime, *, roll: float = 0.5, generation: int = 1) -> Settlement:
    """Make the settlement of a call that came to an outcome."""
    sent = Sent(
        message=message,
        outcome=what,
        started_at=now,
        latency=timedelta(milliseconds=40),
        token_generation=generation,
    )
    decision = decide(POLICIES[message.channel], message, what, now=now, roll=roll)
    return settlement(sent, decision, attempt_id=AttemptId(new_id(now)), worker="test")
