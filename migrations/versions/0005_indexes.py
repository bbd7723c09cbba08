"""Words are searched in an index, not in the rows; and nobody takes the index of expiries for that of claims."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLE = "dispatcher_messages"
_RARE = "state IN ('in_doubt', 'dead', 'expired', 'cancelled', 'suppressed', 'undelivered')"
_LONGEST = 500


def upgrade() -> None:
    """Let one index have the words, cut to what fits into it; ask more of who would use the other."""
    words = sa.column("last_error", sa.Text())
    op.execute(
        sa.update(sa.table(_TABLE, words))
        .where(sa.func.length(words) > _LONGEST)
        .values(last_error=sa.func.substr(words, 1, _LONGEST))
    )
    _replace("rare", ["state", "id", "last_error", "discarded_at"], _RARE)
    _replace("expiry", ["expires_at"], "state = 'queued' AND max_attempts > 0")


def downgrade() -> None:
    """Put both back."""
    _replace("expiry", ["expires_at"], "state = 'queued'")
    _replace("rare", ["state", "id"], _RARE)


def _replace(name: str, columns: list[str], where: str) -> None:
    index, condition = f"ix_{_TABLE}_{name}", sa.text(where)
    op.drop_index(index, _TABLE)
    op.create_index(index, _TABLE, columns, unique=False, postgresql_where=condition, sqlite_where=condition)
