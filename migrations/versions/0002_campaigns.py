"""Campaigns: lanes for send windows, intake cursors, pauses, budgets booked with each gift's guard.

Columns are added in place. SQLite's usual way, a new table that replaces the old one, would empty the tables that
refer to it: dropping the old one deletes its rows, and that cascades.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dispatcher.ledger.types import Identifier, Json, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_CLAIM = "ix_dispatcher_messages_claim"
_KEY = "uq_dispatcher_messages_idempotency_key"
_CAMPAIGN_COLUMNS = (
    ("gift", Json, None),
    ("columns", Json, None),
    ("region", sa.String(length=2), None),
    ("source", sa.String(length=200), None),
    ("digest", sa.String(length=64), ""),
    ("created_by", sa.String(length=100), None),
    ("expires_at", UtcDateTime(), None),
    ("rows_read", sa.Integer(), "0"),
    ("invalid", sa.Integer(), "0"),
    ("duplicates", sa.Integer(), "0"),
    ("opted_out", sa.Integer(), "0"),
    ("parts", sa.BigInteger(), "0"),
    ("loaded_at", UtcDateTime(), None),
    ("swept_at", UtcDateTime(), None),
    ("paused_at", UtcDateTime(), None),
    ("paused_until", UtcDateTime(), None),
    ("paused_by", sa.String(length=100), None),
    ("pause_reason", sa.Text(), None),
    ("next_permit_at", UtcDateTime(), None),
    ("day", sa.String(length=10), None),
)
_SUMS = ("spent", "spent_that_day")
_GUARD_COLUMNS = (("campaign_id", Identifier()), ("amount", sa.BigInteger()), ("booked_on", sa.String(length=10)))


def upgrade() -> None:
    """Add columns, lanes and their index."""
    for name, kind, default in _CAMPAIGN_COLUMNS:
        column = sa.Column(name, kind, nullable=default is None, server_default=default)
        op.add_column("dispatcher_campaigns", column)
    for name in _SUMS:
        check = f"CONSTRAINT ck_dispatcher_campaigns_{name} CHECK ({name} >= 0)"
        op.execute(f"ALTER TABLE dispatcher_campaigns ADD COLUMN {name} BIGINT NOT NULL DEFAULT 0 {check}")
    op.create_index(
        "uq_dispatcher_campaigns_name",
        "dispatcher_campaigns",
        ["name"],
        unique=True,
        postgresql_where=sa.text("state <> 'cancelled'"),
        sqlite_where=sa.text("state <> 'cancelled'"),
    )
    op.create_table(
        "dispatcher_campaign_lanes",
        sa.Column("campaign_id", Identifier(), nullable=False),
        sa.Column("lane", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("zones", sa.Text(), nullable=False),
        sa.Column("opens_at", UtcDateTime(), nullable=True),
        sa.Column("closes_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["dispatcher_campaigns.id"],
            name=op.f("fk_dispatcher_campaign_lanes_campaign_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("campaign_id", "lane", name=op.f("pk_dispatcher_campaign_lanes")),
    )
    for name, guarded in _GUARD_COLUMNS:
        op.add_column("dispatcher_gift_guards", sa.Column(name, guarded, nullable=True))
    op.drop_index(_CLAIM, "dispatcher_messages")
    op.drop_index(_KEY, "dispatcher_messages")
    op.add_column("dispatcher_messages", sa.Column("lane", sa.SmallInteger(), server_default="0", nullable=False))
    _claim_index("campaign_id", "lane")
    op.create_index(
        _KEY,
        "dispatcher_messages",
        ["idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
        sqlite_where=sa.text("idempotency_key IS NOT NULL"),
    )


def downgrade() -> None:
    """Take them away again; campaigns' messages stay."""
    op.drop_index(_KEY, "dispatcher_messages")
    op.drop_index(_CLAIM, "dispatcher_messages")
    op.drop_column("dispatcher_messages", "lane")
    _claim_index("campaign_id")
    op.create_index(_KEY, "dispatcher_messages", ["idempotency_key"], unique=True)
    for name, _ in _GUARD_COLUMNS:
        op.drop_column("dispatcher_gift_guards", name)
    op.drop_table("dispatcher_campaign_lanes")
    op.drop_index("uq_dispatcher_campaigns_name", "dispatcher_campaigns")
    for name in (*_SUMS, *(name for name, _, _ in _CAMPAIGN_COLUMNS)):
        op.drop_column("dispatcher_campaigns", name)


def _claim_index(*campaign: str) -> None:
    op.create_index(
        _CLAIM,
        "dispatcher_messages",
        ["channel", "priority", *campaign, "due_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'queued'"),
        sqlite_where=sa.text("state = 'queued'"),
    )
