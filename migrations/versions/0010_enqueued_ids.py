"""The ids of messages that came through the broker, remembered for longer than their encrypted texts are valid."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dispatcher.ledger.types import Identifier, UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; it begins empty."""
    op.create_table(
        "dispatcher_enqueued_ids",
        sa.Column("message_id", Identifier(), nullable=False),
        sa.Column("remembered_until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_dispatcher_enqueued_ids")),
    )


def downgrade() -> None:
    """Drop it: a text that is published again after its message was removed is then taken again."""
    op.drop_table("dispatcher_enqueued_ids")
