"""Create the tables of the first version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dispatcher.ledger.types import Identifier, Json, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table, index and constraint."""
    op.create_table(
        "dispatcher_audit",
        sa.Column("id", Identifier(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=50), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("details", Json, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispatcher_audit")),
    )
    op.create_table(
        "dispatcher_campaigns",
        sa.Column("id", Identifier(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("template", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("starts_at", UtcDateTime(), nullable=True),
        sa.Column("send_window", sa.String(length=200), nullable=True),
        sa.Column("rate", sa.String(length=50), nullable=True),
        sa.Column("budget", sa.String(length=50), nullable=True),
        sa.Column("total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("channel IN ('sms', 'gift')", name=op.f("ck_dispatcher_campaigns_channel")),
        sa.CheckConstraint(
            "state IN ('draft', 'scheduled', 'running', 'paused', 'finished', 'cancelled')",
            name=op.f("ck_dispatcher_campaigns_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispatcher_campaigns")),
    )
    op.create_index("ix_dispatcher_campaigns_state", "dispatcher_campaigns", ["state", "channel"], unique=False)

    op.create_table(
        "dispatcher_channels",
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("paused_at", UtcDateTime(), nullable=True),
        sa.Column("paused_until", UtcDateTime(), nullable=True),
        sa.Column("paused_by", sa.String(length=100), nullable=True),
        sa.Column("pause_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("channel IN ('sms', 'gift')", name=op.f("ck_dispatcher_channels_channel")),
        sa.PrimaryKeyConstraint("channel", name=op.f("pk_dispatcher_channels")),
    )
    op.create_table(
        "dispatcher_operations",
        sa.Column("id", Identifier(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("filter", Json, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("cursor", sa.String(length=100), nullable=True),
        sa.Column("total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("skipped", sa.Integer(), server_default="0", nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispatcher_operations")),
    )
    op.create_table(
        "dispatcher_suppressions",
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("recipient", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("channel IN ('sms', 'gift')", name=op.f("ck_dispatcher_suppressions_channel")),
        sa.PrimaryKeyConstraint("channel", "recipient", name=op.f("pk_dispatcher_suppressions")),
    )
    op.create_table(
        "dispatcher_messages",
        sa.Column("id", Identifier(), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("priority", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("recipient", sa.String(length=20), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("gift", Json, nullable=True),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("campaign_id", Identifier(), nullable=True),
        sa.Column("tags", Json, nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("attempts_made", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("max_attempts", sa.SmallInteger(), nullable=False),
        sa.Column("calls_made", sa.Integer(), server_default="0", nullable=False),
        sa.Column("doubtful_sends", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("refused_generation", sa.BigInteger(), nullable=True),
        sa.Column("trigger", sa.String(length=8), server_default="auto", nullable=False),
        sa.Column("lease_token", Identifier(), nullable=True),
        sa.Column("lease_expires_at", UtcDateTime(), nullable=True),
        sa.Column("provider_id", sa.String(length=200), nullable=True),
        sa.Column("last_outcome", sa.String(length=16), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("accepted_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("(body IS NOT NULL) = (channel = 'sms')", name=op.f("ck_dispatcher_messages_body")),
        sa.CheckConstraint("(gift IS NOT NULL) = (channel = 'gift')", name=op.f("ck_dispatcher_messages_gift")),
        sa.CheckConstraint(
            "(lease_expires_at IS NOT NULL) = (state = 'sending')", name=op.f("ck_dispatcher_messages_lease")
        ),
        sa.CheckConstraint(
            "channel <> 'gift' OR idempotency_key IS NOT NULL", name=op.f("ck_dispatcher_messages_gift_key")
        ),
        sa.CheckConstraint("channel IN ('sms', 'gift')", name=op.f("ck_dispatcher_messages_channel")),
        sa.CheckConstraint("priority IN ('transactional', 'bulk')", name=op.f("ck_dispatcher_messages_priority")),
        sa.CheckConstraint(
            "state <> 'sending' OR lease_token IS NOT NULL", name=op.f("ck_dispatcher_messages_lease_token")
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'sending', 'accepted', 'delivered', 'undelivered', 'in_doubt', 'dead', 'expired', 'cancelled', 'suppressed')",
            name=op.f("ck_dispatcher_messages_state"),
        ),
        sa.CheckConstraint("trigger IN ('auto', 'replay', 'resolve')", name=op.f("ck_dispatcher_messages_trigger")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["dispatcher_campaigns.id"], name=op.f("fk_dispatcher_messages_campaign_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispatcher_messages")),
        postgresql_with={"fillfactor": "85"},
    )
    op.create_index(
        "ix_dispatcher_messages_attention",
        "dispatcher_messages",
        ["state", "channel", "updated_at", "id"],
        unique=False,
        postgresql_where=sa.text("state IN ('in_doubt', 'dead', 'expired')"),
        sqlite_where=sa.text("state IN ('in_doubt', 'dead', 'expired')"),
    )
    op.create_index(
        "ix_dispatcher_messages_claim",
        "dispatcher_messages",
        ["channel", "priority", "campaign_id", "due_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'queued'"),
        sqlite_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_dispatcher_messages_expiry",
        "dispatcher_messages",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'queued'"),
        sqlite_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_dispatcher_messages_lease",
        "dispatcher_messages",
        ["lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'sending'"),
        sqlite_where=sa.text("state = 'sending'"),
    )
    op.create_index(
        "uq_dispatcher_messages_campaign_id_recipient",
        "dispatcher_messages",
        ["campaign_id", "recipient"],
        unique=True,
        postgresql_where=sa.text("campaign_id IS NOT NULL"),
        sqlite_where=sa.text("campaign_id IS NOT NULL"),
    )
    op.create_index("uq_dispatcher_messages_idempotency_key", "dispatcher_messages", ["idempotency_key"], unique=True)

    op.create_table(
        "dispatcher_attempts",
        sa.Column("id", Identifier(), nullable=False),
        sa.Column("message_id", Identifier(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("trigger", sa.String(length=8), nullable=False),
        sa.Column("worker", sa.String(length=100), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("http_status", sa.SmallInteger(), nullable=True),
        sa.Column("error", sa.String(length=100), nullable=True),
        sa.Column("error_description", sa.Text(), nullable=True),
        sa.Column("retry_after_s", sa.Double(), nullable=True),
        sa.Column("provider_id", sa.String(length=200), nullable=True),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("token_generation", sa.BigInteger(), nullable=True),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("next_due_at", UtcDateTime(), nullable=True),
        sa.Column("why_next", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('accepted', 'not_sent', 'in_doubt', 'failed', 'throttled', 'unauthorized', 'misconfigured', 'rejected', 'conflict')",
            name=op.f("ck_dispatcher_attempts_outcome"),
        ),
        sa.CheckConstraint("trigger IN ('auto', 'replay', 'resolve')", name=op.f("ck_dispatcher_attempts_trigger")),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["dispatcher_messages.id"],
            name=op.f("fk_dispatcher_attempts_message_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispatcher_attempts")),
    )
    op.create_index(
        "uq_dispatcher_attempts_message_id_number", "dispatcher_attempts", ["message_id", "number"], unique=True
    )

    op.create_table(
        "dispatcher_gift_guards",
        sa.Column("message_id", Identifier(), nullable=False),
        sa.Column("guarded_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["dispatcher_messages.id"],
            name=op.f("fk_dispatcher_gift_guards_message_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_dispatcher_gift_guards")),
    )


def downgrade() -> None:
    """Drop them all, content included."""
    op.drop_table("dispatcher_gift_guards")

    op.drop_table("dispatcher_attempts")

    op.drop_table("dispatcher_messages")
    op.drop_table("dispatcher_suppressions")
    op.drop_table("dispatcher_operations")
    op.drop_table("dispatcher_channels")

    op.drop_table("dispatcher_campaigns")
    op.drop_table("dispatcher_audit")
