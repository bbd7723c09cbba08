"""Invariant 11: no secret, token, number or text gets out of ledger and API, whatever goes wrong, in real processes.

Content may stand in the ledger's own columns (`planted.BY_DESIGN`), amounts on operators' screens and in sums of
metrics, a number's ends where it is masked. Everywhere else this looks for all of it, in clear and encoded.
"""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from cryptography.fernet import Fernet
from sqlalchemy import text
from sqlalchemy.engine import make_url

from dispatcher import Gift, Sms
from dispatcher.broker import make_ringing_app, seal
from dispatcher.broker.queues import ENQUEUE
from dispatcher.domain.state import State
from dispatcher.ledger import make_engine
from dispatcher.sandbox.faults import ACTIONS
from tests.peeking import everything_in
from tests.security.conftest import CLIENT_SECRET, ENQUEUE_KEY, Start
from tests.security.planted import (
    AMOUNT,
    CONTENT,
    GIVEN,
    LUCKY,
    MONEY,
    NOTE,
    PROXY_PASSWORD,
    SEALED,
    SECRETS,
    TEXT,
    UNLUCKY,
    Wiretap,
    keep_everything,
    leaks,
    persisted,
    rows_without_content,
    seen_by_others,
    spaced,
    spooled,
)
from tests.security.roles import PASSWORD
from tests.servers import free_port
from tests.system.conftest import System

pytestmark = pytest.mark.slow

STATUSES = (400, 401, 403, 404, 409, 418, 422, 429, 500, 503)
SAYS = f"no {UNLUCKY} nor {spaced(UNLUCKY)}: {TEXT}"
"""What a careless API answers."""
PAGES = ("/", "/messages", "/dead", "/in-doubt", "/campaigns", "/operations", "/audit", "/no/such/page", "/metrics")
COMMANDS = (
    ("messages", "list"),
    ("messages", "list", "--json"),
    ("dead", "list", "--json"),
    ("dead", "groups"),
    ("in-doubt", "list"),
    ("status", "--json"),
    ("token",),
)


@pytest.mark.one_database
@pytest.mark.parametrize("transport", ["requests", pytest.param("aiohttp", marks=pytest.mark.exhaustive)])
def test_nothing_leaks_under_faults_at_debug(
    start: Start, ledger_url: str, transport: str, request: pytest.FixtureRequest
) -> None:
    system = start(with_password(ledger_url), TRANSPORT=transport, LOG_LEVEL="DEBUG", CONFIGURATION_PAUSE="1")
    keep_everything(system.redis)
    tap = Wiretap(system.environment["DISPATCHER_REDIS_URL"])
    misbehave(system)
    ports = {name: free_port() for name in ("worker", "clock", "web")}
    worker = system.worker(METRICS_PORT=str(ports["worker"]))
    system.start("clock", METRICS_PORT=str(ports["clock"]))
    system.start("web", "--port", str(ports["web"]))

    with watched(system) as seen:
        send(system)
        system.wait_until(lambda: system.counts()[State.ACCEPTED] > 40)
        with ledger_away(ledger_url):
            time.sleep(2)
        system.kill(worker)
        system.worker(METRICS_PORT=str(ports["worker"]))
        system.sandbox.revoke()
        system.wait_until(lambda: all(rule["fired"] for rule in system.sandbox.faults()), seconds=40)
        seen["metrics"] = "".join(metrics(system, port) for port in ports.values())
        pages = look_at_pages(system, f"http://127.0.0.1:{ports['web']}")
        screens = run_commands(system) if transport == "requests" else set()  # they never send
        crash(system)
    seen["what was said to Redis"] = tap.text()
    seen["Redis' files"] = persisted(system.redis).decode("latin-1")
    seen["the ledger but for its content"] = rows_without_content(system.books.engine)
    for log in system.folder.glob("*.log"):
        if log not in screens:
            seen[f"log {log.name}"] = log.read_text(errors="replace")

    for kind in ('"event": "attempt"', '"level": "debug"', "Traceback", TAKEN):
        assert any(kind in found for name, found in seen.items() if name.startswith("log")), kind
    tokens = {f"token {entry.jti}": entry.jti for entry in system.sandbox.journal(kind="token") if entry.jti}
    assert len(tokens) >= 2
    assert "dispatcher:" in seen["Redis"]
    assert '"' + ENQUEUE in seen["what was said to Redis"]
    if not ledger_url.startswith("sqlite"):
        assert "attempt_id" in seen["spool"], "answers must have been spooled while the ledger was away"
    for name, found in seen.items():
        assert not leaks(found, SECRETS | CONTENT | tokens | ({} if name == "metrics" else MONEY)), name
    for name, found in pages.items() | {log.name: log.read_text() for log in screens}.items():
        assert not leaks(found, SECRETS | CONTENT | tokens), name


def with_password(ledger_url: str) -> str:
    """Return the ledger's URL with a password; tests' servers take any, and so cannot tell that it is one."""
    if ledger_url.startswith("sqlite"):
        return ledger_url
    return make_url(ledger_url).set(password=PASSWORD).render_as_string(hide_password=False)


