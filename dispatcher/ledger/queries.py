"""Reading the ledger, for people and programs: messages, attempts, counts. Lists go by keyset, never by offset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from dispatcher.domain.attempt import Trigger
from dispatcher.domain.errors import MessageNotFound
from dispatcher.domain.message import Channel, GiftContent, Priority, worth
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.recipient import REDACTED, Recipient
from dispatcher.domain.state import State
from dispatcher.ledger.enqueue import gift_from_json
from dispatcher.ledger.lanes import first_due
from dispatcher.ledger.tables import ATTEMPTS, AUDIT, GIFT_GUARDS, MESSAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as it stands in the ledger. Times are aware UTC; recipient and content mask themselves in ``repr``."""

    id: UUID
    channel: Channel
    priority: Priority
    state: State
    recipient: Recipient
    body: str | None = field(repr=False)
    gift: GiftContent | None
    idempotency_key: str | None
    campaign_id: UUID | None
    tags: tuple[str, ...]
    source: str
    due_at: datetime
    expires_at: datetime
    attempts_made: int
    max_attempts: int
    calls_made: int
    doubtful_sends: int
    revision: int
    """How often a person has put its content right."""
    lease_expires_at: datetime | None
    provider_id: str | None
    last_outcome: OutcomeKind | None
    last_error: str | None
    last_status: int | None
    last_code: str | None
    failure: str | None
    """The reason told alike for all messages that have it."""
    discarded_at: datetime | None
    created_at: datetime
    updated_at: datetime
    accepted_at: datetime | None
    redacted_at: datetime | None = None
    """When its number and its words were taken out, since it was old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call as it was recorded."""

    number: int
    trigger: Trigger
    worker: str
    started_at: datetime
    finished_at: datetime
    outcome: OutcomeKind
    http_status: int | None
    error: str | None
    error_description: str | None
    retry_after_s: float | None
    provider_id: str | None
    latency_ms: int
    token_generation: int | None
    response: str | None
    next_due_at: datetime | None
    why_next: str | None
    request_ids: dict[str, str] | None = None
    """Headers of the answer by which the provider finds the call again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what, and why."""

    id: UUID
    at: datetime
    actor: str
    action: str
    subject: str
    reason: str | None
    details: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which messages a list shows; every field narrows it."""

    channel: Channel | None = None
    priority: Priority | None = None
    states: tuple[State, ...] = ()
    recipient: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many messages of a channel and priority are in a state."""

    channel: Channel
    priority: Priority
    state: State
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The oldest message that is due and not yet sent, by channel and priority."""

    channel: Channel
    priority: Priority
    since: datetime


def find_message(connection: Connection, message_id: UUID) -> Message:
    """Return one message.

    :raises MessageNotFound: no message has this id.
    """
    row = connection.execute(_messages().where(MESSAGES.c.id == message_id)).one_or_none()
    if row is None:
        raise MessageNotFound(message_id)
    return _message(row)


def list_messages(connection: Connection, chosen: Filter, *, limit: int, before: UUID | None = None) -> list[Message]:
    """Return messages, newest first; ``before`` is the last id of the page before."""
    statement = _narrow(_messages(), chosen).order_by(MESSAGES.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(MESSAGES.c.id < before)
    return [_message(row) for row in connection.execute(statement)]


def oldest(connection: Connection, where: Sequence[ColumnElement[bool]], *, limit: int) -> list[Message]:
    """Return messages for which all conditions hold, those first that have been as they are for longest."""
    order = (MESSAGES.c.updated_at, MESSAGES.c.id)
    return [_message(row) for row in connection.execute(_messages().where(*where).order_by(*order).limit(limit))]


def matching(
    connection: Connection, where: Sequence[ColumnElement[bool]], *, limit: int, before: UUID | None
) -> list[Message]:
    """Return messages for which all conditions hold, newest first.

    Their ids are chosen first, so that an index which knows enough spares reading the rows of all others.
    """
    chosen = select(MESSAGES.c.id).where(*where).order_by(MESSAGES.c.id.desc()).limit(limit)
    if before is not None:
        chosen = chosen.where(MESSAGES.c.id < before)
    ids = connection.execute(chosen).scalars().all()
    rows = connection.execute(_messages().where(MESSAGES.c.id.in_(ids)).order_by(MESSAGES.c.id.desc())) if ids else ()
    return [_message(row) for row in rows]


def list_attempts(connection: Connection, message_id: UUID) -> list[Attempt]:
    """Return the calls made for a message, in order."""
    columns = (ATTEMPTS.c[name] for name in Attempt.__dataclass_fields__)
    calls = select(*columns).where(ATTEMPTS.c.message_id == message_id).order_by(ATTEMPTS.c.number)
    return [_attempt(row) for row in connection.execute(calls)]


def list_audit(connection: Connection, *, subject: str) -> list[AuditEntry]:
    """Return what people did to a subject, in order."""
    rows = connection.execute(select(*_AUDIT).where(AUDIT.c.subject == subject).order_by(AUDIT.c.id))
    return [AuditEntry(**row._mapping) for row in rows]


def audit_trail(connection: Connection, *, subject: str | None, limit: int, before: UUID | None) -> list[AuditEntry]:
    """Return who did what, newest first."""
    statement = select(*_AUDIT).order_by(AUDIT.c.id.desc()).limit(limit)
    if subject is not None:
        statement = statement.where(AUDIT.c.subject == subject)
    if before is not None:
        statement = statement.where(AUDIT.c.id < before)
    return [AuditEntry(**row._mapping) for row in connection.execute(statement)]


def tallies(connection: Connection, *, put_away: bool) -> list[Tally]:
    """Count messages by channel, priority and state; ``put_away`` says whether those that somebody discarded count."""
    by = (MESSAGES.c.channel, MESSAGES.c.priority, MESSAGES.c.state)
    statement = select(*by, func.count()).group_by(*by).order_by(*by)
    rows = connection.execute(statement if put_away else statement.where(MESSAGES.c.discarded_at.is_(None)))
    return [
        Tally(channel=Channel(channel), priority=Priority(priority), state=State(state), count=count)
        for channel, priority, state, count in rows
    ]


def oldest_waiting(connection: Connection, *, now: datetime) -> list[Waiting]:
    """Return since when the oldest message that could go now has been waiting, by channel and priority.

    What a window or a campaign that does not run holds back is not waiting for its turn.
    """
    return [
        Waiting(channel=channel, priority=priority, since=since)
        for channel in Channel
        for priority, since in first_due(connection, channel, now).items()
    ]


def guarded_among(connection: Connection, ids: Sequence[UUID]) -> frozenset[UUID]:
    """Return those of the messages that are gifts which the database refuses to send again."""
    guards = select(GIFT_GUARDS.c.message_id).where(GIFT_GUARDS.c.message_id.in_(ids))
    return frozenset(connection.execute(guards).scalars())


def money_in_doubt(connection: Connection) -> dict[str, Decimal]:
    """Sum the gifts in doubt by currency."""
    return money(connection, [MESSAGES.c.state == State.IN_DOUBT.value, MESSAGES.c.channel == Channel.GIFT.value])


def money(connection: Connection, where: Sequence[ColumnElement[bool]]) -> dict[str, Decimal]:
    """Sum what gifts are worth, by currency."""
    gifts = connection.execute(select(MESSAGES.c.gift).where(*where)).scalars()
    return worth(None if gift is None else gift_from_json(gift) for gift in gifts)


_AUDIT = tuple(AUDIT.c[name] for name in AuditEntry.__dataclass_fields__)
_COLUMNS = tuple(Message.__dataclass_fields__)


def _messages() -> Select[tuple[object, ...]]:
    return select(*(MESSAGES.c[name] for name in _COLUMNS))


def _narrow(statement: Select[tuple[object, ...]], chosen: Filter) -> Select[tuple[object, ...]]:
    if chosen.channel is not None:
        statement = statement.where(MESSAGES.c.channel == chosen.channel.value)
    if chosen.priority is not None:
        statement = statement.where(MESSAGES.c.priority == chosen.priority.value)
    if chosen.states:
        statement = statement.where(MESSAGES.c.state.in_([state.value for state in chosen.states]))
    if chosen.recipient is not None:
        statement = statement.where(MESSAGES.c.recipient == chosen.recipient)
    return statement


def _message(row: Row[tuple[object, ...]]) -> Message:
    values = dict(row._mapping)
    return Message(
        **values
        | {
            "channel": Channel(values["channel"]),
            "priority": Priority(values["priority"]),
            "state": State(values["state"]),
            "recipient": REDACTED if values["redacted_at"] is not None else Recipient(values["recipient"]),
            "gift": gift_from_json(values["gift"]) if values["channel"] == Channel.GIFT.value else None,
            "tags": _tags(values["tags"]),
            "last_outcome": None if values["last_outcome"] is None else OutcomeKind(values["last_outcome"]),
        }
    )


def _tags(value: object) -> tuple[str, ...]:
    """Read tags; what an older row may hold besides texts is left out."""
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _attempt(row: Row[tuple[object, ...]]) -> Attempt:
    values = dict(row._mapping)
    return Attempt(
        **values | {"trigger": Trigger(values["trigger"]), "outcome": OutcomeKind(values["outcome"])},
    )
