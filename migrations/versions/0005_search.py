"""A text is searched in the index of what went wrong, not in the rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLE = "dispatcher_messages"
_NAME = "ix_dispatcher_messages_rare"
_RARE = "state IN ('in_doubt', 'dead', 'expired', 'cancelled', 'suppressed', 'undelivered')"
_LONGEST = 500


def upgrade() -> None:
    """Let the index have the words; cut those that would not fit into it."""
    words = sa.column("last_error", sa.Text())
    op.execute(
        sa.update(sa.table(_TABLE, words))
        .where(sa.func.length(words) > _LONGEST)
        .values(last_error=sa.func.substr(words, 1, _LONGEST))
    )
    _replace(["state", "id", "last_error", "discarded_at"])


def downgrade() -> None:
    """Take them out again."""
    _replace(["state", "id"])


def _replace(columns: list[str]) -> None:
    condition = sa.text(_RARE)
    op.drop_index(_NAME, _TABLE)
    op.create_index(_NAME, _TABLE, columns, unique=False, postgresql_where=condition, sqlite_where=condition)