def misbehave(system: System) -> None:
    """Have each thing go wrong once, for the unlucky: so that no breaker opens and every one has its turn."""
    for action in ACTIONS:
        if action != "status":
            more = {"hang_s": 3} if action.startswith("hang") else {}
            system.sandbox.fault(path="/sendSMS", action=action, recipient=UNLUCKY, times=1, **more)
    for status in STATUSES:
        system.sandbox.fault(
            path="/sendSMS",
            action="status",
            status=status,
            recipient=UNLUCKY,
            times=1,
            error_description=SAYS,
            **({"retry_after": 1} if status == 429 else {}),
        )
    for action in ("cut_after_accepting", "garbage"):
        system.sandbox.fault(path="/gifting/send", action=action, times=1)
    system.sandbox.fault(
        path="/gifting/send", action="status", status=422, times=1, error_description=f"{GIVEN} is {NOTE}"
    )
    said = f"{CLIENT_SECRET} is not the secret of sandbox-client"
    system.sandbox.fault(path="/oauth2/token", action="status", status=503, times=1, error_description=said)
    system.sandbox.fault(path="/oauth2/token", action="garbage", times=1)


def send(system: System) -> None:
    """Enqueue in all ways: one by one, in bulk, as a campaign, and sealed through the broker."""
    with system.client() as client:
        unlucky = [Sms(recipient=UNLUCKY, body=f"{TEXT} {n}") for n in range(40)]
        lucky = [Sms(recipient=LUCKY, body=f"{TEXT} {n}") for n in range(240)]
        client.send_many(message for n in range(40) for message in (unlucky[n], *lucky[n * 6 : n * 6 + 6]))
        client.send_many(
            Gift(recipient=GIVEN, sku="CARD", amount=AMOUNT, currency="AUD", idempotency_key=f"o-{n}", note=NOTE)
            for n in range(6)
        )
        made = client.campaigns.create(
            [LUCKY, "0491 570 15", f"{UNLUCKY}0"], name="spring", template=f"{TEXT}!", window="00:00-24:00"
        )
        client.campaigns.start(made.campaign.id)
    app = make_ringing_app(system.environment["DISPATCHER_REDIS_URL"])
    good, wrong = Sms(recipient=SEALED, body=TEXT), Sms(recipient=f"{SEALED}0", body=TEXT)
    for message, key in ((good, ENQUEUE_KEY), (wrong, ENQUEUE_KEY), (good, Fernet.generate_key().decode())):
        app.send_task(ENQUEUE, args=[seal(message, id=uuid4(), key=key)], queue=ENQUEUE)


@contextmanager
def watched(system: System) -> Iterator[dict[str, str]]:
    """Look again and again into what comes and goes: Redis, the spool, the list of processes."""
    seen = {"Redis": "", "spool": "", "processes": ""}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            seen["Redis"] += everything_in(system.redis)
            seen["spool"] += spooled([system.folder / "home" / "spool"])
            seen["processes"] += seen_by_others(system)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


@contextmanager
def ledger_away(url: str) -> Iterator[None]:
    """Keep everybody from the ledger: a lock on SQLite, no connections on PostgreSQL."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        holder = sqlite3.connect(str(parsed.database), isolation_level=None, timeout=10)
        holder.execute("BEGIN EXCLUSIVE")
        yield
        holder.execute("ROLLBACK")
        holder.close()
        return
    admin = make_engine(parsed.set(database="postgres").render_as_string(hide_password=False))
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = parsed.database
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))
        yield
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    admin.dispose()


TAKEN = "doubtful_sends"


def whole(log: Path) -> str:
    return log.read_text(errors="replace")


def crash(system: System) -> None:
    """Take a column away for a while, so that tasks end with an exception that nobody foresaw, and a traceback."""
    with system.client() as client:
        client.send_gift(GIVEN, sku="CARD", amount=AMOUNT, currency="AUD", idempotency_key="broken", note=NOTE)
    rename = "ALTER TABLE dispatcher_messages RENAME COLUMN"
    with system.books.engine.begin() as connection:
        connection.execute(text(f"{rename} {TAKEN} TO {TAKEN}_taken"))
    try:
        logs = list(system.folder.glob("*.log"))
        system.wait_until(lambda: any(TAKEN in found and "Traceback" in found for found in map(whole, logs)))
    finally:
        with system.books.engine.begin() as connection:
            connection.execute(text(f"{rename} {TAKEN}_taken TO {TAKEN}"))


def metrics(system: System, port: int) -> str:
    """Return what Prometheus is told, once the process that tells it has begun."""

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    system.wait_until(listens)
    return requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text


def look_at_pages(system: System, url: str) -> dict[str, str]:
    """Open every page as it is without asking to reveal anything, and search for the number as an operator does."""
    ids = [str(message.id) for message in system.messages()[:2]]
    requests.get(url + "/messages", params={"q": f"to:{UNLUCKY}"}, timeout=10)
    return {path: requests.get(url + path, timeout=10).text for path in (*PAGES, *(f"/messages/{id_}" for id_ in ids))}


def run_commands(system: System) -> set[Path]:
    """Run what operators run, at once, and return where their output is."""
    before = set(system.folder.glob("*.log"))
    found = [system.start(*command) for command in COMMANDS]
    found.append(system.start("messages", "show", str(system.messages()[0].id)))
    found.append(system.start("check", API_BASE_URL=system.sandbox.url.replace("http:", "https:")))
    found.append(system.start("check", PROXY=f"http://someone:{PROXY_PASSWORD}@127.0.0.1:9"))
    for process in found:
        process.wait(timeout=60)
    return set(system.folder.glob("*.log")) - before
