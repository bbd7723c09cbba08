"""What a message drew of configuration answers, and the ids by which the provider finds a call again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dispatcher.ledger.types import Json

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both columns. Neither rewrites a row: the one has a constant default, the other is empty."""
    op.add_column(
        "dispatcher_messages",
        sa.Column("configuration_answers", sa.SmallInteger(), server_default="0", nullable=False),
    )
    op.add_column("dispatcher_attempts", sa.Column("request_ids", Json, nullable=True))


def downgrade() -> None:
    """Take them away again."""
    op.drop_column("dispatcher_attempts", "request_ids")
    op.drop_column("dispatcher_messages", "configuration_answers")
