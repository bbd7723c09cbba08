"""What installations run on: a Valkey as production has it, a sandbox, ledgers that were never migrated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import text

from dispatcher.ledger import make_engine
from dispatcher.sandbox import SandboxControl, SandboxSettings, running_sandbox
from tests.deploy.image import Installed
from tests.install.journey import Journey
from tests.ledgers import Postgres

Begin = Callable[..., Journey]
"""Begin the journey of an installation: ``begin(installed, ledger_url=…, DISPATCHER_…=…)``."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxControl]:
    """Return a sandbox; a journey counts what it adds to its journal."""
    with running_sandbox(SandboxSettings()) as control:
        yield control


@pytest.fixture
def begin(redis: Redis, valkey: str, sandbox: SandboxControl, tmp_path: Path) -> Iterator[Begin]:
    """Return a function that begins a journey, on SQLite by default; its processes end with the test."""
    # As the documentation asks for: `dispatcher check` has nothing to warn of.
    redis.config_set("appendonly", "yes")
    redis.config_set("maxmemory-policy", "noeviction")
    with ExitStack() as stack:

        def started(installed: Installed, *, ledger_url: str = "", **settings: str) -> Journey:
            return stack.enter_context(
                Journey(
                    installed=installed,
                    folder=tmp_path,
                    ledger_url=ledger_url or f"sqlite:///{tmp_path / 'ledger.db'}",
                    redis_url=valkey,
                    sandbox=sandbox,
                    settings=settings,
                ).cleaned_up()
            )

        yield started
    redis.config_set("appendonly", "no")


@pytest.fixture
def empty_database(postgres: Postgres) -> Iterator[str]:
    """Return the URL of a PostgreSQL database without tables."""
    admin = make_engine(postgres.url)
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE installed"))
        yield postgres.database("installed")
        connection.execute(text("DROP DATABASE installed WITH (FORCE)"))
    admin.dispose()
