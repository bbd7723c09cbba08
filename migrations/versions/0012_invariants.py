"""Rules for messages that are written in SQL: the database refuses what no reader can show and no worker can send.

Rows that break a rule already stay, and can be read; they are logged, so that somebody looks at them.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

from dispatcher.ledger.invariants import MESSAGES_0012, removals, report_unsound, statements

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Say which rows break a rule, and refuse more of them."""
    connection = op.get_bind()
    report_unsound(connection, MESSAGES_0012)
    for statement in statements(connection.dialect.name, MESSAGES_0012):
        connection.execute(text(statement))


def downgrade() -> None:
    """Take any row again."""
    connection = op.get_bind()
    for statement in removals(connection.dialect.name, MESSAGES_0012):
        connection.execute(text(statement))
