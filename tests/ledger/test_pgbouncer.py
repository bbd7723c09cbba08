"""The ledger behind PgBouncer in transaction mode: each transaction of a connection may meet another session."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from dispatcher.ledger import Books, LedgerClock, SqlLedger, current, make_engine, migrate
from dispatcher.ledger.schema import HEAD
from dispatcher.testing import ACCEPTED, FakeClock
from tests.campaigns.making import campaigns_on, rows
from tests.making import settled, sms, wish
from tests.servers import free_port

SESSIONS = 2
CONFIGURATION = """
[databases]
{name} = host={host} port={port} user={user} dbname={name}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
logfile = {folder}/log
"""


@pytest.fixture
def pooled(fresh_postgres: str, pgbouncer: str) -> Iterator[str]:
    """Return the URL of a ledger behind PgBouncer, which has two sessions for all of its clients."""
    url, listen = make_url(fresh_postgres), free_port()
    folder = Path(tempfile.mkdtemp(prefix="dispatcher-pgbouncer-"))
    folder.chmod(0o777)  # it refuses to run as root
    file = folder / "pgbouncer.ini"
    host, port = url.query.get("host") or url.host, url.port or 5432
    settings = {"name": url.database, "host": host, "port": port, "user": url.username, "listen": listen}
    file.write_text(CONFIGURATION.format(**settings, folder=folder, sessions=SESSIONS))
    # Whoever runs PostgreSQL may enter the folder of its socket.
    who = ["-u", Path(str(host)).owner()] if os.getuid() == 0 else []
    process = subprocess.Popen([pgbouncer, "-q", *who, str(file)])
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", listen)).close()
            break
        except OSError:
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.02)
    try:
        yield f"postgresql+psycopg://{url.username}@127.0.0.1:{listen}/{url.database}"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder)


def test_work_of_many_clients_on_few_sessions(pooled: str) -> None:
    engines = [make_engine(pooled, pool_size=2) for _ in range(3)]
    other = create_engine(pooled, connect_args={"prepare_threshold": None})
    done = 0
    for turn in range(36):  # no connection rests, so that none is tested and replaced
        Books(engine=engines[turn % 3]).enqueue([sms(datetime.now(UTC), f"at once {turn}")], source="test")
    for turn in range(12):
        for engine in engines:
            with other.connect() as busy:
                if turn % 2:  # so that the next transaction meets the other session
                    busy.execute(text("SELECT 1"))
                books, ledger, clock = Books(engine=engine), SqlLedger.on(engine), LedgerClock(engine)
                clock.synchronise()
                now = clock.now()
                books.enqueue([sms(now, f"{turn} {n}", bulk=n % 2 == 0) for n in range(4)], source="test")
                taken = ledger.claim(wish(now, count=4, bulk=2)).messages
                done += len(ledger.settle([settled(message, ACCEPTED, now) for message in taken]))
                ledger.lost_leases(now=now, limit=10)
                ledger.expire(now=now, limit=10)
                ledger.advance(now=now)
                ledger.due(now=now)
                ledger.oldest_transaction()
    assert done == 12 * len(engines) * 4  # the oldest of all that were enqueued
    for engine in (*engines, other):
        engine.dispose()


def test_a_campaign_goes_through(pooled: str, tmp_path: Path) -> None:
    engine, clock = make_engine(pooled), FakeClock()
    made = campaigns_on(engine, clock).create(rows(30), name="spring", template="Hi {first_name}")
    assert made.campaign.total == 30
    campaigns_on(engine, clock).start("spring")
    ledger, taken = SqlLedger.on(engine), 0
    for _ in range(10):
        with engine.connect() as busy:
            busy.execute(text("SELECT 1"))
            ledger.advance(now=clock.now())
            messages = ledger.claim(wish(clock.now(), count=5, bulk=5)).messages
        taken += len(ledger.settle([settled(message, ACCEPTED, clock.now()) for message in messages]))
    engine.dispose()
    assert taken == 30


def test_each_transaction_has_our_settings_and_others_keep_theirs(pooled: str, fresh_postgres: str) -> None:
    direct = make_engine(fresh_postgres)
    with direct.begin() as connection:
        connection.execute(text(f"ALTER DATABASE {make_url(fresh_postgres).database} SET datestyle = 'SQL, DMY'"))
        connection.execute(
            text(f"ALTER DATABASE {make_url(fresh_postgres).database} SET timezone = 'Australia/Sydney'")
        )
        connection.execute(text(f"ALTER DATABASE {make_url(fresh_postgres).database} SET synchronous_commit = off"))
    ours = make_engine(pooled)
    theirs = create_engine(pooled, connect_args={"prepare_threshold": None})
    shown = text("SELECT current_setting('datestyle') || current_setting('random_page_cost')")
    bounded = text(
        "SELECT concat_ws(' ', current_setting('synchronous_commit'), current_setting('statement_timeout'), "
        "current_setting('lock_timeout'))"
    )
    try:
        with ours.connect() as one, ours.connect() as other:  # both sessions of the pool
            assert {one.execute(shown).scalar(), other.execute(shown).scalar()} == {"ISO, DMY1.1"}
            assert {one.execute(bounded).scalar(), other.execute(bounded).scalar()} == {"on 10s 3s"}
        with theirs.connect() as one, theirs.connect() as other:
            assert {str(each.execute(shown).scalar())[-1] for each in (one, other)} == {"4"}
        now = LedgerClock(ours)
        now.synchronise()
        Books(engine=ours).enqueue([sms(now.now())], source="test")
    finally:
        with direct.begin() as connection:
            connection.execute(text(f"ALTER DATABASE {make_url(fresh_postgres).database} RESET ALL"))
        for engine in (ours, theirs, direct):
            engine.dispose()


def test_migrate_goes_down_and_up(pooled: str) -> None:
    engine = make_engine(pooled)
    migrate(engine, target="0011")
    migrate(engine)
    assert current(engine) == HEAD
    engine.dispose()
