"""Dead index entries that an open transaction keeps are not read by each claim, and nothing that is due is hidden."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, insert, select, text

from dispatcher.domain.message import Channel, Priority
from dispatcher.ledger import SqlLedger, make_engine
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.lower_bounds import EVERY_S, SLACK, LowerBounds
from dispatcher.ledger.tables import CAMPAIGNS, LANES, MESSAGES
from dispatcher.testing import FakeClock
from tests.making import new_id, row, sms, wish

DEAD = 5_000
MANY = """
INSERT INTO dispatcher_messages (id, channel, priority, state, recipient, body, fingerprint, campaign_id, tags, source,
    due_at, expires_at, max_attempts, created_at, updated_at, lease_token, lease_expires_at)
SELECT gen_random_uuid(), 'sms', 'transactional', each.state, '+61491570006', 'Hello', 'x', NULL, '[]', 'client',
    :now - interval '1 hour', :now + interval '1 hour', 5, :now, :now,
    CASE each.state WHEN 'sending' THEN gen_random_uuid() END,
    CASE each.state WHEN 'sending' THEN :now - interval '1 hour' END
FROM generate_series(1, :count) n, (VALUES ('queued'), ('sending')) AS each (state)
"""


@pytest.fixture
def postgres_engine(fresh_postgres: str) -> Iterator[Engine]:
    """Return an engine on PostgreSQL, the only database that keeps dead entries."""
    engine = make_engine(fresh_postgres)
    yield engine
    engine.dispose()


def bounded(ledger: SqlLedger, clock: FakeClock) -> SqlLedger:
    """Have a ledger use bounds always, with the time of a clock."""
    every: list[LowerBounds[object]] = [*ledger.claims.bounds.values(), ledger.leased, ledger.expiring]  # type: ignore[list-item]
    for bounds in every:
        bounds.slow_s, bounds.walk, bounds.monotonic = 0, timedelta(days=-1), clock.monotonic
    return ledger


def blocks_read(engine: Engine) -> int:
    with engine.connect() as connection:
        read = text(
            "SELECT heap_blks_read + heap_blks_hit FROM pg_statio_all_tables WHERE relname = 'dispatcher_messages'"
        )
        return int(connection.execute(read).scalar_one())


def flushed(connection: Connection) -> None:
    connection.execute(text("SELECT pg_stat_force_next_flush()"))


@pytest.mark.parametrize("call", ["claim", "lost_leases", "due"])
def test_dead_rows_under_a_snapshot_are_read_once_and_not_by_each_call(
    postgres_engine: Engine, clock: FakeClock, call: str
) -> None:
    engine, ledger = postgres_engine, bounded(SqlLedger.on(postgres_engine), clock)
    calls: dict[str, Callable[[], list[object]]] = {
        "claim": lambda: list(ledger.claim(wish(clock.now(), bulk=5)).messages),
        "lost_leases": lambda: list(ledger.lost_leases(now=clock.now(), limit=10)),
        "due": lambda: [due for due in ledger.due(now=clock.now()) if due.waiting],
    }
    with transaction(engine) as connection:
        connection.execute(text(MANY), {"now": clock.now(), "count": DEAD})
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as holder:
        holder.execute(text("SELECT count(*) FROM dispatcher_campaigns"))
        with transaction(engine) as connection:
            connection.execute(text("DELETE FROM dispatcher_messages"))
        read = []
        for _ in range(3):
            with transaction(engine) as connection:
                flushed(connection)
            before = blocks_read(engine)
            assert calls[call]() == []
            with transaction(engine) as connection:  # the same connection of the pool, which counted what it read
                flushed(connection)
            read.append(blocks_read(engine) - before)
    assert read[0] > DEAD / 100, f"nothing dead was read at first: {read}"
    assert read[2] < 10, f"blocks of the table that each call read: {read}"


def test_without_dead_rows_no_bound_is_used(postgres_engine: Engine, clock: FakeClock) -> None:
    ledger = SqlLedger.on(postgres_engine)
    for bounds in ledger.claims.bounds.values():
        bounds.slow_s, bounds.walk = 0, timedelta(milliseconds=50)  # on a busy machine
    for _ in range(3):
        ledger.claim(wish(clock.now()))
    late = sms(clock.now() - timedelta(hours=1))
    with transaction(postgres_engine) as connection:
        connection.execute(insert(MESSAGES), row(late))
    assert [message.id for message in ledger.claim(wish(clock.now())).messages] == [late.id]


def test_a_transaction_that_stayed_open_is_seen_by_the_next_search(postgres_engine: Engine, clock: FakeClock) -> None:
    ledger = bounded(SqlLedger.on(postgres_engine), clock)
    with postgres_engine.connect() as application:
        late = sms(clock.now())
        application.execute(insert(MESSAGES), row(late))
        clock.advance(timedelta(minutes=10))
        for _ in range(2):
            assert ledger.claim(wish(clock.now())).messages == []
        application.commit()
    clock.advance(timedelta(seconds=EVERY_S))
    assert [message.id for message in ledger.claim(wish(clock.now())).messages] == [late.id]


@pytest.mark.parametrize("seed", range(3))
def test_bounds_hide_nothing_that_is_due(postgres_engine: Engine, clock: FakeClock, seed: int) -> None:
    """Whatever is written at its own time is claimed at once; what was dated back, with the next search."""
    engine, ledger, roll = postgres_engine, bounded(SqlLedger.on(postgres_engine), clock), random.Random(seed)
    places = [(Priority.TRANSACTIONAL, None, 0), (Priority.BULK, None, 0), *running(engine, clock, lanes=2)]
    late: set[UUID] = set()
    prompt: set[UUID] = set()
    scheduled: list[tuple[object, UUID]] = []
    for turn in range(60):
        for _ in range(roll.randrange(4)):
            priority, campaign, lane = roll.choice(places)
            back = roll.choice([timedelta(0), timedelta(0), SLACK * 0.9, timedelta(minutes=roll.randrange(1, 60))])
            ahead = timedelta(seconds=roll.choice([0, 0, 0, 2, 30]))
            message = sms(clock.now())
            due = clock.now() - back + ahead
            values = row(message, priority=priority.value, campaign_id=campaign, due_at=due)
            values |= {"lane": lane, "recipient": f"+614{turn:04}{len(late) + len(prompt) + len(scheduled):04}"}
            with transaction(engine) as connection:
                connection.execute(insert(MESSAGES), values)
            if due > clock.now():
                scheduled.append((due, message.id))
            else:
                (late if back > SLACK else prompt).add(message.id)
        prompt |= {id_ for due, id_ in scheduled if due <= clock.now()}  # type: ignore[operator]
        scheduled = [each for each in scheduled if each[1] not in prompt]
        taken = {message.id for message in ledger.claim(wish(clock.now(), count=1000, bulk=500)).messages}
        assert prompt <= taken, "a message that was written at its own time was hidden"
        late, prompt = late - taken, set()
        if roll.random() < 0.3:
            clock.advance(timedelta(seconds=EVERY_S))
            assert any(due.waiting for due in ledger.due(now=clock.now())) >= bool(late)
            clock.advance(timedelta(seconds=EVERY_S))
            taken = {message.id for message in ledger.claim(wish(clock.now(), count=1000, bulk=500)).messages}
            assert late <= taken, "a message that was dated back is still hidden after a search"
            late = set()
            scheduled = [each for each in scheduled if each[1] not in taken]
        else:
            clock.advance(timedelta(milliseconds=roll.randrange(300)))
    with engine.connect() as connection:
        left = connection.execute(select(MESSAGES.c.id).where(MESSAGES.c.state == "queued")).scalars()
        assert set(left) <= late | {id_ for _, id_ in scheduled}


def running(engine: Engine, clock: FakeClock, *, lanes: int) -> list[tuple[Priority, UUID, int]]:
    """Make two running campaigns and return the places of their messages."""
    places = []
    with transaction(engine) as connection:
        for name in ("first", "second"):
            campaign = {"id": new_id(clock.now()), "name": name, "channel": Channel.SMS.value, "state": "running"}
            connection.execute(insert(CAMPAIGNS), campaign | {"created_at": clock.now()})
            for lane in range(lanes):
                values = {"campaign_id": campaign["id"], "lane": lane, "zones": ""}
                connection.execute(insert(LANES), values)
                places.append((Priority.BULK, campaign["id"], lane))
    return places  # type: ignore[return-value]
