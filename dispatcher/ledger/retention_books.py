"""The ledger as it grows old: each method one short transaction."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Engine, update

from dispatcher.domain.identity import ENTROPY_BITS, uuid7
from dispatcher.domain.retention import Act, Ages, Pruned
from dispatcher.ledger import retention
from dispatcher.ledger.engine import reading, transaction
from dispatcher.ledger.operations import By, audit
from dispatcher.ledger.tables import AUDIT

SUBJECT = "ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRun:
    """One run and its line in the audit trail, which each step brings up to date: a killed run is told as it was."""

    id: UUID
    ages: Ages
    began: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionBooks:
    """What is old is found, redacted and removed; all methods raise LedgerUnavailable when the ledger is away."""

    engine: Engine

    @property
    def step_size(self) -> int:
        """How many messages share a transaction: on SQLite few, since everybody else waits for it meanwhile."""
        return 1_000 if self.engine.dialect.name == "postgresql" else 250

    def begin(self, ages: Ages, by: By) -> PruneRun:
        """Begin a run in the audit trail."""
        run = PruneRun(
            id=uuid7(int(by.now.timestamp() * 1000), secrets.randbits(ENTROPY_BITS)), ages=ages, began=by.now
        )
        with transaction(self.engine) as connection:
            audit(connection, by, "prune", SUBJECT, id=run.id, **_details(run, Pruned(), finished=False))
        return run

    def found(self, act: Act, before: datetime, *, but_for: datetime | None = None) -> Iterator[Sequence[UUID]]:
        """Yield what is to be redacted or removed, page by page; a page may have nothing.

        :param but_for: without those that are to be removed since they were settled before this moment.
        """
        last: UUID | None = None
        while True:
            with reading(self.engine) as connection:
                page = retention.look(connection, act, before, after=last, but_for=but_for)
            yield page.ids
            last = page.last
            if last is None:
                return

    def step(self, run: PruneRun, act: Act, ids: Sequence[UUID], *, before: datetime, done: Pruned) -> Pruned:
        """Redact or remove messages, and return what the run has come to; who was faster is passed over.

        :param done: what it had come to before.
        """
        with transaction(self.engine) as connection:
            if act is Act.REMOVE:
                count = retention.remove(connection, ids, before)
            else:
                count = retention.redact(connection, ids, before, run.began)
            now = done.plus(act, count)
            if count:
                details = _details(run, now, finished=False)
                connection.execute(update(AUDIT).where(AUDIT.c.id == run.id).values(details=details))
        return now

    def finish(self, run: PruneRun, done: Pruned) -> None:
        """Note that a run has looked at everything."""
        with transaction(self.engine) as connection:
            details = _details(run, done, finished=True)
            connection.execute(update(AUDIT).where(AUDIT.c.id == run.id).values(details=details))


def _details(run: PruneRun, done: Pruned, *, finished: bool) -> dict[str, int | bool]:
    return {**asdict(run.ages), **asdict(done), "finished": finished}
