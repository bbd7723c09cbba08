"""Real servers for every test: Valkey and PostgreSQL from wheels, SQLite files. Nothing needs to run beforehand."""

from __future__ import annotations

import gc
import logging
import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine

from dispatcher.ledger import Books, SqlLedger, make_engine, migrate
from dispatcher.testing import FakeClock
from tests.fuzz.report import TallyReport
from tests.ledgers import Postgres, running_postgres
from tests.servers import running_valkey
from tests.tiers import MARKERS, Tiers
from tests.turns import Turns

for name in [name for name in os.environ if name.startswith("DISPATCHER_")]:
    del os.environ[name]  # a developer's own settings must not change what the tests see

DATABASES = ("sqlite", "postgresql")

_MEMORY = Path("/dev/shm")
if "TMPDIR" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 8 * 1024**3:
    # Every commit of every ledger waits for the disk otherwise. Processes that tests start inherit it.
    os.environ["TMPDIR"] = tempfile.tempdir = str(_MEMORY)


gc.disable()  # until the tests are collected, which leaves next to no garbage

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has those that it starts in the background ignore it, and they pass that on to what they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and what they mean."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    # Processes of pytest-xdist must collect the same names: one seed for all, a new one for each run.
    os.environ.setdefault("PYTHONHASHSEED", str(random.randrange(2**32)))
    config.pluginmanager.register(Tiers())
    config.pluginmanager.register(TallyReport())
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.pluginmanager.register(Turns(worker["testrunuid"]))


def pytest_collection_finish() -> None:
    """Leave the tests themselves, a million objects that stay, out of every collection of garbage from now on."""
    gc.freeze()
    gc.enable()


def pytest_report_header() -> str:
    """Say with which seed a failure that depends on the order of a set can be had again."""
    return f"PYTHONHASHSEED={os.environ['PYTHONHASHSEED']}"


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Undo what a command that ran in this process did to the logs."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """Return the URL of a real Valkey server."""
    with running_valkey() as url:
        yield url


@pytest.fixture
def redis(valkey: str) -> Iterator[Redis]:
    """Return a client of an empty Valkey."""
    client = Redis.from_url(valkey)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Return a real PostgreSQL server."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def fresh_postgres(postgres: Postgres) -> Iterator[str]:
    """Return the URL of a migrated, empty database."""
    with postgres.ledger() as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated, empty SQLite file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    engine = make_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@pytest.fixture(params=DATABASES)
def ledger_url(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path) -> str:
    """Return the URL of a migrated, empty ledger, once on each database."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("fresh_postgres"))
    path = tmp_path / "ledger.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="module", params=DATABASES)
def shared_ledger_url(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Return the URL of a ledger for a world that the tests of a module only read, once on each database."""
    if request.param == "postgresql":
        with request.getfixturevalue("postgres").ledger() as url:
            yield url
    else:
        path = tmp_path_factory.mktemp("shared") / "ledger.db"
        shutil.copy(sqlite_template, path)
        yield f"sqlite:///{path}"


@pytest.fixture
def engine(ledger_url: str) -> Iterator[Engine]:
    """Return an engine on the ledger."""
    engine = make_engine(ledger_url)
    yield engine
    engine.dispose()


@pytest.fixture
def books(engine: Engine) -> Books:
    """Return the ledger as applications use it."""
    return Books(engine=engine)


@pytest.fixture
def ledger(engine: Engine) -> SqlLedger:
    """Return the ledger as the engine uses it."""
    return SqlLedger.on(engine)


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still."""
    return FakeClock()


@pytest.fixture(scope="session")
def redis_server() -> str:
    """Return the path of Debian's redis-server, or skip, saying so."""
    path = shutil.which("redis-server")
    if path is None:
        pytest.skip("redis-server is not installed (apt-get install redis-server)")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    return path if "v=" in version else pytest.skip(f"not a Redis server: {version}")


@pytest.fixture(scope="session")
def pgbouncer() -> str:
    """Return the path of Debian's pgbouncer, or skip, saying so."""
    path = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    return path if path is not None else pytest.skip("pgbouncer is not installed (apt-get install pgbouncer)")
