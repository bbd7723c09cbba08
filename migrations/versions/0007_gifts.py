"""The database refuses a gift that no worker could read, whoever writes it: a claim takes hundreds of rows at once.

Triggers look at what is written, where a constraint would also stand in the way of every later change of an older row.
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLE = "dispatcher_messages"
_NAME = f"ck_{_TABLE}_gift_content"
_EVENTS = ("INSERT", "UPDATE OF gift")
_REFUSED = "gift: wants sku, amount and currency as texts, the amount in digits, as in 25.00"
_POSTGRESQL = """
coalesce(
    jsonb_typeof(NEW.gift -> 'sku') = 'string' AND jsonb_typeof(NEW.gift -> 'currency') = 'string'
    AND jsonb_typeof(NEW.gift -> 'amount') = 'string' AND NEW.gift ->> 'amount' ~ '^[0-9]+([.][0-9]+)?$'
    AND coalesce(jsonb_typeof(NEW.gift -> 'note'), 'string') = 'string', false)
"""
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
        op.execute(
            f"CREATE FUNCTION {_NAME}() RETURNS trigger LANGUAGE plpgsql AS $$ "
            f"BEGIN RAISE EXCEPTION '{_REFUSED}' USING ERRCODE = 'check_violation'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {_NAME} BEFORE {' OR '.join(_EVENTS)} ON {_TABLE} FOR EACH ROW "
            f"WHEN (NEW.gift IS NOT NULL AND NOT {_POSTGRESQL}) EXECUTE FUNCTION {_NAME}()"
        )
        return
    for event in _EVENTS:
        op.execute(
            f"CREATE TRIGGER {_named(event)} BEFORE {event} ON {_TABLE} WHEN NEW.gift IS NOT NULL AND NOT {_SQLITE} "
            f"BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END"
        )


def downgrade() -> None:
    """Let anything pass again."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"DROP TRIGGER {_NAME} ON {_TABLE}")
        op.execute(f"DROP FUNCTION {_NAME}()")
        return
    for event in _EVENTS:
        op.execute(f"DROP TRIGGER {_named(event)}")


def _named(event: str) -> str:
    """Name a trigger of SQLite, which has one for each event."""
    return f"{_NAME}_{event.split(maxsplit=1)[0].lower()}"
