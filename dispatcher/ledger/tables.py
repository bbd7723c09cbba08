"""The ledger's tables. Their names and their columns', indexes' and constraints' are a contract: others query them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    MetaData,
    SmallInteger,
    String,
    Text,
    literal_column,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dispatcher.domain.attempt import Trigger
from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.outcome import OutcomeKind
from dispatcher.domain.state import CampaignState, State
from dispatcher.ledger.types import Identifier, Json, UtcDateTime

PREFIX = "dispatcher_"
VERSION_TABLE = "dispatcher_alembic_version"

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Holds the metadata that migrations compare the database with."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        UUID: Identifier,
        dict[str, Any]: Json,
        list[str]: Json,
    }


def one_of(
    column: str, values: type[Channel | Priority | State | CampaignState | OutcomeKind | Trigger]
) -> CheckConstraint:
    """Let the database refuse any value that the enum does not have."""
    listed = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


QUEUED: ColumnElement[str] = literal_column("'queued'")
SENDING: ColumnElement[str] = literal_column("'sending'")
"""For statements that are planned once and kept: to know that a partial index serves, PostgreSQL must see the state."""
LONGEST_ERROR = 500
"""Characters of ``last_error``: an index has it, and PostgreSQL takes no more than 2,704 bytes into an entry."""
ASKED_FOR = "max_attempts > 0"
"""True of every message. Only who says it may go by the index of expiries.

