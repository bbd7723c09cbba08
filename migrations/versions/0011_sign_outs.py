"""Sessions of the pages that were signed out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from dispatcher.ledger.types import UtcDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create their table."""
    op.create_table(
        "dispatcher_web_sign_outs",
        sa.Column("session", sa.String(32), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=False),
        sa.Column("forget_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("session", name=op.f("pk_dispatcher_web_sign_outs")),
    )


def downgrade() -> None:
    """Drop it: whoever signed out less than 12 hours ago has a valid cookie again."""
    op.drop_table("dispatcher_web_sign_outs")
