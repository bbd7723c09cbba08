"""Runs migrations: inside the transaction that `dispatcher migrate` opened, or on the ledger of the settings."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from dispatcher.ledger.deadlines import UNHURRIED
from dispatcher.ledger.engine import make_engine, transaction
from dispatcher.ledger.tables import METADATA, PREFIX, VERSION_TABLE
from dispatcher.settings import load_settings


def run(connection: Connection) -> None:
    """Run the revisions that were asked for on one connection."""
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        version_table=VERSION_TABLE,
        render_as_batch=connection.dialect.name == "sqlite",
        # The tables may live in an application's own database: only ours are our business.
        include_name=lambda name, kind, _parents: kind != "table" or (name or "").startswith(PREFIX),
        compare_server_default=False,
        user_module_prefix="dispatcher.ledger.types.",
    )
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with transaction(make_engine(load_settings().ledger), deadlines=UNHURRIED) as opened:
        run(opened)
