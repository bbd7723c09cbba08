"""Statements that are written as SQL because a whole batch goes through them in one piece, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import orjson
from sqlalchemy import TextClause, text


def load(name: str) -> dict[str, list[TextClause]]:
    """Return the statements of ``sql/<name>.<dialect>.sql`` for each of the two databases."""
    return {dialect: _statements(f"{name}.{dialect}.sql") for dialect in ("postgresql", "sqlite")}


def as_json(rows: Iterable[Mapping[str, Any]]) -> str:
    """Write rows as one JSON array; UUIDs become texts, moments must be texts already."""
    return orjson.dumps(list(rows)).decode()


def as_text(moment: datetime | None) -> str | None:
    """Write a moment as the SQLite column holds it; PostgreSQL reads the same text with ``+00`` behind it.

    >>> as_text(datetime(2026, 11, 24, 9, 0, 0, 5, tzinfo=UTC))
    '2026-11-24 09:00:00.000005'
    """
    return None if moment is None else moment.astimezone(UTC).isoformat(" ", "microseconds")[:26]


def _statements(file: str) -> list[TextClause]:
    lines = files("dispatcher.ledger").joinpath("sql", file).read_text("utf-8").splitlines()
    script = "\n".join(line.partition("--")[0] for line in lines)
    return [text(statement) for statement in script.split(";")]
