"""Rules for messages that are written in SQL: the database refuses what no reader can show and no worker can send.

Rows that break a rule already stay, and can be read; they are logged, so that somebody looks at them.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

from dispatcher.ledger.invariants import MESSAGES_0012, TABLE, removals, statements
from dispatcher.logs import get_logger

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

log = get_logger(__name__)
SHOWN = 5


def upgrade() -> None:
    """Say which rows break a rule, and refuse more of them."""
    connection = op.get_bind()
    dialect = connection.dialect.name
    for rule in MESSAGES_0012:
        broken = f"FROM {TABLE} WHERE NOT {rule.holds(dialect)}"  # the rules are constants
        found = connection.execute(text(f"SELECT count(*) {broken}")).scalar_one()
        if found:
            first = connection.execute(text(f"SELECT id {broken} ORDER BY id LIMIT {SHOWN}")).scalars().all()
            log.warning("unsound_rows", rule=rule.rule, rows=found, first=[str(each) for each in first])
    for statement in statements(dialect, MESSAGES_0012):
        connection.execute(text(statement))


def downgrade() -> None:
    """Take any row again."""
    connection = op.get_bind()
    for statement in removals(connection.dialect.name, MESSAGES_0012):
        connection.execute(text(statement))
