"""The ledger's schema: at which revision it is, and how it gets to the one that this version needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, inspect, text

from dispatcher.domain.errors import LedgerOutdated, SettingsError
from dispatcher.ledger.engine import reading, transaction
from dispatcher.ledger.tables import VERSION_TABLE

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0011"
"""The newest of ``migrations/versions``: named here so that workers need not load Alembic, a tenth of their memory."""
_INSTALLED = Path(__file__).parent.parent / "migrations"
_CHECKOUT = Path(__file__).parent.parent.parent / "migrations"
_LOCK = 0x6469_7370
"""Key of the advisory lock that keeps two `dispatcher migrate` apart on PostgreSQL; SQLite has its write lock."""


def current(engine: Engine) -> str | None:
    """Return the revision that the ledger is at; None for a database without one.

    :raises LedgerUnavailable: the database cannot be reached.
    """
    with reading(engine) as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - ours


def require_head(engine: Engine) -> None:
    """Refuse to work on a ledger with another schema: workers never migrate by themselves.

    :raises LedgerOutdated: with the revision found, the one needed and the command that mends it.
    """
    found = current(engine)
    if found != HEAD:
        raise LedgerOutdated(found, HEAD)


def migrate(engine: Engine, *, target: str = "head") -> tuple[str | None, str | None]:
    """Bring the ledger to a revision and return those before and after. Safe to run twice at once.

    :raises SettingsError: there is no such revision.
    """
    from alembic import command
    from alembic.util import CommandError

    config = _config()
    before = current(engine)
    with transaction(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config.attributes["connection"] = connection
        try:
            (command.downgrade if _is_older(config, target, than=before) else command.upgrade)(config, target)
        except CommandError as error:
            raise SettingsError(f"the ledger has no way to revision {target} ({error}); the newest is {HEAD}") from None
    return before, current(engine)


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
