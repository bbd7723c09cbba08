"""How PostgreSQL goes about what is done all the time, whatever its statistics believe: never by all that is queued."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from dispatcher.domain.message import Channel
from dispatcher.ledger import SqlLedger, make_engine
from dispatcher.testing import ACCEPTED
from tests.making import settled, wish

MANY = 5000
BURST = text(
    """
    INSERT INTO dispatcher_messages (id, channel, priority, state, recipient, body, fingerprint, tags, source, due_at,
        expires_at, max_attempts, created_at, updated_at)
    SELECT gen_random_uuid(), 'sms', 'bulk', 'queued', '+614' || lpad(CAST(n AS text), 8, '0'), 'Hello',
        md5(CAST(n AS text)) || md5(CAST(n AS text)), '[]', 'test', now(), now() + interval '3 days', 5, now(), now()
    FROM generate_series(1, :many) n
    """
)


@pytest.fixture(params=["statistics that know", "statistics from before the burst", "no statistics"])
def burst(fresh_postgres: str, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Return a ledger into which a burst has just come."""
    engine = make_engine(fresh_postgres)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ALTER TABLE dispatcher_messages SET (autovacuum_enabled = false)"))
        if request.param == "statistics from before the burst":
            connection.execute(BURST, {"many": MANY})
            connection.execute(text("UPDATE dispatcher_messages SET state = 'accepted'"))
            connection.execute(text("VACUUM ANALYZE dispatcher_messages"))
            connection.execute(text("DELETE FROM dispatcher_messages"))
        connection.execute(BURST, {"many": MANY})
        if request.param == "statistics that know":
            connection.execute(text("VACUUM ANALYZE dispatcher_messages"))
    yield engine
    engine.dispose()


def plans(engine: Engine, work: Callable[[], object]) -> str:
    """Return how PostgreSQL would go about all the statements of a piece of work that have to do with messages."""
    found: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, given: Any, *_: object) -> None:
        if "dispatcher_messages" in statement:
            cursor.execute("EXPLAIN " + statement, given)
            found.extend(row[0] for row in cursor.fetchall())

    event.listen(engine, "before_cursor_execute", explain)
    try:
        work()
    finally:
        event.remove(engine, "before_cursor_execute", explain)
    assert found, "nothing was asked"
    return "\n".join(found)


def sorted_messages(plan: str) -> list[str]:
    """Return where messages are sorted; campaigns may be, there are few."""
    return [line for line in plan.splitlines() if "Sort Key" in line and "dispatcher_messages" in line]


def test_a_claim_goes_by_its_own_index_and_sorts_nothing(burst: Engine) -> None:
    ledger = SqlLedger.on(burst)
    plan = plans(burst, lambda: ledger.claim(wish(datetime.now(UTC), bulk_limit=100)))
    assert "ix_dispatcher_messages_claim" in plan
    assert not sorted_messages(plan)
    assert "ix_dispatcher_messages_expiry" not in plan
    assert "Seq Scan on dispatcher_messages" not in plan


def test_the_clock_finds_the_first_that_is_due_without_sorting(burst: Engine) -> None:
    plan = plans(burst, lambda: SqlLedger.on(burst).due(now=datetime.now(UTC)))
    assert "ix_dispatcher_messages_claim" in plan
    assert not sorted_messages(plan)
    assert "Seq Scan on dispatcher_messages" not in plan


def test_what_is_over_is_found_by_the_index_of_expiries(burst: Engine) -> None:
    plan = plans(burst, lambda: SqlLedger.on(burst).expire(now=datetime.now(UTC), limit=500))
    assert "ix_dispatcher_messages_expiry" in plan
    assert not sorted_messages(plan)


def test_a_settlement_finds_its_messages_by_their_ids(burst: Engine) -> None:
    ledger, now = SqlLedger.on(burst), datetime.now(UTC)
    claimed = ledger.claim(wish(now, Channel.SMS, bulk_limit=100)).messages
    assert len(claimed) == 100
    plan = plans(burst, lambda: ledger.settle([settled(each, ACCEPTED, now) for each in claimed]))
    assert "Seq Scan on dispatcher_messages" not in plan
    assert "pk_dispatcher_messages" in plan


def test_leases_that_ran_out_are_found_by_their_index(burst: Engine) -> None:
    ledger, now = SqlLedger.on(burst), datetime.now(UTC)
    ledger.claim(wish(now, Channel.SMS, bulk_limit=100))
    plan = plans(burst, lambda: ledger.lost_leases(now=now + timedelta(hours=1), limit=100))
    assert "ix_dispatcher_messages_lease" in plan


def test_what_a_worker_planned_on_an_empty_ledger_it_does_not_regret(fresh_postgres: str) -> None:
    """PostgreSQL keeps plans from the sixth time on; those of a worker that was there before the burst serve it too."""
    engine = make_engine(fresh_postgres)
    ledger = SqlLedger.on(engine)

    def work(rounds: int) -> int:
        done = 0
        for _ in range(rounds):
            now = datetime.now(UTC)
            claimed = ledger.claim(wish(now, bulk_limit=100)).messages
            done += len(ledger.settle([settled(each, ACCEPTED, now) for each in claimed]))
            ledger.renew(claimed, now=now, until=now + timedelta(minutes=1))
            ledger.lost_leases(now=now, limit=100)
            ledger.expire(now=now, limit=100)
            ledger.due(now=now)
        return done

    def run(statement: str, **given: int) -> Any:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            found = connection.execute(text(statement), given)
            return found.scalar() if found.returns_rows else None

    def looks() -> Any:
        run("SELECT pg_stat_force_next_flush()")  # of this connection, which is the only one: they are taken in turn
        return run(
            "SELECT heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read FROM pg_statio_user_tables"
            " WHERE relname = 'dispatcher_messages'"
        )

    run("ALTER TABLE dispatcher_messages SET (autovacuum_enabled = false)")
    run(BURST.text, many=12)
    assert work(12) == 12
    run("TRUNCATE dispatcher_messages CASCADE")
    assert work(12) == 0
    run(BURST.text, many=MANY)
    before = looks()
    assert work(12) == 1200
    assert (looks() - before) / 1200 < 50, "blocks of the ledger, a message"
    engine.dispose()
