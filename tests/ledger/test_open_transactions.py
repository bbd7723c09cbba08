"""The oldest open transaction of anybody is reported: which application, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from typer.testing import CliRunner

from dispatcher.cli.app import app
from dispatcher.ledger import SqlLedger, make_engine

ROLE = "analyst_of_nothing"


@pytest.fixture
def holder(fresh_postgres: str) -> Iterator[Engine]:
    """Return an engine of another application in the ledger's database."""
    engine = create_engine(
        fresh_postgres, connect_args={"application_name": "pg_dump"}, isolation_level="REPEATABLE READ"
    )
    yield engine
    engine.dispose()


def test_on_sqlite_and_without_one_there_is_none(ledger: SqlLedger) -> None:
    assert ledger.oldest_transaction() is None


def test_the_application_and_the_time_are_told(fresh_postgres: str, holder: Engine) -> None:
    ledger = SqlLedger.open(fresh_postgres)
    with holder.connect() as connection:
        connection.execute(text("SELECT count(*) FROM dispatcher_messages"))
        oldest = ledger.oldest_transaction()
    ledger.close()
    assert oldest is not None
    assert (oldest.application, oldest.exact, oldest.is_long) == ("pg_dump", True, False)
    assert oldest.open_for is not None
    assert timedelta(0) <= oldest.open_for < timedelta(minutes=1)


def test_a_role_without_rights_sees_the_application_and_at_least_how_long(fresh_postgres: str, holder: Engine) -> None:
    owner = make_engine(fresh_postgres)
    with owner.begin() as connection:
        connection.execute(text(f"DROP ROLE IF EXISTS {ROLE}"))
        connection.execute(text(f"CREATE ROLE {ROLE} LOGIN"))
        connection.execute(text(f"GRANT SELECT ON dispatcher_minutes TO {ROLE}"))
    ledger = SqlLedger.open(make_url(fresh_postgres).set(username=ROLE, password=None).render_as_string(False))
    try:
        with holder.connect() as connection:
            connection.execute(text("SELECT count(*) FROM dispatcher_messages"))
            unknown = ledger.oldest_transaction()
            with owner.begin() as counting:  # calls of an hour ago, counted since the transaction began
                counting.execute(
                    text(
                        "INSERT INTO dispatcher_minutes SELECT to_char((now() AT TIME ZONE 'UTC') - interval '1 hour',"
                        """ 'YYYY-MM-DD"T"HH24:MI'), 'sms', 'accepted', 'w', 1, 1, 1, 0, 0, 0, 0, 0, 0"""
                    )
                )
            known = ledger.oldest_transaction()
    finally:
        ledger.close()
        with owner.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {ROLE}"))
            connection.execute(text(f"DROP ROLE {ROLE}"))
        owner.dispose()
    assert unknown is not None
    assert known is not None
    assert (unknown.application, unknown.open_for) == ("pg_dump", None)
    assert (known.application, known.exact, known.is_long) == ("pg_dump", False, True)
    assert known.open_for is not None
    assert timedelta(minutes=58) < known.open_for <= timedelta(hours=1)


def test_check_names_it(fresh_postgres: str, holder: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DISPATCHER_LEDGER_URL", fresh_postgres)
    monkeypatch.setenv("DISPATCHER_HOME", str(tmp_path))
    monkeypatch.setattr("dispatcher.ledger.open_transactions.LONG", timedelta(0))
    with holder.connect() as connection:
        connection.execute(text("SELECT count(*) FROM dispatcher_messages"))
        told = " ".join(CliRunner().invoke(app, ["check", "--without-api"]).output.split())
    assert "the oldest is of pg_dump (process" in told
    assert "pg_terminate_backend" in told
