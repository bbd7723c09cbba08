"""The ledger's schema: at which revision it is, and how it gets to the one that this version needs."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text

from dispatcher.domain.errors import LedgerOutdated, SettingsError
from dispatcher.ledger.engine import reading, transaction
from dispatcher.ledger.tables import VERSION_TABLE

_INSTALLED = Path(__file__).parent.parent / "migrations"
_CHECKOUT = Path(__file__).parent.parent.parent / "migrations"
_LOCK = 0x6469_7370
"""Key of the advisory lock that keeps two `dispatcher migrate` apart on PostgreSQL; SQLite has its write lock."""


def head() -> str:
    """Return the revision that this version works with."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None, "the migrations folder is empty"  # noqa: S101 - a broken installation
    return revision


def current(engine: Engine) -> str | None:
    """Return the revision that the ledger is at; None for a database without one.

    :raises LedgerUnavailable: the database cannot be reached.
    """
    with reading(engine) as connection:
        return _context(connection).get_current_revision()


def require_head(engine: Engine) -> None:
    """Refuse to work on a ledger with another schema: workers never migrate by themselves.

    :raises LedgerOutdated: with the revision found, the one needed and the command that mends it.
    """
    found, wanted = current(engine), head()
    if found != wanted:
        raise LedgerOutdated(found, wanted)


def migrate(engine: Engine, *, target: str = "head") -> tuple[str | None, str | None]:
    """Bring the ledger to a revision and return those before and after. Safe to run twice at once.

    :raises SettingsError: there is no such revision.
    """
    config = _config()
    before = current(engine)
    with transaction(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config.attributes["connection"] = connection
        try:
            (command.downgrade if _is_older(config, target, than=before) else command.upgrade)(config, target)
        except CommandError as error:
            raise SettingsError(
                f"the ledger has no way to revision {target} ({error}); the newest is {head()}"
            ) from None
    return before, current(engine)


def _is_older(config: Config, target: str, *, than: str | None) -> bool:
    newest_first = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    older = newest_first[newest_first.index(than) + 1 :] if than in newest_first else []
    return target == "base" or target in older


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_INSTALLED if _INSTALLED.is_dir() else _CHECKOUT))
    return config
