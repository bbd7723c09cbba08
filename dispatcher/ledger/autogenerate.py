"""For applications whose Alembic compares a database that has the ledger's tables too."""

from __future__ import annotations

from collections.abc import Mapping

from dispatcher.ledger.tables import PREFIX


def include_name(name: str | None, kind: str, parent_names: Mapping[str, str | None]) -> bool:
    """Leave the ledger's tables out of an application's ``alembic revision --autogenerate`` and ``alembic check``.

    Alembic finds them in the database and not in the application's metadata, so that without this its first revision
    drops them. Pass it to ``context.configure(include_name=include_name)`` in the application's ``env.py``; a filter of
    the application's own goes beside it: ``lambda *given: include_name(*given) and own(*given)``.

    :param name: of a schema, table, column, index or constraint, as Alembic reflects it; None for the default schema.
    :param kind: what it is, in Alembic's words: ``schema``, ``table``, ``column`` and so on.
    :param parent_names: what it belongs to.
    :return: False for tables whose name begins with ``dispatcher_``, and for all that belongs to them.
    """
    table = name if kind == "table" else parent_names.get("table_name")
    return not (table or "").startswith(PREFIX)
