"""The ledger's schema: at which revision it is, and how it gets to the one that this version needs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, inspect, text

from dispatcher.domain.errors import LedgerOutdated, LedgerUnavailable, SettingsError
from dispatcher.ledger.deadlines import UNHURRIED, Deadlines
from dispatcher.ledger.engine import reading, transaction
from dispatcher.ledger.tables import VERSION_TABLE

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0012"
"""The newest of ``migrations/versions``: named here so that workers need not load Alembic, a tenth of their memory."""
_INSTALLED = Path(__file__).parent.parent / "migrations"
_CHECKOUT = Path(__file__).parent.parent.parent / "migrations"
PATIENCE = timedelta(minutes=5)
"""For how long a migration tries again while other sessions have its tables."""
_LONGEST_PAUSE_S = 10.0
_OLDEST_TRANSACTION = """
SELECT pid, coalesce(nullif(application_name, ''), usename, 'unnamed') AS name,
       extract(epoch FROM clock_timestamp() - xact_start) AS seconds
  FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
   AND backend_type = 'client backend'
 ORDER BY xact_start LIMIT 1
"""
_LOCK = 0x6469_7370
"""Key of the advisory lock that keeps two `dispatcher migrate` apart on PostgreSQL; SQLite has its write lock."""


def current(engine: Engine, *, deadlines: Deadlines | None = None) -> str | None:
    """Return the revision that the ledger is at; None for a database without one.

    :param deadlines: on PostgreSQL, instead of the session's.
    :raises LedgerUnavailable: the database cannot be reached.
    """
    with reading(engine, deadlines=deadlines) as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - ours


def require_head(engine: Engine, *, deadlines: Deadlines | None = None) -> None:
    """Refuse to work on a ledger with another schema: workers never migrate by themselves.

    :param deadlines: on PostgreSQL, instead of the session's.
    :raises LedgerOutdated: with the revision found, the one needed and the command that mends it.
    """
    found = current(engine, deadlines=deadlines)
    if found != HEAD:
        raise LedgerOutdated(found, HEAD)


def require_writable(engine: Engine, *, deadlines: Deadlines | None = None) -> None:
    """Refuse to work on a ledger that can only be read. Writes nothing.

    :param deadlines: on PostgreSQL, instead of the session's.
    :raises LedgerUnavailable: the server is a standby or read-only, or the file and its folder cannot be written to.
    """
    if engine.dialect.name == "sqlite":
        file = Path(str(engine.url.database)).absolute()
        for path in (file, file.parent):
            if not os.access(path, os.W_OK):
                raise LedgerUnavailable(f"the ledger cannot be written to: {path} is read-only for this user")
        return
    with reading(engine, deadlines=deadlines) as connection:
        standby, read_only = connection.execute(
            text("SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'")
        ).one()
    if standby or read_only:
        what = "a standby" if standby else "read-only"
        raise LedgerUnavailable(f"the ledger cannot be written to: its PostgreSQL server is {what}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationWait:
    """A migration that could not have a lock, and tries again."""

    tries: int
    """How many have failed so far."""
    again_in: timedelta
    holder: str | None
    """The session whose transaction has been open for the longest, which most likely holds the lock."""


def migrate(
    engine: Engine,
    *,
    target: str = "head",
    patience: timedelta = PATIENCE,
    on_wait: Callable[[MigrationWait], object] = lambda _: None,
    sleep: Callable[[float], object] = time.sleep,
) -> tuple[str | None, str | None]:
    """Bring the ledger to a revision and return those before and after. Safe to run twice at once.

    A migration needs its tables for itself. While it waits for another session, whatever is enqueued waits behind it;
    so it waits for a second, lets the others go on, and tries again.

    :param patience: for how long to try again.
    :param on_wait: called before each pause.
    :raises SettingsError: there is no such revision.
    :raises LedgerUnavailable: the database cannot be reached, or another session had its tables all the time.
    """
    before, tries, ends = current(engine), 0, time.monotonic() + patience.total_seconds()
    while True:
        try:
            _migrate_once(engine, target, current(engine))
        except LedgerUnavailable as away:
            if not away.locked:
                raise
            tries, holder = tries + 1, _longest_open(engine)
            pause = min(float(tries), _LONGEST_PAUSE_S)
            if time.monotonic() + pause > ends:
                held = f"; {holder}" if holder else ""
                raise LedgerUnavailable(
                    f"another session had the ledger's tables at each of {tries} tries; nothing was changed{held}",
                    locked=True,
                ) from None
            on_wait(MigrationWait(tries=tries, again_in=timedelta(seconds=pause), holder=holder))
            sleep(pause)
        else:
            return before, current(engine)


def _migrate_once(engine: Engine, target: str, found: str | None) -> None:
    from alembic import command
    from alembic.util import CommandError

    config = _config()
    with transaction(engine, deadlines=UNHURRIED) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config.attributes["connection"] = connection
        try:
            (command.downgrade if _is_older(config, target, than=found) else command.upgrade)(config, target)
        except CommandError as error:
            raise SettingsError(f"the ledger has no way to revision {target} ({error}); the newest is {HEAD}") from None


def _longest_open(engine: Engine) -> str | None:
    """Describe the transaction on this database that has been open for the longest, our own aside."""
    if engine.dialect.name != "postgresql":
        return None
    with reading(engine) as connection:
        found = connection.execute(text(_OLDEST_TRANSACTION)).first()
    if found is None:
        return None
    return f"process {found.pid} of PostgreSQL ({found.name}) has had a transaction open for {found.seconds:.0f} s"


def _is_older(config: Config, target: str, *, than: str | None) -> bool:
    from alembic.script import ScriptDirectory

    newest_first = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    older = newest_first[newest_first.index(than) + 1 :] if than in newest_first else []
    return target == "base" or target in older


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    folder = str(_INSTALLED if _INSTALLED.is_dir() else _CHECKOUT)
    config.set_main_option("script_location", folder.replace("%", "%%"))  # Alembic reads % as the mark of a variable
    return config
