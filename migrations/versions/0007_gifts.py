"""The database refuses a gift that no worker could read, whoever writes it: a claim takes hundreds of rows at once."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLE = "dispatcher_messages"
_REFUSED = "gift: wants sku, amount and currency as texts, the amount in digits, as in 25.00"
_POSTGRESQL = """
gift IS NULL OR coalesce(
    jsonb_typeof(gift -> 'sku') = 'string' AND jsonb_typeof(gift -> 'currency') = 'string'
    AND jsonb_typeof(gift -> 'amount') = 'string' AND gift ->> 'amount' ~ '^[0-9]+([.][0-9]+)?$'
    AND coalesce(jsonb_typeof(gift -> 'note'), 'string') = 'string', false)
"""
# SQLite adds no constraint to a table that is there, short of copying it, and knows no regular expression.
_SQLITE = """
coalesce(
    json_type(NEW.gift, '$.sku') = 'text' AND json_type(NEW.gift, '$.currency') = 'text'
    AND json_type(NEW.gift, '$.amount') = 'text' AND json_extract(NEW.gift, '$.amount') GLOB '[0-9]*'
    AND json_extract(NEW.gift, '$.amount') GLOB '*[0-9]'
    AND json_extract(NEW.gift, '$.amount') NOT GLOB '*[^0-9.]*'
    AND json_extract(NEW.gift, '$.amount') NOT GLOB '*.*.*'
    AND coalesce(json_type(NEW.gift, '$.note'), 'text') = 'text', 0)
"""


def upgrade() -> None:
    """Look at what is written from now on. Rows that are there are not read through, and nothing waits for that."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE {_TABLE} ADD CONSTRAINT ck_{_TABLE}_gift_content CHECK ({_POSTGRESQL}) NOT VALID")
        return
    for event in ("INSERT", "UPDATE OF gift"):
        op.execute(
            f"CREATE TRIGGER {_name(event)} BEFORE {event} ON {_TABLE} WHEN NEW.gift IS NOT NULL AND NOT {_SQLITE} "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
        )


def downgrade() -> None:
    """Let anything pass again."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE {_TABLE} DROP CONSTRAINT ck_{_TABLE}_gift_content")
        return
    for event in ("INSERT", "UPDATE OF gift"):
        op.execute(f"DROP TRIGGER {_name(event)}")


def _name(event: str) -> str:
    return f"ck_{_TABLE}_gift_content_{event.split(maxsplit=1)[0].lower()}"
