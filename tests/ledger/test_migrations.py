"""Migrations: up, down and up again on both databases, and never apart from the models."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from dispatcher.domain.errors import LedgerOutdated, LedgerUnavailable
from dispatcher.ledger import HEAD, Books, MigrationWait, current, make_engine, migrate, require_head
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.schema import _config
from dispatcher.testing import FakeClock
from tests.making import gift, sms


def test_migrations_go_up_down_and_up_and_match_the_models(engine: Engine) -> None:
    assert current(engine) == HEAD
    migrate(engine, target="base")
    assert current(engine) is None
    migrate(engine)
    config = _config()
    with transaction(engine) as connection:
        config.attributes["connection"] = connection
        command.check(config)


def test_words_too_long_for_their_index_are_cut_when_it_comes(engine: Engine, books: Books, clock: FakeClock) -> None:
    migrate(engine, target="0004")
    books.enqueue([sms(clock.now())], source="test")
    dice = random.Random(1)
    words = "".join(chr(dice.randint(0x20000, 0x2A6DF)) for _ in range(2000))
    with transaction(engine) as connection:
        connection.execute(text("UPDATE dispatcher_messages SET state = 'dead', last_error = :words"), {"words": words})
    migrate(engine)
    with engine.connect() as connection:
        kept = connection.execute(text("SELECT last_error FROM dispatcher_messages")).scalar_one()
    assert kept == words[:500]


def test_a_gift_that_nobody_could_read_from_before_does_not_stand_in_the_way(
    engine: Engine, books: Books, clock: FakeClock
) -> None:
    migrate(engine, target="0006")
    message = gift(clock.now())
    books.enqueue([message], source="test")
    with transaction(engine) as connection:
        connection.execute(text("UPDATE dispatcher_messages SET gift = '{}'"))
    migrate(engine)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE dispatcher_messages SET state = 'expired'"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT state FROM dispatcher_messages")).scalar_one() == "expired"


def test_the_newest_revision_is_the_one_that_is_named() -> None:
    assert ScriptDirectory.from_config(_config()).get_current_head() == HEAD


def test_a_worker_does_not_load_alembic() -> None:
    program = "import sys, dispatcher.serving, dispatcher.cli; print('alembic' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_every_name_in_the_database_has_the_prefix(engine: Engine) -> None:
    tables = inspect(engine).get_table_names()
    assert "dispatcher_messages" in tables
    assert all(name.startswith("dispatcher_") for name in tables)


def test_workers_refuse_a_ledger_that_is_not_at_the_head(tmp_path: Path) -> None:
    empty = make_engine(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(LedgerOutdated, match=r"the ledger is empty.*dispatcher migrate"):
        require_head(empty)


def test_two_migrations_at_once_are_as_good_as_one(engine: Engine) -> None:
    migrate(engine, target="base")
    failures: list[Exception] = []

    def run() -> None:
        try:
            migrate(make_engine(engine.url.render_as_string(hide_password=False)))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert current(engine) == HEAD


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_a_migration_behind_an_open_transaction_holds_no_enqueue_up(engine: Engine, clock: FakeClock) -> None:
    """An enqueue waits behind whoever waits for the whole table: for a second, not for as long as that takes."""
    books, waits, slowest = Books(engine=engine), list[MigrationWait](), 0.0
    with engine.connect() as application:
        application.execute(text("SELECT count(*) FROM dispatcher_messages"))
        own = application.execute(text("SELECT pg_backend_pid()")).scalar()
        migration = threading.Thread(target=lambda: migrate(engine, target="0007", on_wait=waits.append))
        migration.start()
        ends = time.monotonic() + 3
        while time.monotonic() < ends:
            began = time.monotonic()
            books.enqueue([sms(clock.now())], source="test")
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.01)
        assert migration.is_alive()
    migration.join(timeout=20)
    assert not migration.is_alive()
    assert current(engine) == "0007"
    assert slowest < 2.5
    assert waits
    assert waits[0].holder is not None
    assert waits[0].holder.startswith(f"process {own} of PostgreSQL (dispatcher)")


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_a_migration_that_never_gets_its_tables_gives_up_and_says_who_has_them(engine: Engine) -> None:
    with engine.connect() as application:
        application.execute(text("SELECT count(*) FROM dispatcher_messages"))
        own = application.execute(text("SELECT pg_backend_pid()")).scalar()
        with pytest.raises(LedgerUnavailable, match=rf"at each of 2 tries; nothing was changed; process {own} of"):
            migrate(engine, target="0007", patience=timedelta(seconds=2.5))
    assert current(engine) == HEAD
