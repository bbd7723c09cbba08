"""The SQL roles of docs/deploying.md: each does all of its work on a real server, and the server refuses the rest."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import Engine, insert, inspect, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from dispatcher import Dispatcher, Gift, IdempotencyConflict, Sms
from dispatcher.domain.operation import Deed, Stage
from dispatcher.domain.recipient import Recipient
from dispatcher.domain.state import CampaignState, State
from dispatcher.ledger import Books, CampaignBooks, InspectionBooks, make_engine, migrate
from dispatcher.ledger.tables import MESSAGES
from dispatcher.settings import load_settings
from dispatcher.wiring import Services
from tests.campaigns.making import numbers
from tests.ledgers import Postgres
from tests.making import NUMBER, row, sms
from tests.security.conftest import Start
from tests.security.roles import Roles, documented_roles, rights
from tests.web.conftest import serve

TABLE = "dispatcher_messages"
ANOTHER = "+61491570157"
SEEN = {"id", "state", "idempotency_key", "fingerprint"}
REFUSED = [
    *(f"SELECT {column} FROM {TABLE}" for column in ("*", "recipient", "body", "gift", "tags", "provider_id")),
    f"SELECT id FROM {TABLE} WHERE recipient = 'x'",
    f"SELECT id FROM {TABLE} ORDER BY body",
    f"SELECT id FROM {TABLE} FOR UPDATE",
    f"UPDATE {TABLE} SET state = 'cancelled'",
    f"DELETE FROM {TABLE}",
    f"TRUNCATE {TABLE} CASCADE",
    f"INSERT INTO {TABLE} SELECT * FROM {TABLE}",
    f"INSERT INTO {TABLE} (id) VALUES (gen_random_uuid()) ON CONFLICT (id) DO UPDATE SET body = 'x'",
    f"INSERT INTO {TABLE} (id) VALUES (gen_random_uuid()) RETURNING recipient",
    f"ALTER TABLE {TABLE} DROP COLUMN body",
    f"COPY {TABLE} TO STDOUT",
    f"COPY {TABLE} FROM PROGRAM 'true'",
    "CREATE TABLE mine (id int)",
    "SELECT pg_read_file('/etc/hostname')",
    "SET ROLE dispatcher_runtime",
    "SET ROLE dispatcher_owner",
    *(
        statement
        for table in (
            *("alembic_version", "attempts", "gift_guards", "channels", "campaigns", "campaign_lanes"),
            *("suppressions", "minutes", "operations", "audit"),
        )
        for statement in (f"SELECT * FROM dispatcher_{table}", f"DELETE FROM dispatcher_{table}")
    ),
]


@pytest.fixture
def roles(fresh_postgres: str) -> Iterator[Roles]:
    """Return a migrated ledger with the page's roles."""
    with documented_roles(fresh_postgres) as found:
        yield found


@pytest.fixture
def admin(fresh_postgres: str) -> Iterator[Engine]:
    engine = make_engine(fresh_postgres)
    yield engine
    engine.dispose()


