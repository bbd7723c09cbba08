"""The pool of databases: a test finds what the migration left, whatever the test before it did."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from dispatcher.ledger import make_engine
from tests.ledgers import Postgres

ROWS = "SELECT (SELECT count(*) FROM dispatcher_messages), (SELECT count(*) FROM dispatcher_channels)"
CHANGES = {
    "rows": ("UPDATE dispatcher_channels SET channel = channel; DELETE FROM dispatcher_channels", True),
    "a column": ("ALTER TABLE dispatcher_messages ADD COLUMN more integer", False),
    "a trigger": ("ALTER TABLE dispatcher_messages DISABLE TRIGGER ALL", False),
    "rights": ("GRANT SELECT ON dispatcher_messages TO PUBLIC", False),
    "connections": ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()", False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_database_is_reused_only_if_rows_are_all_that_changed(postgres: Postgres, change: str) -> None:
    statements, reused = CHANGES[change]
    with postgres.ledger() as first:
        engine = make_engine(first)
        with engine.begin() as connection:
            before = connection.execute(text(ROWS)).one()
            for statement in statements.split("; "):
                connection.execute(text(statement))
        engine.dispose()
    with postgres.ledger() as second:
        assert (second == first) is reused
        engine = make_engine(second)
        with engine.begin() as connection:
            assert connection.execute(text(ROWS)).one() == before
        engine.dispose()