A claim does not, so it has one index to go by, that of claims, in whose order it takes. Else that of expiries looks
just as good while statistics do not know of a burst yet, and each claim reads and sorts all that is queued.
"""
TROUBLED = (State.IN_DOUBT, State.DEAD, State.EXPIRED, State.CANCELLED, State.SUPPRESSED, State.UNDELIVERED)
"""States in which a text is looked for: a partial index has all of them."""
_RARE = "state IN ('in_doubt', 'dead', 'expired', 'cancelled', 'suppressed', 'undelivered')"


_ATTENTION = "state IN ('in_doubt', 'dead', 'expired') AND discarded_at IS NULL"
_GIVEN_UP = "state IN ('dead', 'expired') AND discarded_at IS NULL"


class MessageRow(Base):
    """One SMS or gift to one recipient: what is wanted, where it stands, who holds it."""

    __tablename__ = "dispatcher_messages"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(8))
    priority: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    recipient: Mapped[str] = mapped_column(String(20))
    body: Mapped[str | None] = mapped_column(Text)
    gift: Mapped[dict[str, Any] | None]
    idempotency_key: Mapped[str | None] = mapped_column(String(200))
    fingerprint: Mapped[str] = mapped_column(String(64))
    campaign_id: Mapped[UUID | None] = mapped_column(ForeignKey("dispatcher_campaigns.id"))
    lane: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    tags: Mapped[list[str]]
    source: Mapped[str] = mapped_column(String(16))
    due_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    attempts_made: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    max_attempts: Mapped[int] = mapped_column(SmallInteger)
    calls_made: Mapped[int] = mapped_column(server_default="0")
    doubtful_sends: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    refused_generation: Mapped[int | None] = mapped_column(BigInteger)
    configuration_answers: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """Answers such as 403 that were attributed to the message while it was queued; three make it dead."""
    trigger: Mapped[str] = mapped_column(String(8), server_default="auto")
    revision: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """How often a person has put its content right."""
    lease_token: Mapped[UUID | None]
    lease_expires_at: Mapped[datetime | None]
    provider_id: Mapped[str | None] = mapped_column(String(200))
    last_outcome: Mapped[str | None] = mapped_column(String(16))
    last_error: Mapped[str | None] = mapped_column(Text)
    last_status: Mapped[int | None] = mapped_column(SmallInteger)
    last_code: Mapped[str | None] = mapped_column(String(100))
    failure: Mapped[str | None] = mapped_column(String(160))
    """The reason told alike for all messages that have it, so that they can be counted together."""
    discarded_at: Mapped[datetime | None]
    """When a person put it away: it stays dead and is listed no more."""
    operation_id: Mapped[UUID | None]
    """The bulk operation that queued it again last."""
    redacted_at: Mapped[datetime | None]
    """When its number, its words and what was answered were taken out: it cannot be sent again."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]

    __table_args__ = (
        one_of("channel", Channel),
        one_of("priority", Priority),
        one_of("state", State),
        one_of("trigger", Trigger),
        CheckConstraint("(body IS NOT NULL) = (channel = 'sms')", name="body"),
        CheckConstraint("(gift IS NOT NULL) = (channel = 'gift')", name="gift"),
        CheckConstraint("channel <> 'gift' OR idempotency_key IS NOT NULL", name="gift_key"),
        CheckConstraint("(lease_expires_at IS NOT NULL) = (state = 'sending')", name="lease"),
        CheckConstraint("state <> 'sending' OR lease_token IS NOT NULL", name="lease_token"),
        # Partial, so that the messages of a burst that need no key cost no entry.
        Index(
            "uq_dispatcher_messages_idempotency_key",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
            sqlite_where=text("idempotency_key IS NOT NULL"),
        ),
        Index(
            "uq_dispatcher_messages_campaign_id_recipient",
            "campaign_id",
            "recipient",
            unique=True,
            postgresql_where=text("campaign_id IS NOT NULL"),
            sqlite_where=text("campaign_id IS NOT NULL"),
        ),
        Index(
            "ix_dispatcher_messages_claim",
            "channel",
            "priority",
            "campaign_id",
            "lane",
            "due_at",
            "id",
            postgresql_where=text("state = 'queued'"),
            sqlite_where=text("state = 'queued'"),
        ),
        Index(
            "ix_dispatcher_messages_expiry",
            "expires_at",
            postgresql_where=text(f"state = 'queued' AND {ASKED_FOR}"),
            sqlite_where=text(f"state = 'queued' AND {ASKED_FOR}"),
        ),
        Index(
            "ix_dispatcher_messages_lease",
            "lease_expires_at",
            postgresql_where=text("state = 'sending'"),
            sqlite_where=text("state = 'sending'"),
        ),
        Index(
            "ix_dispatcher_messages_attention",
            "state",
            "channel",
            "priority",
            "updated_at",
            "id",
            postgresql_where=text(_ATTENTION),
            sqlite_where=text(_ATTENTION),
        ),
        # Has all that failure groups and plans count, so that counting them reads no row.
        Index(
            "ix_dispatcher_messages_failures",
            "channel",
            "last_outcome",
            "last_status",
            "failure",
            "recipient",
            "campaign_id",
            "updated_at",
            "state",
            "last_code",
            "doubtful_sends",
            "calls_made",
            "id",
            postgresql_where=text(_GIVEN_UP),
            sqlite_where=text(_GIVEN_UP),
        ),
        # Has the words that are looked for, so that a text is searched in the index alone.
        Index(
            "ix_dispatcher_messages_rare",
            "state",
            "id",
            "last_error",
            "discarded_at",
            postgresql_where=text(_RARE),
            sqlite_where=text(_RARE),
        ),
        Index(
            "ix_dispatcher_messages_campaign",
            "campaign_id",
            "state",
            "id",
            postgresql_where=text(f"{_RARE} AND campaign_id IS NOT NULL"),
            sqlite_where=text(f"{_RARE} AND campaign_id IS NOT NULL"),
        ),
        Index(
            "ix_dispatcher_messages_discarded",
            "id",
            postgresql_where=text("discarded_at IS NOT NULL"),
            sqlite_where=text("discarded_at IS NOT NULL"),
        ),
        Index("ix_dispatcher_messages_recipient", "recipient", "id"),
        Index(
            "ix_dispatcher_messages_operation_id",
            "operation_id",
            "state",
            postgresql_where=text("operation_id IS NOT NULL"),
            sqlite_where=text("operation_id IS NOT NULL"),
        ),
        # Settled rows are written once or twice: room on the page keeps those updates cheap.
        {"postgresql_with": {"fillfactor": "85"}},
    )


class AttemptRow(Base):
    """One call that may have reached the API, appended when it settles."""

    __tablename__ = "dispatcher_attempts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    message_id: Mapped[UUID] = mapped_column(ForeignKey("dispatcher_messages.id", ondelete="CASCADE"))
    number: Mapped[int]
    trigger: Mapped[str] = mapped_column(String(8))
    worker: Mapped[str] = mapped_column(String(100))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]
    outcome: Mapped[str] = mapped_column(String(16))
    http_status: Mapped[int | None] = mapped_column(SmallInteger)
    error: Mapped[str | None] = mapped_column(String(100))
    error_description: Mapped[str | None] = mapped_column(Text)
    retry_after_s: Mapped[float | None]
    provider_id: Mapped[str | None] = mapped_column(String(200))
    latency_ms: Mapped[int]
    token_generation: Mapped[int | None] = mapped_column(BigInteger)
    response: Mapped[str | None] = mapped_column(Text)
    next_due_at: Mapped[datetime | None]
    why_next: Mapped[str | None] = mapped_column(Text)
    request_ids: Mapped[dict[str, Any] | None]
    """Headers of the answer by which the provider finds the call again."""

    __table_args__ = (
        one_of("outcome", OutcomeKind),
        one_of("trigger", Trigger),
        Index("uq_dispatcher_attempts_message_id_number", "message_id", "number", unique=True),
    )


