"""The ledger's tables. Their names and their columns', indexes' and constraints' are a contract: others query them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    literal_column,
    text,
)

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


METADATA = MetaData(naming_convention=NAMING)
"""What migrations compare the database with."""


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


MESSAGES = Table(
    "dispatcher_messages",
    METADATA,
    Column("id", Identifier, primary_key=True),
    Column("channel", String(8), nullable=False),
    Column("priority", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("recipient", String(20), nullable=False),
    Column("body", Text),
    Column("gift", Json),
    Column("idempotency_key", String(200)),
    Column("fingerprint", String(64), nullable=False),
    Column("campaign_id", Identifier, ForeignKey("dispatcher_campaigns.id")),
    Column("lane", SmallInteger, server_default="0", nullable=False),
    Column("tags", Json, nullable=False),
    Column("source", String(16), nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("attempts_made", SmallInteger, server_default="0", nullable=False),
    Column("max_attempts", SmallInteger, nullable=False),
    Column("calls_made", Integer, server_default="0", nullable=False),
    Column("doubtful_sends", SmallInteger, server_default="0", nullable=False),
    Column("refused_generation", BigInteger),
    # Answers such as 403 that were attributed to the message while it was queued; three make it dead.
    Column("configuration_answers", SmallInteger, server_default="0", nullable=False),
    Column("trigger", String(8), server_default="auto", nullable=False),
    # How often a person has put its content right.
    Column("revision", SmallInteger, server_default="0", nullable=False),
    Column("lease_token", Identifier),
    Column("lease_expires_at", UtcDateTime),
    Column("provider_id", String(200)),
    Column("last_outcome", String(16)),
    Column("last_error", Text),
    Column("last_status", SmallInteger),
    Column("last_code", String(100)),
    # The reason told alike for all messages that have it, so that they can be counted together.
    Column("failure", String(160)),
    # When a person put it away: it stays dead and is listed no more.
    Column("discarded_at", UtcDateTime),
    # The bulk operation that queued it again last.
    Column("operation_id", Identifier),
    # When its number, its words and what was answered were taken out: it cannot be sent again.
    Column("redacted_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("accepted_at", UtcDateTime),
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
    postgresql_with={"fillfactor": "85"},
)
"""One SMS or gift to one recipient: what is wanted, where it stands, who holds it."""


ATTEMPTS = Table(
    "dispatcher_attempts",
    METADATA,
    Column("id", Identifier, primary_key=True),
    Column("message_id", Identifier, ForeignKey("dispatcher_messages.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("trigger", String(8), nullable=False),
    Column("worker", String(100), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("http_status", SmallInteger),
    Column("error", String(100)),
    Column("error_description", Text),
    Column("retry_after_s", Double),
    Column("provider_id", String(200)),
    Column("latency_ms", Integer, nullable=False),
    Column("token_generation", BigInteger),
    Column("response", Text),
    Column("next_due_at", UtcDateTime),
    Column("why_next", Text),
    # Headers of the answer by which the provider finds the call again.
    Column("request_ids", Json),
    one_of("outcome", OutcomeKind),
    one_of("trigger", Trigger),
    Index("uq_dispatcher_attempts_message_id_number", "message_id", "number", unique=True),
)
"""One call that may have reached the API, appended when it settles."""


ENQUEUED_IDS = Table(
    "dispatcher_enqueued_ids",
    METADATA,
    Column("message_id", Identifier, primary_key=True),
    Column("remembered_until", UtcDateTime, nullable=False),
)
"""The id of a message that came through the broker: it outlives the message, which `dispatcher prune` removes.

Whoever can write to Redis can publish an encrypted text again. It expires before its id is forgotten.
"""


GIFT_GUARDS = Table(
    "dispatcher_gift_guards",
    METADATA,
    Column("message_id", Identifier, ForeignKey("dispatcher_messages.id", ondelete="CASCADE"), primary_key=True),
    Column("guarded_at", UtcDateTime, nullable=False),
    # Whose budget it is booked on, if any.
    Column("campaign_id", Identifier),
    # In the currency's smallest unit, so that sums are exact on both databases.
    Column("amount", BigInteger),
    # The day of the budget that it is booked on, ``2026-11-24``.
    Column("booked_on", String(10)),
)
"""Refuses a second live send of a gift: inserted with the claim, deleted only with proof of "not carried out"."""


CHANNELS = Table(
    "dispatcher_channels",
    METADATA,
    Column("channel", String(8), primary_key=True),
    Column("paused_at", UtcDateTime),
    Column("paused_until", UtcDateTime),
    Column("paused_by", String(100)),
    Column("pause_reason", Text),
    one_of("channel", Channel),
)
"""A channel's pause. No row or no ``paused_at``: open."""


