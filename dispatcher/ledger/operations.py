"""What people do to messages: cancel, replay, resolve. Each is one guarded UPDATE with its audit row."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, case, delete, exists, insert, or_, select, update

from dispatcher.domain.attempt import Trigger
from dispatcher.domain.errors import MessageNotFound, TransitionRefused
from dispatcher.domain.identity import ENTROPY_BITS, uuid7
from dispatcher.domain.message import Channel
from dispatcher.domain.recipient import Recipient
from dispatcher.domain.state import State
from dispatcher.ledger.counts import recount_again
from dispatcher.ledger.reopening import campaigns_of, cancelled, hold, reopen
from dispatcher.ledger.tables import AUDIT, CAMPAIGNS, GIFT_GUARDS, LONGEST_ERROR, MESSAGES

REPLAYABLE = (State.DEAD, State.EXPIRED, State.CANCELLED)
CONTENT_IS_GONE = "its number and its words were redacted, so nothing is left that could be sent"
EDITED = "edit and replay"
"""The act whose details have what a message was before, until that is redacted."""


class Resolution(StrEnum):
    """The three answers to "was it carried out?"."""

    SENT = "sent"
    NOT_SENT = "not-sent"
    GIVE_UP = "give-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who acts, when, and why."""

    actor: str
    reason: str | None
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What one recipient gets, checked: ``gift`` as its row holds it."""

    recipient: Recipient
    body: str | None = field(repr=False)
    gift: dict[str, str] | None


def cancel(connection: Connection, message_id: UUID, by: By) -> None:
    """Call off a message that has not been claimed yet.

    :raises MessageNotFound: no message has this id.
    :raises TransitionRefused: it is not queued any more.
    """
    why = (by.reason or "called off")[:LONGEST_ERROR]
    changes = {"state": State.CANCELLED.value, "updated_at": by.now, "last_error": why}
    if not _change(connection, message_id, (State.QUEUED,), changes):
        raise _refused(connection, message_id, "cancelled", "only queued messages can be called off")
    recount_again(connection, message_id)
    audit(connection, by, "cancel", str(message_id))


def replay(
    connection: Connection,
    message_id: UUID,
    by: By,
    *,
    budget: int,
    life: timedelta,
    at: datetime | None = None,
    content: Content | None = None,
) -> None:
    """Queue a dead, expired or cancelled message again, with a fresh budget of attempts; earlier ones stay recorded.

    Never a gift that may have been carried out: its guard row is still there, and only ``resolve`` takes it away.

    :param at: not before; now if left out.
    :param content: what it is to be instead; what it was goes to the audit trail.
    :raises MessageNotFound: no message has this id.
    :raises TransitionRefused: it is in another state, a gift that may have been carried out, redacted, or belongs to a
        campaign that was cancelled or that was made for its old number.
    """
    changes = queued_again(by.now, at=at, budget=budget, life=life, trigger=Trigger.REPLAY)
    where = [~exists().where(GIFT_GUARDS.c.message_id == MESSAGES.c.id), MESSAGES.c.redacted_at.is_(None)]
    where.append(~cancelled())
    was: dict[str, Any] = {}
    if content is not None:
        was = {"was": _content(connection, message_id)}
        changes |= {"recipient": str(content.recipient), "body": content.body, "gift": content.gift}
        changes["revision"] = MESSAGES.c.revision + 1
        # A campaign has each number once, and reckons its send window from it.
        where.append(or_(MESSAGES.c.campaign_id.is_(None), MESSAGES.c.recipient == str(content.recipient)))
    hold(connection, campaigns_of([message_id]))
    if not _change(connection, message_id, REPLAYABLE, changes, *where):
        raise _refused(
            connection,
            message_id,
            "replayed",
            "only dead, expired and cancelled messages can be, no gift that may have been carried out, none of a "
            "cancelled campaign, and one of a campaign only to its own number",
        )
    reopen(connection, campaigns_of([message_id]))
    audit(connection, by, "replay" if content is None else EDITED, str(message_id), **was)


def _content(connection: Connection, message_id: UUID) -> dict[str, Any]:
    columns = (MESSAGES.c.recipient, MESSAGES.c.body, MESSAGES.c.gift)
    row = connection.execute(select(*columns).where(MESSAGES.c.id == message_id)).one_or_none()
    return {} if row is None else {name: value for name, value in row._mapping.items() if value is not None}


def resolve(
    connection: Connection,
    message_id: UUID,
    answer: Resolution,
    by: By,
    *,
    provider_id: str | None,
    budget: int,
    life: timedelta,
) -> None:
    """Answer for a message in doubt: it was sent, it was not and shall be, or nobody will know.

    :raises MessageNotFound: no message has this id.
    :raises TransitionRefused: it is not in doubt, so there is nothing to resolve.
    """
    match answer:
        case Resolution.SENT:
            changes = {"state": State.ACCEPTED.value, "accepted_at": by.now, "updated_at": by.now, "lease_token": None}
            if provider_id is not None:
                changes["provider_id"] = provider_id
        case Resolution.NOT_SENT:
            changes = queued_again(by.now, budget=budget, life=life, trigger=Trigger.RESOLVE)
        case Resolution.GIVE_UP:
            changes = {"state": State.DEAD.value, "updated_at": by.now, "lease_token": None}
    if answer is Resolution.NOT_SENT:
        hold(connection, campaigns_of([message_id]))
    if not _change(connection, message_id, (State.IN_DOUBT,), changes):
        raise _refused(connection, message_id, f"resolved as {answer.value}", "only messages in doubt can be")
    if answer is Resolution.NOT_SENT:
        _take_guard_away(connection, message_id)
        reopen(connection, campaigns_of([message_id]))
    recount_again(connection, message_id)
    audit(connection, by, f"resolve {answer.value}", str(message_id))


def audit(connection: Connection, by: By, action: str, subject: str, *, id: UUID | None = None, **details: Any) -> None:
    """Append who did what, in the transaction that does it.

    :param id: what the entry is found by, if somebody has to find it again.
    """
    connection.execute(
        insert(AUDIT).values(
            id=id or uuid7(int(by.now.timestamp() * 1000), secrets.randbits(ENTROPY_BITS)),
            at=by.now,
            actor=by.actor,
            action=action,
            subject=subject,
            reason=by.reason,
            details=details,
        )
    )


def audit_each(connection: Connection, by: By, action: str, messages: Sequence[UUID], **details: Any) -> None:
    """Append what was done to many messages, to be told in the story of each."""
    rows = [
        {
            "id": uuid7(int(by.now.timestamp() * 1000), secrets.randbits(ENTROPY_BITS)),
            "at": by.now,
            "actor": by.actor,
            "action": action,
            "subject": str(message),
            "reason": by.reason,
            "details": details,
        }
        for message in messages
    ]
    connection.execute(insert(AUDIT), rows)


def _take_guard_away(connection: Connection, message_id: UUID) -> None:
    """Free a gift that was certainly not carried out, and give its campaign back what was booked for it."""
    booked = connection.execute(
        delete(GIFT_GUARDS)
        .where(GIFT_GUARDS.c.message_id == message_id)
        .returning(GIFT_GUARDS.c.campaign_id, GIFT_GUARDS.c.amount, GIFT_GUARDS.c.booked_on)
    ).one_or_none()
    if booked is not None and booked.campaign_id is not None:
        that_day = case((CAMPAIGNS.c.day == booked.booked_on, booked.amount), else_=0)
        connection.execute(
            update(CAMPAIGNS)
            .where(CAMPAIGNS.c.id == booked.campaign_id)
            .values(spent=CAMPAIGNS.c.spent - booked.amount, spent_that_day=CAMPAIGNS.c.spent_that_day - that_day)
        )


def queued_again(
    now: datetime, *, at: datetime | None = None, budget: int, life: timedelta, trigger: Trigger
) -> dict[str, Any]:
    """Return what changes when a message is queued again: a fresh budget and life; earlier attempts stay recorded."""
    due_at = now if at is None else max(now, at)
    return {
        "state": State.QUEUED.value,
        "due_at": due_at,
        "expires_at": due_at + life,
        "max_attempts": MESSAGES.c.attempts_made + budget,
        "trigger": trigger.value,
        "lease_token": None,
        "refused_generation": None,
        "discarded_at": None,
        "updated_at": now,
    }


def _change(
    connection: Connection, message_id: UUID, sources: tuple[State, ...], changes: dict[str, Any], *conditions: Any
) -> bool:
    statement = (
        update(MESSAGES)
        .where(MESSAGES.c.id == message_id, or_(*(MESSAGES.c.state == source.value for source in sources)), *conditions)
        .values(changes)
        .returning(MESSAGES.c.id)
    )
    return connection.execute(statement).scalar() is not None


def _refused(connection: Connection, message_id: UUID, asked: str, allowed: str) -> Exception:
    found = connection.execute(
        select(MESSAGES.c.state, MESSAGES.c.channel, GIFT_GUARDS.c.message_id, MESSAGES.c.redacted_at)
        .outerjoin(GIFT_GUARDS, GIFT_GUARDS.c.message_id == MESSAGES.c.id)
        .where(MESSAGES.c.id == message_id)
    ).one_or_none()
    if found is None:
        return MessageNotFound(message_id)
    state, channel, guard, redacted_at = found
    if channel == Channel.GIFT.value and guard is not None and state == State.DEAD.value:
        allowed = "it is a gift that was given up and may have been carried out"
    elif redacted_at is not None and asked == "replayed":
        allowed = CONTENT_IS_GONE
    return TransitionRefused(message_id, state, asked, allowed=allowed)
