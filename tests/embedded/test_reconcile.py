"""The books balance only where they do: each way in which two books can differ is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from dispatcher.domain.attempt import Trigger
from dispatcher.domain.message import Channel, GiftContent, Priority
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.recipient import Recipient
from dispatcher.domain.state import State
from dispatcher.embedded.reconcile import Balance, Check, reconcile
from dispatcher.ledger import Attempt, Message
from dispatcher.sandbox import JournalEntry

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
ID = UUID(int=7)
SMS = Message(
    id=ID,
    channel=Channel.SMS,
    priority=Priority.BULK,
    state=State.ACCEPTED,
    recipient=Recipient("+61491570006"),
    body="hello",
    gift=None,
    idempotency_key=None,
    campaign_id=None,
    tags=(),
    source="application",
    due_at=NOW,
    expires_at=NOW + timedelta(days=3),
    attempts_made=1,
    max_attempts=5,
    calls_made=1,
    doubtful_sends=0,
    revision=0,
    lease_expires_at=None,
    provider_id="p1",
    last_outcome=OutcomeKind.ACCEPTED,
    last_error=None,
    last_status=200,
    last_code=None,
    failure=None,
    discarded_at=None,
    created_at=NOW,
    updated_at=NOW,
    accepted_at=NOW,
)
CARD = GiftContent(sku="coffee-card", amount=Decimal("10.00"), currency="AUD")
GIFT = replace(SMS, channel=Channel.GIFT, body=None, gift=CARD)


def call(outcome: OutcomeKind, why: str = "", number: int = 1) -> Attempt:
    return Attempt(
        number=number,
        trigger=Trigger.AUTO,
        worker="w",
        started_at=NOW,
        finished_at=NOW,
        outcome=outcome,
        http_status=None,
        error=None,
        error_description=None,
        retry_after_s=None,
        provider_id=None,
        latency_ms=50,
        token_generation=1,
        response=None,
        next_due_at=None,
        why_next=why,
    )


def entry(kind: str, key: str | None = str(ID), provider_id: str = "p1") -> JournalEntry:
    return JournalEntry(
        seq=1,
        at=0,
        kind=kind,
        path="/",
        carried_out=True,
        status=200,
        fault=None,
        recipient="+61491570006",
        idempotency_key=key,
        provider_id=provider_id,
        jti=None,
        client_id=None,
    )


def balance(message: Message, times: int, calls: Sequence[Attempt] = ()) -> Balance:
    journal = [entry(message.channel.value)] * times
    return reconcile(enqueued=[ID], messages=[message], journal=journal, calls_of=lambda _: calls)


DOUBT = call(OutcomeKind.IN_DOUBT, "may be a duplicate (1 of 2); waits 1.0 s")
ACCEPTED = call(OutcomeKind.ACCEPTED, "the API accepted it", 2)


@pytest.mark.parametrize(
    ("message", "times", "calls"),
    [
        (SMS, 1, []),
        (SMS, 1, [DOUBT, ACCEPTED]),
        (SMS, 2, [DOUBT, ACCEPTED]),
        (replace(SMS, state=State.DEAD), 0, [call(OutcomeKind.REJECTED)]),
        (replace(SMS, state=State.DEAD), 1, [DOUBT, call(OutcomeKind.REJECTED)]),
        (GIFT, 1, []),
        (replace(GIFT, state=State.IN_DOUBT), 0, [call(OutcomeKind.FAILED)]),
        (replace(GIFT, state=State.IN_DOUBT), 1, [call(OutcomeKind.IN_DOUBT)]),
        (replace(GIFT, state=State.DEAD), 0, [call(OutcomeKind.REJECTED)]),
    ],
)
def test_books_that_balance(message: Message, times: int, calls: list[Attempt]) -> None:
    found = balance(message, times, calls)
    assert found.holds, found.problems


@pytest.mark.parametrize(
    ("message", "times", "calls", "check"),
    [
        (SMS, 0, [ACCEPTED], Check.ACCOUNTED),
        (SMS, 2, [ACCEPTED], Check.REPEATS_MARKED),
        (SMS, 3, [DOUBT, ACCEPTED], Check.REPEATS_MARKED),
        (replace(SMS, state=State.DEAD), 1, [call(OutcomeKind.REJECTED)], Check.ACCOUNTED),
        (replace(SMS, state=State.QUEUED), 0, [], Check.ACCOUNTED),
        (replace(SMS, state=State.SENDING), 1, [], Check.ACCOUNTED),
        (replace(SMS, provider_id="other"), 1, [], Check.ACCOUNTED),
        (GIFT, 2, [ACCEPTED], Check.GIFTS_ONCE),
        (replace(GIFT, state=State.IN_DOUBT), 2, [DOUBT, DOUBT], Check.GIFTS_ONCE),
        (replace(GIFT, state=State.DEAD), 1, [call(OutcomeKind.REJECTED)], Check.ACCOUNTED),
        (GIFT, 0, [ACCEPTED], Check.ACCOUNTED),
    ],
)
def test_books_that_do_not(message: Message, times: int, calls: list[Attempt], check: Check) -> None:
    found = balance(message, times, calls)
    assert [problem.check for problem in found.problems] == [check]


def test_a_receipt_whose_message_the_ledger_lost_is_found() -> None:
    found = reconcile(enqueued=[ID], messages=[], journal=[], calls_of=lambda _: [])
    assert "has a receipt and is not in the ledger" in found.problems[0].text


@pytest.mark.parametrize("key", [None, str(UUID(int=8))])
def test_what_the_api_did_for_nobody_is_found(key: str | None) -> None:
    journal = [entry("sms"), entry("sms", key=key)]
    found = reconcile(enqueued=[ID], messages=[SMS], journal=journal, calls_of=lambda _: [])
    assert f"under the key {key}" in found.problems[0].text


def test_money_in_doubt_is_summed_by_currency() -> None:
    doubtful = replace(GIFT, state=State.IN_DOUBT)
    found = reconcile(
        enqueued=[],
        messages=[doubtful, replace(doubtful, id=UUID(int=9))],
        journal=[],
        calls_of=lambda _: [call(OutcomeKind.IN_DOUBT)],
    )
    assert found.money_in_doubt == {"AUD": Decimal("20.00")}