class EnqueuedIdRow(Base):
    """The id of a message that came through the broker: it outlives the message, which `dispatcher prune` removes.

    Whoever can write to Redis can publish an encrypted text again. It expires before its id is forgotten.
    """

    __tablename__ = "dispatcher_enqueued_ids"

    message_id: Mapped[UUID] = mapped_column(primary_key=True)
    remembered_until: Mapped[datetime]


class GiftGuardRow(Base):
    """Refuses a second live send of a gift: inserted with the claim, deleted only with proof of "not carried out"."""

    __tablename__ = "dispatcher_gift_guards"

    message_id: Mapped[UUID] = mapped_column(ForeignKey("dispatcher_messages.id", ondelete="CASCADE"), primary_key=True)
    guarded_at: Mapped[datetime]
    campaign_id: Mapped[UUID | None]
    """Whose budget it is booked on, if any."""
    amount: Mapped[int | None] = mapped_column(BigInteger)
    """In the currency's smallest unit, so that sums are exact on both databases."""
    booked_on: Mapped[str | None] = mapped_column(String(10))
    """The day of the budget that it is booked on, ``2026-11-24``."""


class ChannelRow(Base):
    """A channel's pause. No row or no ``paused_at``: open."""

    __tablename__ = "dispatcher_channels"

    channel: Mapped[str] = mapped_column(String(8), primary_key=True)
    paused_at: Mapped[datetime | None]
    paused_until: Mapped[datetime | None]
    paused_by: Mapped[str | None] = mapped_column(String(100))
    pause_reason: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (one_of("channel", Channel),)


class CampaignRow(Base):
    """A burst: one template to many recipients; how far its intake is, what holds it back, what it has spent."""

    __tablename__ = "dispatcher_campaigns"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    channel: Mapped[str] = mapped_column(String(8))
    template: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    starts_at: Mapped[datetime | None]
    send_window: Mapped[str | None] = mapped_column(String(200))
    rate: Mapped[str | None] = mapped_column(String(50))
    budget: Mapped[str | None] = mapped_column(String(50))
    total: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    # What it is made of, beside the template.
    gift: Mapped[dict[str, Any] | None]
    columns: Mapped[dict[str, Any] | None]
    region: Mapped[str | None] = mapped_column(String(2))
    source: Mapped[str | None] = mapped_column(String(200))
    digest: Mapped[str] = mapped_column(String(64), server_default="")
    created_by: Mapped[str | None] = mapped_column(String(100))
    expires_at: Mapped[datetime | None]
    # How far the intake is: it commits with each page, so that a killed one goes on where it was.
    rows_read: Mapped[int] = mapped_column(server_default="0")
    invalid: Mapped[int] = mapped_column(server_default="0")
    duplicates: Mapped[int] = mapped_column(server_default="0")
    opted_out: Mapped[int] = mapped_column(server_default="0")
    parts: Mapped[int] = mapped_column(BigInteger, server_default="0")
    loaded_at: Mapped[datetime | None]
    swept_at: Mapped[datetime | None]
    """When everything that a cancelled campaign had queued was called off."""
    # What holds it back.
    paused_at: Mapped[datetime | None]
    paused_until: Mapped[datetime | None]
    paused_by: Mapped[str | None] = mapped_column(String(100))
    pause_reason: Mapped[str | None] = mapped_column(Text)
    next_permit_at: Mapped[datetime | None]
    # How far it was when the clock last counted, so that looking at many campaigns counts none of them.
    counts: Mapped[dict[str, Any] | None]
    counted_at: Mapped[datetime | None]
    removed: Mapped[dict[str, Any] | None]
    """How many of its messages were removed since they were old, by the state that they had."""
    # What its gifts have cost, in the currency's smallest unit: all of them, and those of one day.
    spent: Mapped[int] = mapped_column(BigInteger, server_default="0")
    spent_that_day: Mapped[int] = mapped_column(BigInteger, server_default="0")
    day: Mapped[str | None] = mapped_column(String(10))

    __table_args__ = (
        one_of("channel", Channel),
        one_of("state", CampaignState),
        CheckConstraint("spent >= 0", name="spent"),
        CheckConstraint("spent_that_day >= 0", name="spent_that_day"),
        Index(
            "uq_dispatcher_campaigns_name",
            "name",
            unique=True,
            postgresql_where=text("state <> 'cancelled'"),
            sqlite_where=text("state <> 'cancelled'"),
        ),
        Index("ix_dispatcher_campaigns_state", "state", "channel"),
    )


