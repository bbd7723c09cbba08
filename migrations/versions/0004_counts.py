"""Counts that nobody has to wait for, by the clock and from indexes; and messages that a person has put right."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dispatcher.ledger.types import Json, UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLE = "dispatcher_messages"
_RARE = "state IN ('in_doubt', 'dead', 'expired', 'cancelled', 'suppressed', 'undelivered')"
_FAILURES = ["channel", "last_outcome", "last_status", "failure", "recipient", "campaign_id", "updated_at", "state"]
_CAMPAIGNS = (("counts", Json), ("counted_at", UtcDateTime()))


def upgrade() -> None:
    """Add them."""
    op.add_column(_TABLE, sa.Column("revision", sa.SmallInteger(), server_default="0", nullable=False))
    for name, kind in _CAMPAIGNS:
        op.add_column("dispatcher_campaigns", sa.Column(name, kind, nullable=True))
    _failures([*_FAILURES, "last_code", "doubtful_sends", "calls_made", "id"])
    _index("campaign", ["campaign_id", "state", "id"], f"{_RARE} AND campaign_id IS NOT NULL")
    _index("discarded", ["id"], "discarded_at IS NOT NULL")
    op.drop_index("ix_dispatcher_messages_operation_id", _TABLE)
    _index("operation_id", ["operation_id", "state"], "operation_id IS NOT NULL")


def downgrade() -> None:
    """Take them away again."""
    op.drop_index("ix_dispatcher_messages_operation_id", _TABLE)
    _index("operation_id", ["operation_id"], "operation_id IS NOT NULL")
    op.drop_index("ix_dispatcher_messages_discarded", _TABLE)
    op.drop_index("ix_dispatcher_messages_campaign", _TABLE)
    _failures(_FAILURES)
    op.drop_column(_TABLE, "revision")
    for name, _ in reversed(_CAMPAIGNS):
        op.drop_column("dispatcher_campaigns", name)


def _failures(columns: list[str]) -> None:
    op.drop_index("ix_dispatcher_messages_failures", _TABLE)
    _index("failures", columns, "state IN ('dead', 'expired') AND discarded_at IS NULL")


def _index(name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(
        f"ix_dispatcher_messages_{name}",
        _TABLE,
        columns,
        unique=False,
        postgresql_where=condition,
        sqlite_where=condition,
    )