class TestAProducer:
    """Enqueues, and sees of others' messages only what a repeated key is compared with."""

    @pytest.fixture
    def client(self, roles: Roles, valkey: str) -> Iterator[Dispatcher]:
        with Dispatcher.from_env(ledger_url=roles.url("dispatcher_producer"), redis_url=valkey) as client:
            yield client

    def test_does_all_that_enqueueing_is(self, client: Dispatcher, roles: Roles, admin: Engine) -> None:
        first = client.send_sms(NUMBER, "hello", idempotency_key="a")
        assert client.send_sms(NUMBER, "hello", idempotency_key="a").id == first.id
        with pytest.raises(IdempotencyConflict):
            client.send_sms(NUMBER, "other", idempotency_key="a")
        client.send_gift(NUMBER, sku="A", amount="5", currency="AUD", idempotency_key="g", tags=["x"])
        later = datetime.now(UTC) + timedelta(hours=1)
        many = client.send_many(
            [
                Sms(recipient=NUMBER, body="one", due_at=later),
                Sms(recipient=NUMBER, body="hello", idempotency_key="a"),
                Gift(recipient=NUMBER, sku="A", amount="5", currency="AUD", idempotency_key="g"),
            ]
        )
        assert [each.duplicate for each in many] == [False, True, True]
        with roles.engine("dispatcher_producer") as engine, Session(engine) as session:
            client.send_sms(NUMBER, "lost", session=session)
            session.rollback()
            kept = client.send_sms(NUMBER, "kept", session=session)
            assert client.send_sms(NUMBER, "hello", idempotency_key="a", session=session).duplicate
            session.commit()
        with admin.connect() as connection:
            found = connection.execute(text(f"SELECT id, body FROM {TABLE} ORDER BY id")).all()
        assert [each.body for each in found] == ["hello", None, "one", "kept"]
        assert found[-1].id == kept.id

    def test_has_these_rights_and_no_others(self, roles: Roles, admin: Engine) -> None:
        with admin.connect() as connection:
            found = rights(connection, "dispatcher_producer")
        reads = {(TABLE, column, "SELECT") for column in SEEN}
        assert {each for each in found if each[2] != "INSERT"} == reads
        written = {column for table, column, may in found if may == "INSERT"}
        assert {table for table, _, _ in found} == {TABLE}
        assert not written & {"lease_token", "provider_id", "accepted_at", "attempts_made", "operation_id"}

    def test_is_refused_everything_else_by_the_database(self, roles: Roles) -> None:
        with roles.engine("dispatcher_producer") as engine, engine.connect() as connection:
            for statement in REFUSED:
                with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
                    print(connection.exec_driver_sql(statement).all(), statement)
                connection.rollback()

    def test_is_refused_to_read_or_call_off_a_message_without_telling_it(self, client: Dispatcher) -> None:
        receipt = client.send_sms(NUMBER, "the parcel is under the flowerpot")
        for refused in (client.message, client.cancel):
            with pytest.raises(ProgrammingError, match="permission denied") as error:
                refused(receipt.id)
            assert NUMBER not in str(error.value)
            assert "flowerpot" not in str(error.value)


def test_the_working_role_can_neither_delete_history_nor_change_a_table(roles: Roles, admin: Engine) -> None:
    with admin.connect() as connection:
        found = rights(connection, "dispatcher_runtime")
    assert not {(table, may) for table, _, may in found if may in ("TRUNCATE", "TRIGGER", "REFERENCES")}
    may_delete = {table.removeprefix("dispatcher_") for table, _, may in found if may == "DELETE"}
    assert may_delete == {
        "campaigns",
        "campaign_lanes",
        "minutes",
        "gift_guards",
        "suppressions",
        "enqueued_ids",
        "web_sign_outs",
    }
    may_change = {table.removeprefix("dispatcher_") for table, _, may in found if may == "UPDATE"}
    assert not may_change & {"attempts", "audit", "gift_guards", "suppressions", "alembic_version"}
    with roles.engine("dispatcher_runtime") as engine, engine.connect() as connection:
        for statement in (
            "DROP TABLE dispatcher_audit",
            "CREATE TABLE mine (id int)",
            "UPDATE dispatcher_audit SET actor = 'x'",
        ):
            with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
                connection.exec_driver_sql(statement)
            connection.rollback()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_worker_and_clock_go_their_whole_way_in_the_working_role(roles: Roles, start: Start) -> None:
    """Claims, settles, sweeps, expiry, campaigns, bulk operations and pauses, on real processes."""
    system = start(roles.url("dispatcher_runtime"), LEASE_SECONDS="7", READ_TIMEOUT="1")
    worker, _ = system.worker(), system.clock()
    system.wait_ready()
    soon = datetime.now(UTC) + timedelta(seconds=1)
    system.sandbox.fault(path="/sendSMS", action="status", status=422, times=20)
    with system.client() as client:
        dead = client.send_many(Sms(recipient=NUMBER, body=f"dead {n}") for n in range(20))
        system.wait_until(lambda: system.counts()[State.DEAD] == len(dead))
        system.sandbox.clear_faults()
        # A worker dies with calls in flight: the sweep finds what it held.
        system.sandbox.fault(path="*", action="hang", hang_s=5, times=4)
        client.send_gift(NUMBER, sku="A", amount="5", currency="AUD", idempotency_key="g")
        client.send_sms(NUMBER, "in flight")
        system.wait_until(lambda: system.counts()[State.SENDING] == 2)
        system.kill(worker)
        system.sandbox.clear_faults()
        system.worker()
        never = client.send_sms(
            NUMBER, "too late", due_at=soon + timedelta(seconds=60), expires_at=soon + timedelta(seconds=61)
        )
        campaign = client.campaigns.create(numbers(5), name="spring", template="Hi", window="00:00-24:00").campaign
        client.campaigns.start(campaign.id)
        client.cancel(never.id, reason="called off")
        late = client.send_sms(NUMBER, "late", due_at=soon, expires_at=soon + timedelta(seconds=2))
        for words in (
            ("channel", "pause", "sms", "--reason", "wait"),
            ("channel", "pause", "gift", "--reason", "wait"),
        ):
            assert system.start(*words).wait(timeout=20) == 0, system.logs()
        campaigns = CampaignBooks(engine=system.books.engine)
        system.wait_until(lambda: client.message(late.id).state is State.EXPIRED)
        replay = system.start("dead", "replay", "--all", "--reason", "mended", "--yes")
        assert replay.wait(timeout=20) == 0, system.logs()
        for name in ("sms", "gift"):
            assert system.start("channel", "resume", name).wait(timeout=20) == 0, system.logs()
        system.wait_until(lambda: system.counts()[State.ACCEPTED] >= len(dead) + 5 + 1)
        system.wait_until(lambda: campaigns.find(campaign.id).state is CampaignState.FINISHED)
        system.wait_until(lambda: system.counts()[State.IN_DOUBT] == 1)
    (operation,) = InspectionBooks(engine=system.books.engine).operations(limit=5)
    assert (operation.kind, operation.state, operation.done) == (Deed.REPLAY, Stage.DONE, len(dead) + 1)
    assert "permission denied" not in "".join(log.read_text() for log in system.folder.glob("*.log"))


