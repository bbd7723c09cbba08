"""The ledger as operators look at it and put it right in bulk: each method one short transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ColumnElement, Engine

from dispatcher.domain.message import Channel, Priority
from dispatcher.domain.operation import Deed, Pace, Stage
from dispatcher.domain.query import Query
from dispatcher.domain.state import State
from dispatcher.ledger import bulk, failures, minutes, queries, sign_outs
from dispatcher.ledger.bulk import Operation
from dispatcher.ledger.engine import reading, transaction
from dispatcher.ledger.failures import Forecast, Group
from dispatcher.ledger.minutes import Minute, Total
from dispatcher.ledger.operations import By, audit
from dispatcher.ledger.search import conditions
from dispatcher.ledger.tables import MESSAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionBooks:
    """Queries, groups and durable operations; all methods raise LedgerUnavailable when the ledger is away."""

    engine: Engine

    def search(
        self, query: Query, *, limit: int, before: UUID | None = None, discarded: bool = False
    ) -> list[queries.Message]:
        """Return messages that match, newest first.

        :param before: the last id of the page before.
        :param discarded: those as well that somebody has put away.
        """
        where = self._where(query)
        if not discarded and query.states is not None:
            where.append(MESSAGES.c.discarded_at.is_(None))
        with reading(self.engine) as connection:
            return queries.matching(connection, where, limit=limit, before=before)

    def oldest(self, query: Query, *, limit: int) -> list[queries.Message]:
        """Return messages that match, those first that have been as they are for longest."""
        with reading(self.engine) as connection:
            return queries.oldest(connection, self._where(query), limit=limit)

    def worth(self, query: Query) -> dict[str, Decimal]:
        """Sum the gifts that match, by currency."""
        with reading(self.engine) as connection:
            return queries.money(connection, self._where(query))

    def count(self, query: Query, *, cap: int = failures.CAPPED_AT) -> int:
        """Count matches; more than the cap are told as one more than it."""
        with reading(self.engine) as connection:
            return failures.counted(connection, self._where(query), cap=cap)

    def groups(self, query: Query, *, limit: int = 50, among: Sequence[UUID] | None = None) -> list[Group]:
        """Return dead and expired messages that match in groups, the largest first.

        :param among: all that match, if they are known already.
        """
        with reading(self.engine) as connection:
            return failures.groups(connection, query, limit=limit, among=among)

    def foresee(self, kind: Deed, query: Query, ids: Sequence[UUID] = ()) -> Forecast:
        """Say what a bulk operation would do, and whom it would leave out and why."""
        with reading(self.engine) as connection:
            return failures.foresee(connection, query, ids, replay=kind is Deed.REPLAY)

    def begin(
        self, kind: Deed, query: Query, by: By, *, ids: Sequence[UUID], pace: Pace, budget: int, life: timedelta
    ) -> Operation:
        """Begin a durable operation on what matches now."""
        total = self.foresee(kind, query, ids).total
        with transaction(self.engine) as connection:
            id_ = bulk.begin(
                connection, kind, query.text, by, ids=ids, pace=pace, total=total, budget=budget, life=life
            )
            return bulk.find(connection, id_)

    def operation(self, id_: UUID) -> Operation:
        """Return an operation; raises OperationNotFound."""
        with reading(self.engine) as connection:
            return bulk.find(connection, id_)

    def operations(self, *, limit: int = 50) -> list[Operation]:
        """Return operations, newest first."""
        with reading(self.engine) as connection:
            return bulk.listed(connection, limit=limit)

    def outcomes(self, id_: UUID) -> dict[State, int]:
        """Count what became of the messages that an operation queued again."""
        with reading(self.engine) as connection:
            return bulk.outcomes(connection, id_)

    def pause_operation(self, id_: UUID, by: By) -> None:
        """Stop an operation before its next step; raises OperationNotFound or OperationRefused."""
        with transaction(self.engine) as connection:
            bulk.change(connection, id_, by, to=Stage.PAUSED, sources=(Stage.RUNNING,))

    def resume_operation(self, id_: UUID, by: By) -> None:
        """Let an operation go on; raises OperationNotFound or OperationRefused."""
        with transaction(self.engine) as connection:
            bulk.change(connection, id_, by, to=Stage.RUNNING, sources=(Stage.PAUSED,))

    def abort_operation(self, id_: UUID, by: By) -> None:
        """End an operation; what it has changed stays changed. Raises OperationNotFound or OperationRefused."""
        with transaction(self.engine) as connection:
            bulk.change(connection, id_, by, to=Stage.ABORTED, sources=(Stage.RUNNING, Stage.PAUSED))

    def step(self, id_: UUID, *, now: datetime) -> int:
        """Change an operation's next messages and return how many."""
        return bulk.step(self.engine, id_, now=now)

    def audit(
        self, *, subject: str | None = None, limit: int = 50, before: UUID | None = None
    ) -> list[queries.AuditEntry]:
        """Return who did what, newest first."""
        with reading(self.engine) as connection:
            return queries.audit_trail(connection, subject=subject, limit=limit, before=before)

    def note(self, by: By, action: str, subject: str) -> None:
        """Append to the audit trail what changes nothing and yet is to be known."""
        with transaction(self.engine) as connection:
            audit(connection, by, action, subject)

    def sign_out(self, session: str, *, now: datetime, forget_at: datetime) -> None:
        """Record that a session of the pages is over, until its cookie would have ended by itself."""
        with transaction(self.engine) as connection:
            sign_outs.record(connection, session, now=now, forget_at=forget_at)

    def is_signed_out(self, session: str) -> bool:
        """Return whether a session of the pages was signed out."""
        with reading(self.engine) as connection:
            return sign_outs.is_recorded(connection, session)

    def minutes(self, since: datetime) -> list[Minute]:
        """Return what calls came to, minute by minute."""
        with reading(self.engine) as connection:
            return minutes.since(connection, since)

    def totals(self) -> list[Total]:
        """Return what all calls came to since the ledger was made."""
        with reading(self.engine) as connection:
            return minutes.totals(connection)

    def standing_counts(self, *, cap: int) -> dict[tuple[Channel, Priority, State], int]:
        """Count what waits, is under way or needs a person, each from its partial index and up to a cap."""
        with reading(self.engine) as connection:
            return failures.standing_counts(connection, cap=cap)

    def _where(self, query: Query) -> list[ColumnElement[bool]]:
        return conditions(query, self.engine.dialect.name)
