"""Statements that are written as SQL because a whole batch goes through them in one piece, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def _statements(file: str) -> list[TextClause]:
    lines = files("dispatcher.ledger").joinpath("sql", file).read_text("utf-8").splitlines()
    script = "\n".join(line.partition("--")[0] for line in lines)
    return [text(statement) for statement in script.split(";")]
