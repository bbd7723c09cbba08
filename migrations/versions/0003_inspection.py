"""Inspection: failures that can be counted, discards, durable operations, and the indexes that lists stand on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dispatcher.ledger.types import Identifier, Json, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_RARE = sa.text("state IN ('in_doubt', 'dead', 'expired', 'cancelled', 'suppressed', 'undelivered')")
_ATTENTION = "ix_dispatcher_messages_attention"
_STATES = "state IN ('in_doubt', 'dead', 'expired')"
_GIVEN_UP = "state IN ('dead', 'expired') AND discarded_at IS NULL"
_MESSAGES = (
    ("last_status", sa.SmallInteger()),
    ("last_code", sa.String(length=100)),
    ("failure", sa.String(length=160)),
    ("discarded_at", UtcDateTime()),
    ("operation_id", Identifier()),
)
_SUMS = ("calls", "latency_ms", "le_50", "le_100", "le_250", "le_500", "le_1000", "le_2500", "le_5000")
_OPERATIONS = (("options", Json), ("canary", Json), ("note", sa.Text()))


def upgrade() -> None:
    """Add columns and indexes, and fill in what is known of the messages that are there."""
    for name, kind in _MESSAGES:
        op.add_column("dispatcher_messages", sa.Column(name, kind, nullable=True))
    for name, json in _OPERATIONS:
        op.add_column("dispatcher_operations", sa.Column(name, json, nullable=True))
    op.add_column("dispatcher_operations", sa.Column("failed", sa.Integer(), server_default="0", nullable=False))
    op.execute(
        "UPDATE dispatcher_messages SET last_status = a.http_status, last_code = a.error, "
        "failure = COALESCE(a.error, dispatcher_messages.last_outcome) "
        "FROM dispatcher_attempts a WHERE a.message_id = dispatcher_messages.id "
        "AND a.number = dispatcher_messages.calls_made AND dispatcher_messages.state IN ('dead', 'in_doubt', 'expired')"
    )
    op.create_table(
        "dispatcher_minutes",
        sa.Column("minute", sa.String(length=16), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("worker", sa.String(length=100), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _SUMS),
        sa.PrimaryKeyConstraint("minute", "channel", "outcome", "worker", name=op.f("pk_dispatcher_minutes")),
    )
    op.drop_index(_ATTENTION, "dispatcher_messages")
    _attention(["state", "channel", "priority", "updated_at", "id"], f"{_STATES} AND discarded_at IS NULL")
    op.create_index(
        "ix_dispatcher_messages_failures",
        "dispatcher_messages",
        ["channel", "last_outcome", "last_status", "failure", "recipient", "campaign_id", "updated_at", "state"],
        unique=False,
        postgresql_where=sa.text(_GIVEN_UP),
        sqlite_where=sa.text(_GIVEN_UP),
    )
    op.create_index(
        "ix_dispatcher_messages_rare",
        "dispatcher_messages",
        ["state", "id"],
        unique=False,
        postgresql_where=_RARE,
        sqlite_where=_RARE,
    )
    op.create_index(
        "ix_dispatcher_messages_operation_id",
        "dispatcher_messages",
        ["operation_id"],
        unique=False,
        postgresql_where=sa.text("operation_id IS NOT NULL"),
        sqlite_where=sa.text("operation_id IS NOT NULL"),
    )
    op.create_index("ix_dispatcher_messages_recipient", "dispatcher_messages", ["recipient", "id"], unique=False)
    op.create_index("ix_dispatcher_audit_subject", "dispatcher_audit", ["subject", "id"], unique=False)
    op.create_index("ix_dispatcher_operations_state", "dispatcher_operations", ["state"], unique=False)


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("dispatcher_minutes")
    op.drop_index("ix_dispatcher_operations_state", "dispatcher_operations")
    op.drop_index("ix_dispatcher_audit_subject", "dispatcher_audit")
    op.drop_index("ix_dispatcher_messages_failures", "dispatcher_messages")
    op.drop_index(_ATTENTION, "dispatcher_messages")
    _attention(["state", "channel", "updated_at", "id"], _STATES)
    op.drop_index("ix_dispatcher_messages_operation_id", "dispatcher_messages")
    op.drop_index("ix_dispatcher_messages_recipient", "dispatcher_messages")
    op.drop_index("ix_dispatcher_messages_rare", "dispatcher_messages")
    op.drop_column("dispatcher_operations", "failed")
    for name, _ in _OPERATIONS:
        op.drop_column("dispatcher_operations", name)
    for name, _ in _MESSAGES:
        op.drop_column("dispatcher_messages", name)


def _attention(columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(
        _ATTENTION,
        "dispatcher_messages",
        columns,
        unique=False,
        postgresql_where=condition,
        sqlite_where=condition,
    )