CAMPAIGNS = Table(
    "dispatcher_campaigns",
    METADATA,
    Column("id", Identifier, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("channel", String(8), nullable=False),
    Column("template", Text),
    Column("state", String(16), nullable=False),
    Column("starts_at", UtcDateTime),
    Column("send_window", String(200)),
    Column("rate", String(50)),
    Column("budget", String(50)),
    Column("total", Integer, server_default="0", nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    # What it is made of, beside the template.
    Column("gift", Json),
    Column("columns", Json),
    Column("region", String(2)),
    Column("source", String(200)),
    Column("digest", String(64), server_default="", nullable=False),
    Column("created_by", String(100)),
    Column("expires_at", UtcDateTime),
    # How far the intake is: it commits with each page, so that a killed one goes on where it was.
    Column("rows_read", Integer, server_default="0", nullable=False),
    Column("invalid", Integer, server_default="0", nullable=False),
    Column("duplicates", Integer, server_default="0", nullable=False),
    Column("opted_out", Integer, server_default="0", nullable=False),
    Column("parts", BigInteger, server_default="0", nullable=False),
    Column("loaded_at", UtcDateTime),
    # When everything that a cancelled campaign had queued was called off.
    Column("swept_at", UtcDateTime),
    # What holds it back.
    Column("paused_at", UtcDateTime),
    Column("paused_until", UtcDateTime),
    Column("paused_by", String(100)),
    Column("pause_reason", Text),
    Column("next_permit_at", UtcDateTime),
    # How far it was when the clock last counted, so that looking at many campaigns counts none of them.
    Column("counts", Json),
    Column("counted_at", UtcDateTime),
    # How many of its messages were removed since they were old, by the state that they had.
    Column("removed", Json),
    # What its gifts have cost, in the currency's smallest unit: all of them, and those of one day.
    Column("spent", BigInteger, server_default="0", nullable=False),
    Column("spent_that_day", BigInteger, server_default="0", nullable=False),
    Column("day", String(10)),
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
"""A burst: one template to many recipients; how far its intake is, what holds it back, what it has spent."""


LANES = Table(
    "dispatcher_campaign_lanes",
    METADATA,
    Column("campaign_id", Identifier, ForeignKey("dispatcher_campaigns.id", ondelete="CASCADE"), primary_key=True),
    Column("lane", SmallInteger, primary_key=True, autoincrement=False),
    # IANA names with blanks between; empty where the window names its own zone, or there is none.
    Column("zones", Text, nullable=False),
    Column("opens_at", UtcDateTime),
    Column("closes_at", UtcDateTime),
)
"""The messages of a campaign whose send window opens and closes together: those of one group of time zones.

Claims read it: messages are taken while ``opens_at <= now < closes_at``; without a window both are null.
"""


SUPPRESSIONS = Table(
    "dispatcher_suppressions",
    METADATA,
    Column("channel", String(8), primary_key=True),
    Column("recipient", String(20), primary_key=True),
    Column("reason", Text),
    Column("created_at", UtcDateTime, nullable=False),
    one_of("channel", Channel),
)
"""A recipient that opted out of a channel."""


MINUTES = Table(
    "dispatcher_minutes",
    METADATA,
    # ``2026-11-24T09:05``, in UTC.
    Column("minute", String(16), primary_key=True),
    Column("channel", String(8), primary_key=True),
    Column("outcome", String(16), primary_key=True),
    Column("worker", String(100), primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("latency_ms", BigInteger, nullable=False),
    Column("le_50", BigInteger, nullable=False),
    Column("le_100", BigInteger, nullable=False),
    Column("le_250", BigInteger, nullable=False),
    Column("le_500", BigInteger, nullable=False),
    Column("le_1000", BigInteger, nullable=False),
    Column("le_2500", BigInteger, nullable=False),
    Column("le_5000", BigInteger, nullable=False),
)
"""What calls came to in one minute by one worker: so that charts and metrics never count messages.

Each worker adds to rows of its own, so nobody waits for another. Days later they are folded into one row for each
channel and outcome, with an empty worker and minute, so that the sums never fall.
"""


OPERATIONS = Table(
    "dispatcher_operations",
    METADATA,
    Column("id", Identifier, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("filter", Json, nullable=False),
    Column("state", String(16), nullable=False),
    Column("cursor", String(100)),
    Column("total", Integer, server_default="0", nullable=False),
    Column("done", Integer, server_default="0", nullable=False),
    Column("skipped", Integer, server_default="0", nullable=False),
    Column("failed", Integer, server_default="0", nullable=False),
    # How it is to go: at a moment, spread, at a rate, with a canary.
    Column("options", Json),
    # The ids of the messages that went first, until it is known what became of them.
    Column("canary", Json),
    # Why it stands still or was ended.
    Column("note", Text),
    Column("actor", String(100), nullable=False),
    Column("reason", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Index("ix_dispatcher_operations_state", "state"),
)
"""A bulk operation that survives its operator's terminal: frozen filter, cursor, counts."""


AUDIT = Table(
    "dispatcher_audit",
    METADATA,
    Column("id", Identifier, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("action", String(50), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("reason", Text),
    Column("details", Json, nullable=False),
    Index("ix_dispatcher_audit_subject", "subject", "id"),
)
"""Who did what to what, and why."""


SIGN_OUTS = Table(
    "dispatcher_web_sign_outs",
    METADATA,
    Column("session", String(32), primary_key=True),
    Column("ended_at", UtcDateTime, nullable=False),
    # When its cookie would have ended anyway, so that the row is needed no more.
    Column("forget_at", UtcDateTime, nullable=False),
)
"""A session of the pages that was signed out before it ended by itself."""


LEDGER = Table(
    "dispatcher_ledger",
    METADATA,
    Column("id", Identifier, primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
)
"""The ledger's own id, in one row: whatever is kept outside the ledger names the ledger that it belongs to."""
