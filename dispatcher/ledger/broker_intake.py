"""Messages that come through the broker: an id is taken once, however often and however late its text comes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, delete, text

from dispatcher.domain.errors import InvalidMessage
from dispatcher.domain.message import NewMessage
from dispatcher.ledger.engine import transaction
from dispatcher.ledger.enqueue import Enqueued, enqueue
from dispatcher.ledger.tables import ENQUEUED_IDS
from dispatcher.ledger.upsert import insert_into

LOCK_TIMEOUT = timedelta(seconds=1)
"""How long intake waits for another transaction, such as one that uses the same idempotency key and stays open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerIntake:
    """Inserts messages that came through the broker; all methods raise LedgerUnavailable when the ledger is away."""

    engine: Engine

    def enqueue(self, message: NewMessage, *, remember_until: datetime) -> Enqueued:
        """Insert a message and remember its id, in one transaction.

        :param remember_until: later than its encrypted text can be delivered.
        :raises InvalidMessage: its id was taken before and its row has been removed since.
        :raises IdempotencyConflict: its key or its id belongs to other content.
        """
        with self._briefly() as connection:
            remember = insert_into(connection, ENQUEUED_IDS).on_conflict_do_nothing()
            is_new = connection.execute(
                remember.values(message_id=message.id, remembered_until=remember_until).returning(
                    ENQUEUED_IDS.c.message_id
                )
            ).first()
            (enqueued,) = enqueue(connection, [message], source="broker", dialect=connection.dialect.name)
            if is_new is None and not enqueued.duplicate:
                raise InvalidMessage(
                    "id",
                    "was enqueued through the broker before, and its message has been removed from the ledger; "
                    "a new message needs a new id",
                    detail=str(message.id),
                )
        return enqueued

    def forget(self, *, now: datetime) -> int:
        """Delete the ids whose texts have expired long ago, and return how many."""
        with self._briefly() as connection:
            return connection.execute(delete(ENQUEUED_IDS).where(ENQUEUED_IDS.c.remembered_until < now)).rowcount

    @contextmanager
    def _briefly(self) -> Iterator[Connection]:
        with transaction(self.engine) as connection:
            if connection.dialect.name == "postgresql":
                limit = str(int(LOCK_TIMEOUT / timedelta(milliseconds=1)))
                connection.execute(text("SELECT set_config('lock_timeout', :limit, true)"), {"limit": limit})
            yield connection
