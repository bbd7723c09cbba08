"""Data grows old: when a message was redacted, and how many rows of a campaign were removed, by state."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dispatcher.ledger.types import Json, UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both columns; empty, they cost no row anything."""
    op.add_column("dispatcher_messages", sa.Column("redacted_at", UtcDateTime(), nullable=True))
    op.add_column("dispatcher_campaigns", sa.Column("removed", Json, nullable=True))


def downgrade() -> None:
    """Take them away again. What was redacted stays so, and looks like a message to a strange number."""
    op.drop_column("dispatcher_campaigns", "removed")
    op.drop_column("dispatcher_messages", "redacted_at")