class LaneRow(Base):
    """The messages of a campaign whose send window opens and closes together: those of one group of time zones.

    Claims read it: messages are taken while ``opens_at <= now < closes_at``; without a window both are null.
    """

    __tablename__ = "dispatcher_campaign_lanes"

    campaign_id: Mapped[UUID] = mapped_column(
        ForeignKey("dispatcher_campaigns.id", ondelete="CASCADE"), primary_key=True
    )
    lane: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    zones: Mapped[str] = mapped_column(Text)
    """IANA names with blanks between; empty where the window names its own zone, or there is none."""
    opens_at: Mapped[datetime | None]
    closes_at: Mapped[datetime | None]


class SuppressionRow(Base):
    """A recipient that opted out of a channel."""

    __tablename__ = "dispatcher_suppressions"

    channel: Mapped[str] = mapped_column(String(8), primary_key=True)
    recipient: Mapped[str] = mapped_column(String(20), primary_key=True)
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]

    __table_args__ = (one_of("channel", Channel),)


class MinuteRow(Base):
    """What calls came to in one minute by one worker: so that charts and metrics never count messages.

    Each worker adds to rows of its own, so nobody waits for another. Days later they are folded into one row for each
    channel and outcome, with an empty worker and minute, so that the sums never fall.
    """

    __tablename__ = "dispatcher_minutes"

    minute: Mapped[str] = mapped_column(String(16), primary_key=True)
    """``2026-11-24T09:05``, in UTC."""
    channel: Mapped[str] = mapped_column(String(8), primary_key=True)
    outcome: Mapped[str] = mapped_column(String(16), primary_key=True)
    worker: Mapped[str] = mapped_column(String(100), primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger)
    latency_ms: Mapped[int] = mapped_column(BigInteger)
    le_50: Mapped[int] = mapped_column(BigInteger)
    le_100: Mapped[int] = mapped_column(BigInteger)
    le_250: Mapped[int] = mapped_column(BigInteger)
    le_500: Mapped[int] = mapped_column(BigInteger)
    le_1000: Mapped[int] = mapped_column(BigInteger)
    le_2500: Mapped[int] = mapped_column(BigInteger)
    le_5000: Mapped[int] = mapped_column(BigInteger)


class OperationRow(Base):
    """A bulk operation that survives its operator's terminal: frozen filter, cursor, counts."""

    __tablename__ = "dispatcher_operations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    filter: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(16))
    cursor: Mapped[str | None] = mapped_column(String(100))
    total: Mapped[int] = mapped_column(server_default="0")
    done: Mapped[int] = mapped_column(server_default="0")
    skipped: Mapped[int] = mapped_column(server_default="0")
    failed: Mapped[int] = mapped_column(server_default="0")
    options: Mapped[dict[str, Any] | None]
    """How it is to go: at a moment, spread, at a rate, with a canary."""
    canary: Mapped[list[str] | None]
    """The ids of the messages that went first, until it is known what became of them."""
    note: Mapped[str | None] = mapped_column(Text)
    """Why it stands still or was ended."""
    actor: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_dispatcher_operations_state", "state"),)


class AuditRow(Base):
    """Who did what to what, and why."""

    __tablename__ = "dispatcher_audit"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(100))
    action: Mapped[str] = mapped_column(String(50))
    subject: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str | None] = mapped_column(Text)
    details: Mapped[dict[str, Any]]

    __table_args__ = (Index("ix_dispatcher_audit_subject", "subject", "id"),)


class SignOutRow(Base):
    """A session of the pages that was signed out before it ended by itself."""

    __tablename__ = "dispatcher_web_sign_outs"

    session: Mapped[str] = mapped_column(String(32), primary_key=True)
    ended_at: Mapped[datetime]
    forget_at: Mapped[datetime]
    """When its cookie would have ended anyway, so that the row is needed no more."""
