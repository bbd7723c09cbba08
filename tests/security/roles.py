"""The SQL roles of docs/deploying.md, made on a real server as the page says, and taken away again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import make_url

from dispatcher.ledger import make_engine
from tests.docs.pages import DOCS, blocks

PASSWORD = "the-ledgers-pass-word-5519"


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles of the page in one database."""

    owner_url: str
    names: tuple[str, ...]

    def url(self, role: str) -> str:
        """Return the database's URL for one of them."""
        assert role in self.names
        return make_url(self.owner_url).set(username=role, password=PASSWORD).render_as_string(hide_password=False)

    @contextmanager
    def engine(self, role: str) -> Iterator[Engine]:
        """Open the ledger as one of them."""
        engine = make_engine(self.url(role))
        yield engine
        engine.dispose()


@contextmanager
def documented_roles(url: str) -> Iterator[Roles]:
    """Run every SQL block of the page as whoever owns the tables."""
    statements = [each.strip() for block in blocks(DOCS / "deploying.md", "sql") for each in block.split(";")]
    names = tuple(re.findall(r"CREATE ROLE (\w+)", "\n".join(statements)))
    admin = make_engine(url)
    with admin.begin() as connection:
        for statement in filter(None, statements):
            connection.execute(text(statement))
    try:
        yield Roles(url, names)
    finally:
        with admin.begin() as connection:
            for name in names:
                connection.execute(text(f"DROP OWNED BY {name}"))
                connection.execute(text(f"DROP ROLE {name}"))
        admin.dispose()


def rights(connection: Connection, role: str) -> set[tuple[str, str, str]]:
    """Return all that a role may do with our tables, column by column: table, column, what."""
    found = connection.execute(
        text(
            "SELECT c.relname, coalesce(a.attname, '*'), p.may FROM pg_class c "
            "CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('REFERENCES')) AS p (may) "
            "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
            "WHERE c.relkind = 'r' AND c.relname LIKE 'dispatcher\\_%' "
            "AND has_column_privilege(:role, c.oid, a.attnum, p.may) "
            "UNION ALL SELECT c.relname, '*', p.may FROM pg_class c "
            "CROSS JOIN (VALUES ('DELETE'), ('TRUNCATE'), ('TRIGGER')) AS p (may) "
            "WHERE c.relkind = 'r' AND c.relname LIKE 'dispatcher\\_%' AND has_table_privilege(:role, c.oid, p.may)"
        ),
        {"role": role},
    )
    return {(table, column, may) for table, column, may in found}