def test_a_role_that_only_reads_is_enough_for_status_lists_and_pages(
    roles: Roles, admin: Engine, valkey: str, tmp_path: Path
) -> None:
    with admin.begin() as connection:
        message = replace(sms(datetime.now(UTC), "hello"), recipient=Recipient(ANOTHER))
        connection.execute(insert(MESSAGES).values(row(message)))
        assert {may for _, _, may in rights(connection, "dispatcher_reader")} == {"SELECT"}
        content = {"recipient", "body", "gift", "idempotency_key", "fingerprint", "last_error", "tags", "provider_id"}
        seen = rights(connection, "dispatcher_dashboard")
        assert {may for _, _, may in seen} == {"SELECT"}
        assert not content & {column for table, column, _ in seen if table == TABLE}
    settings = load_settings(ledger_url=roles.url("dispatcher_reader"), redis_url=valkey, home=tmp_path)
    with roles.engine("dispatcher_reader") as engine:
        assert Books(engine=engine).tallies()
    for url in serve(Services(settings)):
        for path in (
            *("/", "/messages", f"/messages/{message.id}", "/dead", "/in-doubt", "/campaigns", "/operations", "/audit"),
            *("/metrics", "/healthz"),
        ):
            answer = requests.get(url + path, timeout=10)
            assert answer.status_code == 200, (path, answer.text[:500])
            assert ANOTHER not in answer.text


def test_the_owner_migrates_up_and_down_and_nobody_else_does(postgres: Postgres) -> None:
    name = f"owned_{os.getpid()}_{time.monotonic_ns()}"
    admin = make_engine(postgres.url)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template"))
        try:
            with documented_roles(postgres.database(name)) as roles:
                _migrate_in_turn(roles, postgres.database(name))
        finally:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def _migrate_in_turn(roles: Roles, url: str) -> None:
    maker = make_engine(url)
    migrate(maker, target="base")
    with maker.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS dispatcher_alembic_version"))
    maker.dispose()
    for role in ("dispatcher_runtime", "dispatcher_producer", "dispatcher_reader"):
        with roles.engine(role) as engine, pytest.raises(ProgrammingError, match="permission denied"):
            migrate(engine)
    with roles.engine("dispatcher_owner") as engine:
        migrate(engine)
        migrate(engine, target="base")
        migrate(engine)
        assert TABLE in inspect(engine).get_table_names()
