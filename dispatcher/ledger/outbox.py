"""The ledger as applications write to it: a message exists once its row commits, in a transaction of theirs or ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from dispatcher.domain.message import NewMessage
from dispatcher.ledger.engine import reachable, transaction
from dispatcher.ledger.enqueue import Enqueued, enqueue

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """Inserts messages; all methods raise LedgerUnavailable when the ledger cannot be used now.

    It needs neither SQLAlchemy's ORM nor the tables' classes, which are a fifth of what an enqueue would load.
    """

    engine: Engine

    def enqueue(self, messages: Sequence[NewMessage], *, source: str) -> list[Enqueued]:
        """Insert messages in a transaction of their own: all of them or, on an error, none."""
        with transaction(self.engine) as connection:
            return enqueue(connection, messages, source=source, dialect=connection.dialect.name)

    def enqueue_within(self, session: Session, messages: Sequence[NewMessage], *, source: str) -> list[Enqueued]:
        """Insert messages in the caller's transaction: they commit or roll back with the caller's work."""
        from dispatcher.ledger.sessions import plain_session

        caller = plain_session(session)
        with reachable():
            return enqueue(caller, messages, source=source, dialect=caller.get_bind().dialect.name)
