"""Connections to PostgreSQL that broke while they rested are found out before they are used."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from dispatcher.domain.errors import LedgerUnavailable
from dispatcher.ledger import Books, make_engine
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.postgresql import TRUSTED_S
from dispatcher.testing import FakeClock
from tests.making import sms


@pytest.fixture
def on_postgres(fresh_postgres: str) -> Iterator[Engine]:
    """Return an engine on a PostgreSQL ledger, two of whose connections rest in its pool."""
    engine = make_engine(fresh_postgres)
    with engine.connect(), engine.connect():
        pass
    yield engine
    engine.dispose()


def break_all(engine: Engine) -> None:
    """Do to its connections what a restart of the server does."""
    other = make_engine(engine.url.render_as_string(hide_password=False))
    with other.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        )
    other.dispose()


def test_a_restart_while_connections_rest_costs_nobody_an_error(on_postgres: Engine, clock: FakeClock) -> None:
    books = Books(engine=on_postgres)
    break_all(on_postgres)
    time.sleep(TRUSTED_S)
    for n in range(3):
        books.enqueue([sms(clock.now(), f"text {n}")], source="test")


def test_one_that_breaks_in_the_middle_of_work_is_one_error_and_no_more(on_postgres: Engine, clock: FakeClock) -> None:
    books = Books(engine=on_postgres)

    def work() -> None:
        with transaction(on_postgres) as connection:
            break_all(on_postgres)
            connection.execute(text("SELECT 1"))

    with pytest.raises(LedgerUnavailable):
        work()
    time.sleep(TRUSTED_S)
    books.enqueue([sms(clock.now())], source="test")
