"""Column types that mean the same on SQLite and PostgreSQL: aware UTC times, dashed UUIDs, JSON."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import CHAR, JSON, DateTime, Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

if TYPE_CHECKING:
    import psycopg

LONG_AGO, FAR_AHEAD = datetime(1000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""Stand for moments that Python has no value for (``infinity``, a year before 1, a text that is no moment).

The ledger refuses such rows; those that are older than the rule must not break every list that they are in. Both leave
room for durations to be added.
"""


class Json(TypeDecorator[Any]):
    """A JSON document, which is no JSON ``null`` when it is None: JSONB on PostgreSQL."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "postgresql":
            return dialect.type_descriptor(_TolerantJson(none_as_null=True))
        from sqlalchemy.dialects import postgresql  # all drivers' dialects with it; SQLite needs none of them

        return dialect.type_descriptor(postgresql.JSONB(none_as_null=True))


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. A naive datetime is refused, since nobody knows which moment it means."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "sqlite":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(_tolerant_moment())

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


class _TolerantJson(JSON):
    """Reads a text that is no JSON as none; PostgreSQL keeps none that is not."""

    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        read = super().result_processor(dialect, coltype)

        def tolerant(value: Any) -> Any:
            try:
                return value if read is None else read(value)
            except (TypeError, ValueError):
                return None

        return tolerant


@cache
def _tolerant_moment() -> TypeEngine[Any]:
    from sqlalchemy.dialects.sqlite import DATETIME

    class TolerantMoment(DATETIME):
        """Reads what is no moment as one long ago."""

        cache_ok = True

        def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
            read = super().result_processor(dialect, coltype)

            def tolerant(value: Any) -> Any:
                try:
                    return value if read is None else read(value)
                except (TypeError, ValueError):
                    return LONG_AGO

            return tolerant

    return TolerantMoment()  # type: ignore[no-untyped-call]


def read_any_moment(connection: psycopg.Connection[Any]) -> None:
    """Let a connection to PostgreSQL read moments that Python has no value for as the nearest that it has."""
    connection.adapters.register_loader("timestamptz", _tolerant_loader())


@cache
def _tolerant_loader() -> type[psycopg.abc.Loader]:
    import psycopg
    from psycopg.types.datetime import TimestamptzLoader

    class TolerantLoader(TimestamptzLoader):
        def load(self, data: psycopg.abc.Buffer) -> datetime:
            try:
                return super().load(data)
            except psycopg.DataError:
                text = bytes(data)
                return LONG_AGO if text.startswith(b"-") or text.endswith(b"BC") else FAR_AHEAD

    return TolerantLoader
