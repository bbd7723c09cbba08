"""Column types that mean the same on SQLite and PostgreSQL: aware UTC times, dashed UUIDs, JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CHAR, JSON, DateTime, Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine


class Json(TypeDecorator[Any]):
    """A JSON document, which is no JSON ``null`` when it is None: JSONB on PostgreSQL."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "postgresql":
            return dialect.type_descriptor(JSON(none_as_null=True))
        from sqlalchemy.dialects import postgresql  # all drivers' dialects with it; SQLite needs none of them

        return dialect.type_descriptor(postgresql.JSONB(none_as_null=True))


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. A naive datetime is refused, since nobody knows which moment it means."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError(f"{value} has no time zone; the ledger takes aware datetimes only")
        moment = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Identifier(TypeDecorator[UUID]):
    """A UUID: native on PostgreSQL, the usual dashed text on SQLite, so that ids can be pasted into any query."""

    impl = CHAR(36)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "postgresql":
            return dialect.type_descriptor(CHAR(36))
        from sqlalchemy.dialects import postgresql

        return dialect.type_descriptor(postgresql.UUID())

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> UUID | str | None:
        return value if value is None or dialect.name == "postgresql" else str(value)

    def process_result_value(self, value: UUID | str | None, dialect: Dialect) -> UUID | None:
        return UUID(value) if isinstance(value, str) else value
