"""The ledger's own id: answers on a worker's disk belong to one ledger, and no other may take or remove them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import sqlalchemy as sa
from alembic import op

from dispatcher.ledger.types import Identifier, UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table with its one row."""
    ledger = op.create_table(
        "dispatcher_ledger",
        sa.Column("id", Identifier(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispatcher_ledger")),
    )
    op.bulk_insert(ledger, [{"id": uuid4(), "created_at": datetime.now(UTC)}])


def downgrade() -> None:
    """Drop it: another upgrade makes another id, so answers in a spool are for a ledger that is no more."""
    op.drop_table("dispatcher_ledger")
